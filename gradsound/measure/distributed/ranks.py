"""Number of this process and of all processes in a distributed training."""

from __future__ import annotations

import torch


def current_rank() -> int:
    """Returns the number of this process, from 0; 0 without torch.distributed."""
    return torch.distributed.get_rank() if rank_count() > 1 else 0


def rank_count() -> int:
    """Returns the number of processes that train together; 1 without torch.distributed."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1
