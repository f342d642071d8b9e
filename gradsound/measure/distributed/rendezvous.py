"""Waits until all ranks make the same call, or raises an error."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import torch.distributed as dist

from gradsound.runs.resume_point import find_next_step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradsound.runs.model import Header

_TIMEOUT_SECONDS = 10.0  # longer than ranks of one training differ, short enough to notice
# Of the same ranks; equal on all of them, so each rendezvous has keys of its own.
_rendezvous_counts: Counter[str] = Counter()


def wait_for_ranks(call: str, arguments: str = "", part: str = "") -> list[list[int]]:
    """Waits up to 10 seconds until all ranks of a sharded model make the same call.

    Args:
        call: Name of the function that each rank calls, for messages.
        arguments: Text that must be equal on all ranks of a part of the model.
        part: Name of this rank's part of the model, in a pipeline; empty for the whole
            model. All ranks have a part, or none.

    Returns:
        The ranks of each part.

    Raises:
        RuntimeError: If a rank does not call in time, or has other arguments.
        ValueError: If there is no process group any more.
    """
    message = f"{part}\n{call} {arguments}"
    messages = _exchange(
        call,
        message,
        "each rank has a part of every gradient of a sharded model (FSDP2, tensor "
        f"parallel, ZeRO), so all ranks must call {call}",
    )
    parts: dict[str, list[int]] = {}
    different = []
    for rank, other in enumerate(messages):
        its_part, its_call = other.split("\n", 1)
        parts.setdefault(its_part, []).append(rank)
        other_part = part and its_part and its_part != part and its_call.startswith(call)
        if other != message and not other_part:
            different.append(str(rank))
    if different:
        raise RuntimeError(
            f"rank {', '.join(different)} did not call {call} with the same layers: all "
            "ranks of a sharded model must measure the same layers"
        )
    return [*parts.values()]


def find_common_step(log: Path, header: Header, ranks: Sequence[int]) -> int:
    """Returns the number of the step at which all ranks go on, each in its own run file.

    That is the highest next step of a file. A kill of the training may leave files with
    different last steps, and the next step of the training is one step on all ranks.

    Args:
        log: The run file of this rank, which may not exist yet.
        header: The header of the training.
        ranks: The ranks that record, this one among them.

    Raises:
        OSError: If the file cannot be read.
        RuntimeError: If a rank does not call in time, or cannot go on in its file.
        ValueError: If this rank cannot go on in its file.
    """
    step = ""
    try:
        step = str(find_next_step(log, header))
    finally:  # if this rank fails, the other ranks fail at once too
        steps = _exchange(
            "attach()",
            step,
            "with resume=True, all ranks that record must call attach(), or you must give "
            "start_step",
            ranks,
        )
    failed = [str(rank) for rank, other in zip(ranks, steps) if not other]
    if failed:
        raise RuntimeError(
            f"rank {', '.join(failed)} cannot go on in its run file, so no rank does; the "
            "error of that rank says why"
        )
    return max(map(int, steps))


def _exchange(
    call: str, message: str, reason: str, ranks: Sequence[int] | None = None
) -> list[str]:
    """Gives a text to other ranks; returns the texts of all of them, by rank.

    It uses the store of the default process group. A collective would not do, because a
    rank cannot cancel a collective.

    Args:
        call: Name of the function that each rank calls, for messages.
        message: The text of this rank.
        reason: Why these ranks must call, for messages.
        ranks: The ranks, this one among them; None for all.

    Raises:
        RuntimeError: If a rank does not call within 10 seconds.
        ValueError: If there is no process group any more.
    """
    names = [str(rank) for rank in ranks or range(dist.get_world_size())]
    among = "" if ranks is None else f"{'-'.join(names)}/"
    store = dist.PrefixStore(  # type: ignore[attr-defined]
        f"gradsound/{among}{_rendezvous_counts[among]}",
        dist.distributed_c10d._get_default_store(),
    )
    rank = str(dist.get_rank())
    store.set(rank, message)
    try:
        store.wait(names, timedelta(seconds=_TIMEOUT_SECONDS))
    except RuntimeError as error:
        missing = [name for name in names if not store.check([name])]
        store.delete_key(rank)
        raise RuntimeError(
            f"rank {', '.join(missing)} did not call {call} within {_TIMEOUT_SECONDS:g} s: "
            f"{reason}"
        ) from error
    _rendezvous_counts[among] += 1
    return [store.get(name).decode() for name in names]
