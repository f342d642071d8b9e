"""The optimizers that make one run together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.errors import error_text
from gradsound.measure.layers import parameter_ids
from gradsound.script.found_run import parameters_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.optim import Optimizer

    from gradsound.script.first_cycle import FirstCycle
    from gradsound.script.found_run import FoundRun


def find_group(
    optimizer: Optimizer, waiting: Sequence[Optimizer], cycle: FirstCycle
) -> tuple[list[Optimizer], bool]:
    """Returns the optimizers that share a backward pass, and whether no other one waits.

    Args:
        optimizer: One of them.
        waiting: All optimizers without a run, from the oldest on.
        cycle: What is known of those that existed before.
    """
    partners = cycle.partners_of(optimizer)
    group, held = [optimizer], parameter_ids([optimizer]) or set()
    for one in waiting:
        if cycle.has(one):
            shares = any(one is partner for partner in partners)
        else:
            shares = any(p.grad is not None for p in parameters_of(one))
        own = parameter_ids([one]) or set()
        if shares and held.isdisjoint(own):
            group.append(one)
            held |= own
    alone = not any(
        p.requires_grad and id(p) not in held for one in waiting for p in parameters_of(one)
    )
    return group, alone


def describe_group(
    run: FoundRun, group: Sequence[Optimizer], file: str, *, several: bool
) -> str:
    """Returns a sentence about which model is recorded, and where.

    Args:
        run: The run.
        group: Its optimizers.
        file: The name of its file.
        several: Whether there may be other runs at the same time.
    """
    names = " and ".join(type(one).__name__ for one in group)
    if len(group) > 1:
        names += " after one backward pass"
    layers = f"{run.layer_count} layer{'' if run.layer_count == 1 else 's'}"
    more = "; each optimizer has a run of its own" if several else ""
    return f"records {run.name} ({layers}, {names}) in {file}{more}"


def describe_refusal(optimizer: Optimizer, error: Exception) -> str:
    """Returns a sentence about why an optimizer is not recorded."""
    name = type(optimizer).__name__
    text = f"{name} is not recorded, the script goes on: {error_text(error)}"
    if isinstance(error, PermissionError):  # as where root attaches to another user
        text += "; give --log a file that the user of the training may write"
    return text
