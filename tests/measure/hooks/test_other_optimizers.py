"""Optimizers that attach() did not get: those that step first, and later ones."""

import gc
from contextlib import nullcontext

import pytest
import torch
from helpers.models import loss_of, sgd, small, train
from helpers.oracle import assert_steps, true_norms
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning

pytestmark = pytest.mark.usefixtures("own_folder")
FIRST = "the Adam that attach.. got has made no step, but this .* gradsound records its"
GONE = "the optimizer that attach.. got is gone, .* steps of the new Adam: attach again"


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters())


def numbers() -> list[int]:
    return [step.number for step in gradsound.read_run("run.jsonl").steps]


def test_a_new_optimizer_in_the_middle() -> None:
    """One warning says that its steps are not recorded; the remedy works."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer):
        train(model, optimizer, 3)
        optimizer = adam(model)
        with pytest.warns(GradsoundWarning, match=GONE) as warned:
            train(model, optimizer, 9)
        assert len(warned) == 1
        with gradsound.attach(model, optimizer, resume=True):
            train(model, optimizer, 2)

    assert numbers() == [*range(5)]


def test_one_new_optimizer_of_several() -> None:
    """If one of several optimizers is replaced, the warning comes too."""
    model = small()
    optimizers = [sgd(model[0]), sgd(model[2])]
    with gradsound.attach(model, optimizers):
        train(model, optimizers[0], 1)
        optimizers[1] = adam(model[2])
        with pytest.warns(GradsoundWarning, match=GONE):
            train(model, optimizers[1], 3)
        train(model, optimizers[0], 1)


def test_a_model_that_is_attached_without_an_optimizer() -> None:
    """The run has the steps of any optimizer, without a warning."""
    model = small()
    with gradsound.attach(model):
        train(model, sgd(model), 3)
        train(model, adam(model), 4)

    assert numbers() == [*range(7)]


@pytest.mark.parametrize("end", ["close", "attach again", "attach a part"])
def test_a_second_training_that_is_known(end: str) -> None:
    """After close() or another attach(), a new optimizer is no surprise."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer)
    train(model, optimizer, 1)
    if end == "close":
        attachment.close()
    del optimizer
    gc.collect()
    optimizer = adam(model)
    if end == "attach again":
        gradsound.attach(model, optimizer)
    elif end == "attach a part":
        gradsound.attach(model[2], optimizer, layers="*")
    train(model, optimizer, 2)


def test_optimizers_of_other_models() -> None:
    """After the end of a training, another model trains without a warning."""
    model = small()
    optimizer = sgd(model)
    gradsound.attach(model, optimizer)
    train(model, optimizer, 1)
    del optimizer
    gc.collect()
    other = small()
    train(other, sgd(other), 2)
    del model
    gc.collect()
    train(other, sgd(other), 2)


def test_an_optimizer_that_calls_another_one() -> None:
    """An optimizer inside the attached one (SAM, Lookahead) gives no warning."""

    class Outer(torch.optim.Optimizer):
        def __init__(self, model: nn.Module) -> None:
            super().__init__(model.parameters(), {})
            self.inner = adam(model)

        def step(self, closure: object = None) -> None:
            self.inner.step(closure)

    model = small()
    optimizer = Outer(model)
    with gradsound.attach(model, optimizer):
        train(model, optimizer, 3)

    assert numbers() == [0, 1, 2]


class Container(torch.optim.Optimizer):
    """An optimizer that calls another one, which it keeps where nobody looks."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__(inner.param_groups, {})
        self.inside = [inner]

    def step(self, closure: object = None) -> None:
        self.inside[0].step(closure)


@pytest.mark.parametrize("kind", ["replaced", "inside", "closure"])
def test_another_optimizer_steps_first(kind: str) -> None:
    """From its first step on, its steps are recorded, each once.

    A warning tells it at the second step, unless the given one steps inside.
    """
    model = small()
    given = adam(model)
    optimizer = Container(given) if kind == "inside" else sgd(model)
    truth, data = [], torch.Generator().manual_seed(1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, data)
        loss.backward()
        return loss

    def step() -> None:
        if kind == "closure":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        truth.append(true_norms(model))

    with gradsound.attach(model, given):
        step()
        with (
            nullcontext()
            if kind == "inside"
            else pytest.warns(GradsoundWarning, match=FIRST)
        ):
            step()
        step()
    run = gradsound.read_run("run.jsonl")

    assert_steps([*run.steps], run.header.layers, truth)


def test_each_optimizer_that_steps_first_is_recorded() -> None:
    """Two that share the layers of the given one are; a third of other layers is not."""
    model, other = small(), small()
    given = adam(model)
    halves, stranger = [sgd(model[0]), sgd(model[2])], sgd(other)
    with gradsound.attach(model, given):
        for optimizer in halves:
            train(model, optimizer, 1)
            with pytest.warns(GradsoundWarning, match=FIRST):
                train(model, optimizer, 1)
        train(other, stranger, 2)
    steps = [*gradsound.read_run("run.jsonl").steps]

    absent = [[False, True]] * 2 + [[True, False]] * 2
    assert [step.absent.tolist() for step in steps] == absent


def test_another_optimizer_after_the_given_one_proves_nothing() -> None:
    """Once the given one has stepped, no step of another is recorded or warned of."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer):
        train(model, optimizer, 2)
        train(model, adam(model), 2)

    assert numbers() == [0, 1]


def test_a_scaler_serves_the_optimizer_that_steps_first() -> None:
    """A step that the scaler skips is recorded as one."""
    model = small()
    given, optimizer, scaler = adam(model), sgd(model), torch.amp.GradScaler("cpu")

    def step(factor: float) -> None:
        scaler.scale(loss_of(model, torch.Generator()) * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    with gradsound.attach(model, given, scaler=scaler):
        step(1.0)
        step(float("inf"))
        with pytest.warns(GradsoundWarning, match=FIRST):
            step(1.0)

    steps = [*gradsound.read_run("run.jsonl").steps]
    assert [step.skipped for step in steps] == [False, True, False]
