"""A case of one optimizer: a small model, a loop, clipping."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from checked_case import RUN, Training, check, copies, data
from helpers.models import small
from helpers.oracle import true_norms
from torch import nn

import gradsound

_CLIP = 1 / 13


def check_optimizer(
    case: str,
    make: Callable[[nn.Module], Any],
    *,
    model: Callable[[], nn.Module] = small,
    loss: Callable[[nn.Module, torch.Tensor], torch.Tensor] | None = None,
    clip: bool = True,
    closure: bool = False,
    before: Callable[[Any, nn.Module, int], None] = lambda *_: None,
    given: Callable[[Any], Any] = lambda optimizer: optimizer,
) -> None:
    """Prints what is right with an optimizer.

    Args:
        case: A few words.
        make: Makes the optimizer.
        model: Makes the model, seeded.
        loss: Returns the loss of a batch; the mean square of the output by default.
        clip: Whether to clip the gradients.
        closure: Whether the steps get a closure.
        before: Called before each step with optimizer, model and number of the step.
        given: Returns what `gradsound.attach` gets for the optimizer.
    """
    loss_of = loss or (lambda model, x: model(x).square().mean())

    def train(attached: bool) -> Training:
        net = model()
        optimizer = make(net)
        done = Training(raw=[] if clip else None)
        recording = nullcontext()
        if attached:
            recording = gradsound.attach(net, given(optimizer), log=RUN)

        def evaluate(x: torch.Tensor) -> tuple[torch.Tensor, list[dict[str, float]]]:
            optimizer.zero_grad()
            value = loss_of(net, x)
            value.backward()
            norms = [true_norms(net)]
            if clip:
                torch.nn.utils.clip_grad_norm_(net.parameters(), _CLIP)
                norms.append(true_norms(net))
            return value, norms

        with recording:
            for number, x in enumerate(data(48).split(8)):
                before(optimizer, net, number)
                evaluations = []
                if closure:

                    def again(x: torch.Tensor = x, made: list = evaluations) -> Any:
                        with torch.enable_grad():
                            value, norms = evaluate(x)
                        made.append(norms)
                        return value

                    optimizer.step(again)
                else:
                    evaluations.append(evaluate(x)[1])
                    optimizer.step()
                done.applied.append(evaluations[-1][-1])
                if done.raw is not None:
                    done.raw.append(evaluations[-1][0])
        done.weights = copies(net)
        return done

    check(case, train)
