"""Signals are read around a step: they change nothing, and their errors end them alone."""

from __future__ import annotations

import copy
import gc
import weakref
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
import torch
from helpers.models import small, train
from helpers.monitors import BOTH, StepCollector, collector_for
from helpers.signals import signal, train_on
from torch import nn
from torch._dynamo.testing import CompileCounter

from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.measure.signals.signal_reader import describe_signals
from gradsound.measure.step_queue import StepQueue
from gradsound.signal_options import SIGNAL_NAMES

ALL = {"signals": SIGNAL_NAMES}


@BOTH
@pytest.mark.parametrize(
    "make",
    [
        lambda ps: torch.optim.AdamW(ps, lr=1e-2),
        lambda ps: torch.optim.Adam(ps, lr=1e-2, fused=True),
        lambda ps: torch.optim.SGD(ps, lr=1e-2, momentum=0.9, nesterov=True),
        lambda ps: torch.optim.Adafactor(ps),
    ],
    ids=["AdamW", "Adam, fused", "SGD", "Adafactor"],
)
@pytest.mark.filterwarnings("ignore:snr has no numbers")
def test_training_is_bit_identical(make, with_optimizer: bool) -> None:
    """Weights and moments are equal to the last bit with and without signals."""
    models = small(), small()
    optimizers = [make(model.parameters()) for model in models]
    collector_for(models[0], optimizers[0], with_optimizer, **ALL)
    for model, optimizer in zip(models, optimizers):
        train(model, optimizer, 12)

    for one, other in zip(models[0].parameters(), models[1].parameters()):
        assert torch.equal(one, other)
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    for one, other in zip(states[0].values(), states[1].values()):
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key]))


@BOTH
def test_nothing_is_measured_unless_asked(with_optimizer: bool) -> None:
    """No hook comes after the step then."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)

    assert [dict(step.signals) for step in collector.steps] == [{}, {}]
    assert not optimizer._optimizer_step_post_hooks


def test_a_step_is_emitted_with_its_signals() -> None:
    """At once, when the step has ended, if the queue emits at once."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    parts = MonitorParts(queue=partial(StepQueue, max_delay=0.0))
    collector = StepCollector(model, optimizer, parts=parts, **ALL)
    for number in range(3):
        train(model, optimizer, 1)
        assert [step.number for step in collector.emitted] == [*range(number + 1)]
        assert "snr" in collector.emitted[-1].signals


@BOTH
def test_steps_that_are_all_skipped_are_emitted(with_optimizer: bool) -> None:
    """No hook comes after them, and their training is the one of which to tell."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    parts = MonitorParts(queue=partial(StepQueue, max_delay=0.0))
    collector = collector_for(
        model, optimizer, with_optimizer, scaler=scaler, parts=parts, **ALL
    )
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(4, 3)).sum() * torch.inf).backward()
        scaler.step(optimizer)
        scaler.update()

    assert [step.skipped for step in collector.emitted] == [True] * 3
    assert [dict(step.signals) for step in collector.emitted] == [{}] * 3


class FailingSteps:
    """Makes LocalNorms, but fails from one call on.

    Args:
        works: How many calls succeed.
    """

    def __init__(self, works: int) -> None:
        self.works = works

    def __call__(self, *args: object) -> LocalNorms:
        """Makes LocalNorms or raises ZeroDivisionError."""
        self.works -= 1
        if self.works < 0:
            raise ZeroDivisionError
        return LocalNorms(*args)


def train_and_flush(model, optimizer, collector: StepCollector, steps: int) -> None:
    """Trains, and has all steps emitted."""
    train(model, optimizer, steps)
    collector.monitor.flush()


@BOTH
@pytest.mark.parametrize("place", ["before", "after", "on the host"])
def test_an_error_ends_the_signals_alone(monkeypatch, place: str, with_optimizer) -> None:
    """One warning tells it; the norms go on, and the training is as without them."""
    model, plain = small(), small()
    optimizer = torch.optim.Adam(model.parameters())
    collector = collector_for(model, optimizer, with_optimizer, **ALL)
    train(model, optimizer, 2)
    target = {
        "before": "gradsound.measure.signals.moment_reader.MomentReader.begin",
        "after": "gradsound.measure.signals.moment_reader.MomentReader.end",
        "on the host": "gradsound.measure.signals.moment_averages.MomentAverages.add",
    }[place]
    collector.monitor.flush()
    monkeypatch.setattr(target, FailingSteps(0))
    with pytest.warns(GradsoundWarning, match="an error ended the signals") as told:
        train_and_flush(model, optimizer, collector, 4)
    other = torch.optim.Adam(plain.parameters())
    train(plain, other, 2)
    train(plain, other, 4)

    assert len(told) == 1
    assert "ZeroDivisionError" in str(told[0].message)
    assert [step.number for step in collector.steps] == [*range(6)]
    assert all(step.signals for step in collector.steps[:2])
    assert not collector.steps[-1].signals
    assert not collector.steps[-1].absent.any()
    for one, other in zip(model.parameters(), plain.parameters()):
        assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in torch's own code
@BOTH
def test_a_compiled_step(with_optimizer: bool) -> None:
    """It has as many graphs, and the signals are those of a step that is not compiled."""
    torch._dynamo.reset()
    steps = []
    counter = CompileCounter()
    for compiles in (True, False):
        model = small()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        collector = collector_for(model, optimizer, with_optimizer, **ALL)
        if compiles:
            optimizer.step = torch.compile(optimizer.step, backend=counter)
        train(model, optimizer, 6)
        steps.append(collector.steps)
        collector.monitor.close()

    bare = CompileCounter()
    torch._dynamo.reset()
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    optimizer.step = torch.compile(optimizer.step, backend=bare)
    train(model, optimizer, 6)

    assert counter.frame_count == bare.frame_count
    for name in SIGNAL_NAMES:
        compiled, plain = (signal(one, name) for one in steps)
        np.testing.assert_allclose(compiled, plain, rtol=1e-5)


def test_nothing_keeps_the_model_alive() -> None:
    """Neither weights nor optimizer, also if a step failed in between."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    collector = StepCollector(model, optimizer, **ALL)
    train(model, optimizer, 2)
    optimizer.param_groups[0]["betas"] = (0.5, 2.0, 1.0)  # too many
    with suppress(ValueError):
        train(model, optimizer, 1)
    optimizer.param_groups[0]["betas"] = (0.9, 0.99)
    train(model, optimizer, 1)
    assert [step.number for step in collector.steps] == [0, 1, 2, 3]
    references = [weakref.ref(one) for one in (optimizer, *model.parameters())]
    collector.layers = ()
    del model, optimizer
    gc.collect()

    assert [one() for one in references] == [None] * len(references)


def backward(model: nn.Module, times: int) -> None:
    """Makes some backward passes."""
    for _ in range(times):
        model(torch.rand(4, 3)).square().mean().backward()


def test_optimizers_that_step_in_the_backward_pass_are_told_once() -> None:
    """Their norms are measured, as without signals."""
    model = small()
    for parameter in model.parameters():
        optimizer = torch.optim.SGD([parameter], lr=1e-3, momentum=0.9)

        def step(_: torch.Tensor, optimizer=optimizer) -> None:
            optimizer.step()
            optimizer.zero_grad()

        parameter.register_post_accumulate_grad_hook(step)
    collector = StepCollector(model, **ALL)
    with pytest.warns(GradsoundWarning, match="SGD steps in the backward pass") as told:
        backward(model, 3)

    assert len(told) == 1
    assert [dict(one.signals) for one in collector.steps] == [{}, {}, {}]
    assert not collector.steps[-1].absent.any()


class Twice(torch.optim.AdamW):
    """Calls the step of its class, and then moves the weights once more."""

    def step(self, closure=None) -> None:
        """Makes a step."""
        super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(0.5)


@BOTH
def test_the_outer_of_nested_steps_counts(with_optimizer: bool) -> None:
    """The change is that of the whole step."""
    model = small()
    torch.optim.AdamW(model.parameters())  # from the first one on, its steps call hooks
    optimizer = Twice(model.parameters(), lr=1e-4)
    names = ("update_ratio",)
    collector = collector_for(model, optimizer, with_optimizer, signals=names)
    witness = train_on(model, optimizer, 5)

    found = signal(collector.steps, "update_ratio")[::4]
    np.testing.assert_allclose(found, witness.update_ratios[::4], rtol=1e-5)
    assert (found > 0.4).all()


def test_a_layer_keeps_its_signals_when_another_optimizer_takes_turns() -> None:
    """As in a GAN: at each step, the layers of one optimizer have signals."""
    model = small()
    parts = [model[0], model[2]]
    optimizers = [torch.optim.Adam(part.parameters(), lr=1e-3) for part in parts]
    collector = StepCollector(model, **ALL)
    for number in range(12):
        model.zero_grad()
        loss = model(torch.rand(4, 3)).square().mean()
        wanted = [*parts[number % 2].parameters()]
        for parameter, gradient in zip(wanted, torch.autograd.grad(loss, wanted)):
            parameter.backward(gradient)
        optimizers[number % 2].step()
    found = np.isnan(signal(collector.steps, "snr"))

    assert found.tolist() == [[k % 2 == 1, k % 2 == 0] for k in range(12)]
    ratios = signal(collector.steps, "update_ratio")
    assert [k for k in range(12) if not np.isnan(ratios[k, 0])] == [0, 8]
    assert [k for k in range(12) if not np.isnan(ratios[k, 1])] == [1, 9]


def test_the_header_says_how_signals_are_measured() -> None:
    """In a few words, by name."""
    parameters = [*small().parameters()]
    adam, rms = torch.optim.Adam(parameters), torch.optim.RMSprop(parameters)
    sgd = torch.optim.SGD(parameters, lr=0.1)

    assert describe_signals(SIGNAL_NAMES, [adam]) == {
        "update_ratio": "from the weights, every 4th step",
        "snr": "from the first moments of Adam",
        "zeros": "every 10th step",
    }
    assert describe_signals(["snr"], []) == {
        "snr": "from the first moments of the optimizer"
    }
    assert describe_signals(["snr"], [rms, adam]) == {
        "snr": "from the first moments of Adam"
    }
    assert describe_signals(["snr"], [rms, sgd]) == {
        "snr": "none, because RMSprop keeps no plain first moment, SGD without momentum "
        "keeps no first moment"
    }
    assert describe_signals((), [adam]) == {}


def test_a_copy_of_an_optimizer_has_signals_of_its_own() -> None:
    """An optimizer that joins later is read from its first step on."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    collector = StepCollector(model, **ALL)
    train(model, optimizer, 3)
    other = copy.copy(optimizer)
    other.state = type(optimizer.state)(dict)
    train(model, other, 3)

    found = signal(collector.steps, "snr")
    np.testing.assert_allclose(found[[0, 3]], 1, rtol=1e-5)
