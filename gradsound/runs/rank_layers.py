"""Ranks as the layers of a run: each layer of such a run is a rank of one training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"rank \d+")
WAIT = "reduction_wait"  # value: seconds for which a rank waited for others' gradients
RANK_MIN = 2  # a rank alone has no others to deviate from


def rank_name(rank: int) -> str:
    """Returns the name of a rank as a layer of a run: "rank 3"."""
    return f"rank {rank}"


def are_ranks(layers: Sequence[str]) -> bool:
    """Returns whether the layers of a run are ranks of one training.

    No module of torch has such names by itself.
    """
    return len(layers) >= RANK_MIN and all(map(_NAME.fullmatch, layers))
