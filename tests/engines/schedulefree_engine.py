"""schedulefree: optimizers whose steps change the gradients, with a closure and without."""

from __future__ import annotations

import schedulefree
from optimizer_case import check_optimizer


def train_mode(optimizer: object, *_: object) -> None:
    """Sets the mode that schedulefree demands before a step."""
    if hasattr(optimizer, "train"):
        optimizer.train()


for kind in (
    schedulefree.AdamWScheduleFree,
    schedulefree.SGDScheduleFree,
    schedulefree.RAdamScheduleFree,
):
    for closure in (False, True):
        check_optimizer(
            f"{kind.__name__}{', closure' if closure else ''}",
            lambda model, kind=kind: kind(model.parameters(), lr=0.01),
            closure=closure,
            before=train_mode,
        )
check_optimizer(
    "AdamWScheduleFreeClosure, closure",
    lambda m: schedulefree.AdamWScheduleFreeClosure(m.parameters(), lr=0.01),
    closure=True,
    before=train_mode,
)
