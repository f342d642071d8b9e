"""Number of this process and of all processes in a distributed training."""

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
    with suppress(RuntimeError, ValueError, TypeError):
        store = torch.distributed.distributed_c10d._get_default_store()
        if store is not None:
            name = store.compare_set("gradsound/training", "", secrets.token_hex(8))
            return str(name.decode())
    return ""
