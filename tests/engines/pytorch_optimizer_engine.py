"""pytorch_optimizer: optimizers with closures, and SAM in two steps."""

from __future__ import annotations

from contextlib import nullcontext

import pytorch_optimizer
import torch
from checked_case import RUN, Training, check, copies, data
from helpers.models import small
from helpers.oracle import true_norms
from optimizer_case import check_optimizer

import gradsound


def train_mode(optimizer: object, *_: object) -> None:
    """Sets the mode that ScheduleFreeAdamW demands before a step."""
    if hasattr(optimizer, "train"):
        optimizer.train()


def sam_in_two_steps(attached: bool) -> Training:
    """Trains by first_step() and second_step()."""
    model = small()
    optimizer = pytorch_optimizer.SAM(model.parameters(), torch.optim.SGD, lr=0.01)
    done = Training()
    recording = gradsound.attach(model, optimizer, log=RUN) if attached else nullcontext()
    with recording:
        for x in data(48).split(8):
            model(x).square().mean().backward()
            optimizer.first_step(zero_grad=True)
            model(x).square().mean().backward()
            done.applied.append(true_norms(model))
            optimizer.second_step(zero_grad=True)
    done.weights = copies(model)
    return done


for name in ("Lion", "AdaBelief", "Ranger", "Ranger21", "ScheduleFreeAdamW"):
    kind = getattr(pytorch_optimizer, name)
    options = {"num_iterations": 100} if name == "Ranger21" else {}
    for closure in (False, True):
        check_optimizer(
            f"{name}{', closure' if closure else ''}",
            lambda m, kind=kind, options=options: kind(m.parameters(), lr=0.01, **options),
            closure=closure,
            before=train_mode,
        )
check("SAM, first_step and second_step", sam_in_two_steps)
check_optimizer(
    "Lookahead around AdamW",
    lambda m: pytorch_optimizer.Lookahead(torch.optim.AdamW(m.parameters(), lr=0.01)),
)
