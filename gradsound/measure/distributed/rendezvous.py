"""Waits until all ranks of a sharded model make the same call, or raises an error."""

from __future__ import annotations

from datetime import timedelta

import torch.distributed as dist

_TIMEOUT_SECONDS = 10.0  # longer than ranks of one training differ, short enough to notice
_rendezvous_count = 0  # equal on all ranks, so each rendezvous has keys of its own


def wait_for_ranks(call: str, arguments: str = "") -> None:
    """Waits up to 10 seconds until all ranks make the same call.

    It uses the store of the default process group. A collective would not do, because a
    rank cannot cancel a collective.

    Args:
        call: Name of the function that each rank calls, for messages.
        arguments: Text that must be equal on all ranks.

    Raises:
        RuntimeError: If a rank does not call in time, or has other arguments.
        ValueError: If there is no process group any more.
    """
    global _rendezvous_count  # noqa: PLW0603 (all ranks must count alike)
    store = dist.PrefixStore(  # type: ignore[attr-defined]
        f"gradsound/{_rendezvous_count}", dist.distributed_c10d._get_default_store()
    )
    rank, message = str(dist.get_rank()), f"{call} {arguments}"
    ranks = [str(rank) for rank in range(dist.get_world_size())]
    store.set(rank, message)
    try:
        store.wait(ranks, timedelta(seconds=_TIMEOUT_SECONDS))
    except RuntimeError as error:
        missing = [rank for rank in ranks if not store.check([rank])]
        store.delete_key(rank)
        raise RuntimeError(
            f"rank {', '.join(missing)} did not call {call} within {_TIMEOUT_SECONDS:g} s: "
            "each rank has a part of every gradient of a sharded model (FSDP2, tensor "
            f"parallel), so all ranks must call {call}"
        ) from error
    _rendezvous_count += 1
    different = [rank for rank in ranks if store.get(rank).decode() != message]
    if different:
        raise RuntimeError(
            f"rank {', '.join(different)} did not call {call} with the same layers: all "
            "ranks of a sharded model must measure the same layers"
        )
