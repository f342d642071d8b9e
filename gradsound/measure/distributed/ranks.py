"""This process and the others of a distributed training, without a wait for them."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from gradsound.errors import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

_done: set[str] = set()  # what this process does once


def current_rank() -> int:
    """Returns the number of this process, from 0; 0 without torch.distributed."""
    return torch.distributed.get_rank() if rank_count() > 1 else 0


def rank_count() -> int:
    """Returns the number of processes that train together; 1 without torch.distributed."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def training_name() -> str:
    """Returns a text that all ranks of this training share, and no other training.

    The first rank that calls it gives the text to the store of the process group; no rank
    waits for another. Returns an empty text if the group has no store.
    """
    return _share("training", secrets.token_hex(8))


def warn_of_other_layers(layers: Sequence[str]) -> None:
    """Warns if an earlier rank attached to other layers: rank 0 alone records.

    Of each process, the first attachment alone counts: later ones may be of some ranks.

    Args:
        layers: What ranks that train the same model have in common.
    """
    if "layers" in _done:
        return
    _done.add("layers")
    rank = current_rank()
    digest = hashlib.sha256("\n".join(layers).encode()).hexdigest()
    other, _, its = _share("layers", f"{rank} {digest}").partition(" ")
    if its not in ("", digest) and _share("warned", str(rank)) == str(rank):
        warn(
            f"rank {rank} has other layers than rank {other}, and rank 0 alone records: in "
            "a pipeline that you wrote yourself, give stage= to attach() on every rank"
        )


def _share(name: str, text: str) -> str:
    """Returns the text that the first of all ranks gave; empty without a store."""
    with suppress(RuntimeError, ValueError, TypeError):
        store = torch.distributed.distributed_c10d._get_default_store()
        if store is not None:
            return str(store.compare_set(f"gradsound/{name}", "", text).decode())
    return ""
