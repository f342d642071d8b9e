"""This process and the others of a distributed training, without a wait for them."""

from __future__ import annotations

import secrets
from contextlib import suppress

import torch


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
    return share("training", secrets.token_hex(8))


def share(name: str, text: str) -> str:
    """Returns the text that the first of all ranks gave; empty without a store.

    Args:
        name: What the text is; one text is kept for each name.
        text: The text of this rank.
    """
    with suppress(RuntimeError, ValueError, TypeError):
        store = torch.distributed.distributed_c10d._get_default_store()
        if store is not None:
            return str(store.compare_set(f"gradsound/{name}", "", text).decode())
    return ""
