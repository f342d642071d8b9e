"""Ranks as the layers of a run: each layer of such a run is a rank of one training.

Shapes: S steps, L layers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, eq=False)
class RankTimes:
    """When the ranks of a training made their steps; the layers of the block are ranks.

    Attributes:
        times: Seconds since the start of each rank, shape (S, L), float64; NaN where a rank
            has no step.
        waits: Seconds for which each rank waited for the others' gradients, shape (S, L),
            float64; NaN where that is unknown.
    """

    times: NDArray[np.float64]
    waits: NDArray[np.float64]

    def take(self, index: Any) -> RankTimes:
        """Returns the times at an index of numpy: of some steps, or of some ranks."""
        return RankTimes(self.times[index], self.waits[index])


def concatenate_times(times: Sequence[RankTimes | None]) -> RankTimes | None:
    """Returns the times of successive blocks, of which all have them, or none."""
    known = [one for one in times if one is not None]
    if not known:
        return None
    return RankTimes(
        np.concatenate([one.times for one in known]),
        np.concatenate([one.waits for one in known]),
    )
