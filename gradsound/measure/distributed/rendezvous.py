"""Ranks that must do something together find out at once whether they do."""

from __future__ import annotations

from datetime import timedelta

import torch.distributed as dist

_PATIENCE = 10.0  # seconds that ranks wait for one another
_meetings = 0  # how many there were, the same on all ranks


def meet(what: str, agreed: str = "") -> None:
    """Waits until all ranks are here, a little while, and have the same to say.

    It goes through the store that the ranks found each other by: a collective could not be
    given up again once begun.

    Args:
        what: What each rank has called, for the message.
        agreed: What must be the same on all of them.

    Raises:
        RuntimeError: If some are missing, or have something else to say.
    """
    global _meetings  # noqa: PLW0603 (as many as on every other rank)
    store = dist.PrefixStore(  # type: ignore[attr-defined]
        f"gradsound/{_meetings}", dist.distributed_c10d._get_default_store()
    )
    own, words = str(dist.get_rank()), f"{what} {agreed}"
    everyone = [str(rank) for rank in range(dist.get_world_size())]
    store.set(own, words)
    try:
        store.wait(everyone, timedelta(seconds=_PATIENCE))
    except RuntimeError as error:
        missing = [rank for rank in everyone if not store.check([rank])]
        store.delete_key(own)
        raise RuntimeError(
            f"rank {', '.join(missing)} did not call {what} within {_PATIENCE:g} s: of a "
            "sharded model (FSDP2, tensor parallel) every rank has a part of each "
            "gradient, so all ranks must"
        ) from error
    _meetings += 1
    different = [rank for rank in everyone if store.get(rank).decode() != words]
    if different:
        raise RuntimeError(
            f"rank {', '.join(different)} called something else than {what}, or with other "
            "layers: of a sharded model all ranks must measure the same"
        )
