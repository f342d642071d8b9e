"""Waits until all ranks make the same call, or raises an error."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import torch.distributed as dist

from gradsound.runs.resume_point import find_next_step

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.runs.model import Header

_TIMEOUT_SECONDS = 10.0  # longer than ranks of one training differ, short enough to notice
_rendezvous_count = 0  # equal on all ranks, so each rendezvous has keys of its own


def wait_for_ranks(call: str, arguments: str = "") -> None:
    """Waits up to 10 seconds until all ranks of a sharded model make the same call.

    Args:
        call: Name of the function that each rank calls, for messages.
        arguments: Text that must be equal on all ranks.

    Raises:
        RuntimeError: If a rank does not call in time, or has other arguments.
        ValueError: If there is no process group any more.
    """
    message = f"{call} {arguments}"
    messages = _exchange(
        call,
        message,
        "each rank has a part of every gradient of a sharded model (FSDP2, tensor "
        f"parallel), so all ranks must call {call}",
    )
    different = [str(rank) for rank, other in enumerate(messages) if other != message]
    if different:
        raise RuntimeError(
            f"rank {', '.join(different)} did not call {call} with the same layers: all "
            "ranks of a sharded model must measure the same layers"
        )


def find_common_step(log: Path, header: Header) -> int:
    """Returns the number of the step at which all ranks go on, each in its own run file.

    That is the highest next step of a file. A kill of the training may leave files with
    different last steps, and the next step of the training is one step on all ranks.

    Args:
        log: The run file of this rank, which may not exist yet.
        header: The header of the training.

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
            "with ranks='each' and resume=True, all ranks must call attach(), or you must "
            "give start_step",
        )
    failed = [str(rank) for rank, other in enumerate(steps) if not other]
    if failed:
        raise RuntimeError(
            f"rank {', '.join(failed)} cannot go on in its run file, so no rank does; the "
            "error of that rank says why"
        )
    return max(map(int, steps))


def _exchange(call: str, message: str, reason: str) -> list[str]:
    """Gives a text to all ranks; returns the texts of all ranks, by rank.

    It uses the store of the default process group. A collective would not do, because a
    rank cannot cancel a collective.

    Args:
        call: Name of the function that each rank calls, for messages.
        message: The text of this rank.
        reason: Why all ranks must call, for messages.

    Raises:
        RuntimeError: If a rank does not call within 10 seconds.
        ValueError: If there is no process group any more.
    """
    global _rendezvous_count  # noqa: PLW0603 (all ranks must count alike)
    store = dist.PrefixStore(  # type: ignore[attr-defined]
        f"gradsound/{_rendezvous_count}", dist.distributed_c10d._get_default_store()
    )
    rank = str(dist.get_rank())
    ranks = [str(rank) for rank in range(dist.get_world_size())]
    store.set(rank, message)
    try:
        store.wait(ranks, timedelta(seconds=_TIMEOUT_SECONDS))
    except RuntimeError as error:
        missing = [rank for rank in ranks if not store.check([rank])]
        store.delete_key(rank)
        raise RuntimeError(
            f"rank {', '.join(missing)} did not call {call} within {_TIMEOUT_SECONDS:g} s: "
            f"{reason}"
        ) from error
    _rendezvous_count += 1
    return [store.get(rank).decode() for rank in ranks]
