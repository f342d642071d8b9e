"""Wrapped trainings: Accelerate, and optimizers around optimizers."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin
from helpers.models import small, true_norm
from torch import nn
from torch.utils.data import DataLoader

import gradsound
from gradsound.errors import GradsoundWarning

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_accelerate(with_optimizer: bool, precision: str, accumulate: int) -> None:
    """Each step of a prepared optimizer is one step, with raw and clipped norms."""
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a new program
    plugin = GradientAccumulationPlugin(num_steps=accumulate, sync_with_dataloader=False)
    accelerator = Accelerator(
        cpu=True, mixed_precision=precision, gradient_accumulation_plugin=plugin
    )
    plain = small()
    data = torch.rand(24, 3, generator=torch.Generator().manual_seed(1))
    model, optimizer, loader = accelerator.prepare(
        plain, torch.optim.SGD(plain.parameters(), lr=0.01), DataLoader(data, batch_size=4)
    )
    expected, raw = [], []
    with gradsound.attach(model, optimizer if with_optimizer else None):
        for x in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(x).square().mean())
                if accelerator.sync_gradients:
                    raw.append([true_norm(plain[0]), true_norm(plain[2])])
                    accelerator.clip_grad_norm_(model.parameters(), 1 / 13)
                    expected.append([true_norm(plain[0]), true_norm(plain[2])])
                optimizer.step()
                optimizer.zero_grad()
    run = gradsound.read_run("run.jsonl")
    steps = [*run.steps]

    assert len(steps) == 6 // accumulate
    assert run.header.layers == ("0", "2")
    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-5)
    np.testing.assert_allclose([step.raw for step in steps], raw, rtol=1e-5)


class Lookahead(torch.optim.Optimizer):
    """A wrapper that does not call Optimizer.__init__, as many published ones."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups
        self.state = {}

    def step(self, closure=None):
        return self.optimizer.step(closure)

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()


class InitializedLookahead(Lookahead):
    """A wrapper that calls Optimizer.__init__."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        torch.optim.Optimizer.__init__(self, optimizer.param_groups, {})
        self.optimizer = optimizer


@pytest.mark.parametrize("kind", [Lookahead, InitializedLookahead])
@pytest.mark.parametrize("attached_optimizer", ["wrapper", "inner", "none"])
def test_an_optimizer_around_another_steps_once(
    kind: type, attached_optimizer: str
) -> None:
    """Each step is one step, if attach() gets the wrapper, the inner optimizer or none."""
    model = small()
    inner = torch.optim.SGD(model.parameters(), lr=0.01)
    optimizer = kind(inner)
    chosen = {"wrapper": optimizer, "inner": inner, "none": None}[attached_optimizer]
    expected = []
    with gradsound.attach(model, chosen):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 3)).square().mean().backward()
            expected.append([true_norm(model[0]), true_norm(model[2])])
            optimizer.step()
    steps = [*gradsound.read_run("run.jsonl").steps]

    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-6)


def test_a_wrapper_that_hides_its_optimizer_raises() -> None:
    """The message says to give the inner optimizer, which attach() accepts."""

    class Hidden(Lookahead):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            super().__init__(optimizer)
            self.inside = self.__dict__.pop("optimizer")

    model = small()
    hidden = Hidden(torch.optim.SGD(model.parameters(), lr=0.01))
    with pytest.raises(ValueError, match=r"Hidden does not call Optimizer.__init__, so"):
        gradsound.attach(model, hidden)
    with pytest.warns(GradsoundWarning, match="no optimizer step was seen"):
        gradsound.attach(model, hidden.inside).close()


def test_an_engine_that_keeps_gradients_warns_once() -> None:
    """If .grad is None at each step, as with DeepSpeed, there is one warning."""

    class Engine(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module
            self.optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
            self.kept = {}
            for name, parameter in module.named_parameters():
                hook = lambda p, name=name: self.keep(name, p)  # noqa: E731
                parameter.register_post_accumulate_grad_hook(hook)

        def keep(self, name: str, parameter: torch.Tensor) -> None:
            self.kept[name], parameter.grad = parameter.grad, None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x)

    engine = Engine(small())
    attachment = gradsound.attach(engine, engine.optimizer)

    def train() -> None:
        for _ in range(3):
            engine(torch.rand(8, 3)).square().mean().backward()
            engine.optimizer.step()

    with pytest.warns(
        gradsound.errors.GradsoundWarning, match="such as DeepSpeed"
    ) as warned:
        train()
    attachment.close()

    assert len(warned) == 1
