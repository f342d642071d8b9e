"""Steps of an optimizer that keeps, unscales and clips gradients itself, as DeepSpeed's do.

`tests/engines/deepspeed_engine.py` checks the real package, which is no test dependency.
The optimizer here trains in float32 from scaled gradients, by the rules of DeepSpeed's
float16 optimizer, under the names that gradsound knows DeepSpeed by.
"""

import gc
import sys
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.models import small
from helpers.monitors import attach_with_parts
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.step_queue import StepQueue

_SCALE = 256.0


class DeepSpeedOptimizer:
    """Subtracts the gradient, unscaled and clipped; skips a step that is not finite."""

    def __init__(self, parameters: list[nn.Parameter], clip: float) -> None:
        self.fp16_groups = [parameters[:1], parameters[1:]]
        self.loss_scale, self.clip_grad = _SCALE, clip
        self.overflow, self._global_grad_norm = False, 0.0
        self.grow = False  # whether the next step doubles the loss scale

    @torch.no_grad()
    def step(self) -> str:
        parameters = [p for group in self.fp16_groups for p in group]
        total = torch.cat([p.grad.double().flatten() for p in parameters]).norm().item()
        self.overflow = not np.isfinite(total)
        if self.overflow:
            self._global_grad_norm = float("inf")
        else:
            self.loss_scale *= 2 if self.grow else 1
            self._global_grad_norm = total / self.loss_scale
            clip = (self._global_grad_norm + 1e-6) / self.clip_grad if self.clip_grad else 0
            for p in parameters:
                p.sub_(p.grad / (self.loss_scale * max(clip, 1)))
        for p in parameters:
            p.grad = None
        return "stepped"


class DeepSpeedEngine(nn.Module):
    """Scales the loss, and counts the steps."""

    def __init__(self, module: nn.Module, clip: float = 0.0) -> None:
        super().__init__()
        self.module, self.global_steps = module, 0
        self.optimizer = DeepSpeedOptimizer([*module.parameters()], clip)

    def train_step(self, number: int, factor: float = 1.0) -> str:
        x = torch.rand(8, 3, generator=torch.Generator().manual_seed(number))
        loss = self.module(x).square().mean() * factor * self.optimizer.loss_scale
        loss.backward()
        result = self.optimizer.step()
        self.global_steps += 1
        return result


@pytest.fixture(autouse=True)
def deepspeed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Gives the classes the names of DeepSpeed's, and the test a folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "deepspeed", ModuleType("deepspeed"))
    for kind in (DeepSpeedOptimizer, DeepSpeedEngine):
        monkeypatch.setattr(kind, "__module__", "deepspeed.runtime.engine")


def _differences(engine: DeepSpeedEngine, act: Callable[[], object]) -> list[float]:
    """Returns by how much an action changes the weights of each layer."""
    layers = [[*engine.module[k].parameters()] for k in (0, 2)]
    before = [[p.detach().clone() for p in layer] for layer in layers]
    act()
    return [
        torch.cat([(p - q).flatten() for p, q in zip(layer, old, strict=True)])
        .norm()
        .item()
        for layer, old in zip(layers, before, strict=True)
    ]


@pytest.mark.parametrize("clip", [0.0, 1 / 30])
@pytest.mark.parametrize(
    "given",
    [
        lambda engine: (engine,),
        lambda engine: (engine.module, engine.optimizer),
        lambda engine: (engine.module, engine),
        lambda engine: (engine.module,),
    ],
)
def test_norms_are_those_that_a_step_applies(clip: float, given) -> None:
    """A step has the norms that change the weights, and those from before clipping."""
    engine = DeepSpeedEngine(small(), clip)
    applied, plain = [], []
    with gradsound.attach(*given(engine), log="run.jsonl"):
        for number in range(4):
            engine.optimizer.grow = number == 2  # then DeepSpeed applies half
            scale = engine.optimizer.loss_scale
            hook = engine.optimizer.step

            def step(hook=hook, scale=scale) -> str:
                layers = [[*engine.module[k].parameters()] for k in (0, 2)]
                plain.append(
                    [
                        torch.cat([p.grad.flatten() for p in layer]).norm().item() / scale
                        for layer in layers
                    ]
                )
                return hook()

            engine.optimizer.step = step
            applied.append(_differences(engine, lambda n=number: engine.train_step(n)))
            engine.optimizer.step = hook

    run = gradsound.read_run("run.jsonl")
    steps = [*run.steps]
    assert run.header.layers == ("0", "2")
    np.testing.assert_allclose([step.norms for step in steps], applied, rtol=1e-4)
    raw = [step.norms if step.raw is None else step.raw for step in steps]
    np.testing.assert_allclose(raw, plain, rtol=1e-4)
    assert [step.loss_scale for step in steps] == [256, 256, 256, 512]


def test_an_overflow_is_a_skipped_step() -> None:
    """A step that the optimizer skips is recorded as skipped, with its norms."""
    engine = DeepSpeedEngine(small(), 1 / 30)
    with gradsound.attach(engine, log="run.jsonl"):
        for number, factor in enumerate((1, float("inf"), 1)):
            engine.train_step(number, factor)

    steps = [*gradsound.read_run("run.jsonl").steps]
    assert [step.skipped for step in steps] == [False, True, False]
    assert not np.isfinite(steps[1].norms).any()
    assert not any(step.absent.any() for step in steps)


def test_the_step_is_the_optimizers_own_again() -> None:
    """The step keeps its value and exceptions; after close(), nothing of ours is left."""
    engine = DeepSpeedEngine(small())
    attachment = gradsound.attach(engine, log="run.jsonl")
    assert engine.train_step(0) == "stepped"
    for p in [*engine.module.parameters()][1:]:
        p.grad = torch.ones_like(p)
    with pytest.raises(AttributeError, match="double"):
        engine.optimizer.step()  # the first parameter has no gradient
    attachment.close()
    assert "step" not in vars(engine.optimizer)


def test_an_attachment_keeps_no_engine_alive() -> None:
    """An engine that a training drops is freed, and the run file is complete."""
    engine = DeepSpeedEngine(small())
    gradsound.attach(engine, log="run.jsonl")
    engine.train_step(0)
    gone = [weakref.ref(engine), weakref.ref(engine.module), weakref.ref(engine.optimizer)]
    del engine
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
    assert len([*gradsound.read_run("run.jsonl").steps]) == 1


def test_optimizers_of_two_engines_are_refused() -> None:
    """Each engine needs an attachment of its own; the error says so."""
    engine, other = DeepSpeedEngine(small()), DeepSpeedEngine(small())
    both = nn.ModuleList([engine.module, other.module])
    with pytest.raises(ValueError, match="attach to each engine"):
        gradsound.attach(both, [engine.optimizer, other.optimizer], log="run.jsonl")


def test_stages_of_a_pipeline_are_refused() -> None:
    """An engine whose ranks have different layers is refused, with their number."""
    engine = DeepSpeedEngine(small())
    engine.num_stages = 2
    with pytest.raises(ValueError, match="has 2 stages"):
        gradsound.attach(engine, log="run.jsonl")


def test_an_engine_that_came_later_is_named() -> None:
    """If an engine made the steps that attach() did not see, the warning says so."""
    model = small()
    attachment = gradsound.attach(model, log="run.jsonl")
    engine = DeepSpeedEngine(model)
    engine.train_step(0)
    with pytest.warns(GradsoundWarning, match=r"attach to it: gradsound.attach\(engine\)"):
        attachment.close()


def test_an_alarm_is_told_after_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """on_alarm hears of a step that DeepSpeed skipped; StopTraining leaves the engine."""
    queue = partial(StepQueue, max_delay=0)
    attach_with_parts(monkeypatch, MonitorParts(queue=queue))  # each step at once
    engine = DeepSpeedEngine(small())

    def stop(alarm: gradsound.Alarm) -> None:
        raise gradsound.StopTraining(alarm.kind)

    attachment = gradsound.attach(engine, log="run.jsonl", on_alarm=stop)
    for number in range(3):
        engine.train_step(number)
    with attachment, pytest.raises(gradsound.StopTraining, match="skipped"):
        engine.train_step(3, factor=np.inf)
    assert engine.optimizer.overflow
    assert len([*gradsound.read_run("run.jsonl").steps]) == 4
