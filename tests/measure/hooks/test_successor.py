"""A training that replaces its optimizer: one warning, unless it is known to be over."""

import gc

import pytest
import torch
from helpers.models import sgd, small, train
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning

pytestmark = pytest.mark.usefixtures("own_folder")
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
