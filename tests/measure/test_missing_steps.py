"""Why a training had no step: the warning at its end names what was seen instead."""

import re
from collections.abc import Callable

import pytest
import torch
from helpers.models import loss_of, sgd, small, train
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning

pytestmark = pytest.mark.usefixtures("own_folder")


def step_by_hand(model: nn.Module) -> None:
    loss_of(model, torch.Generator()).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sub_(parameter.grad)


def skip_steps(model: nn.Module) -> None:
    optimizer, scaler = sgd(model), torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(model, torch.Generator()) * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()


def train_another(_: nn.Module) -> None:
    other = small()
    train(other, sgd(other), 2)


ENDS = {
    "by hand": (step_by_hand, "weights changed, but not by the step of a torch optimizer"),
    "skipped": (skip_steps, "made gradients, .* goes to attach.scaler="),
    "backward": (lambda model: loss_of(model, torch.Generator()).backward(), "gradients, "),
    "another": (
        train_another,
        "SGD stepped, which has no parameter of the measured layers",
    ),
    "nothing": (lambda _: None, "no gradient, and nothing changed their weights"),
}


@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize("end", ENDS)
def test_the_reason_is_told(end: str, with_optimizer: bool) -> None:
    """The last sentence says what was seen instead of a step."""
    model = small()
    work: Callable[[nn.Module], None]
    work, reason = ENDS[end]
    optimizer = sgd(model) if with_optimizer else None
    attachment = gradsound.attach(model, optimizer)
    work(model)
    with pytest.warns(GradsoundWarning) as told:
        attachment.close()

    assert len(told) == 1
    message = str(told[0].message)
    start = "run.jsonl: no optimizer step was seen, so there is nothing to hear: "
    assert message.startswith(start)
    assert re.search(reason, message)


def test_a_step_without_gradients() -> None:
    """Attached without an optimizer, a step that applies nothing is no step."""
    model = small()
    attachment = gradsound.attach(model)
    sgd(model).step()
    with pytest.warns(GradsoundWarning, match="SGD stepped, but .* no gradient of these"):
        attachment.close()


def test_the_file_has_the_name_of_now() -> None:
    """If a later run took its name, the sentence has the name that the file got."""
    model = small()
    attachment = gradsound.attach(model)
    other = small()
    with gradsound.attach(other):
        train(other, sgd(other), 2)
    assert not [*gradsound.read_run("run.1.jsonl").steps]
    with pytest.warns(
        GradsoundWarning, match=r"^run\.1\.jsonl: no optimizer step was seen"
    ):
        attachment.close()

    assert len([*gradsound.read_run("run.jsonl").steps]) == 2
