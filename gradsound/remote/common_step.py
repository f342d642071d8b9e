"""A step at which all ranks of a sharded training do the same."""

from __future__ import annotations

from typing import Any

from torch import distributed as dist

_LEAD = 3  # steps; a rank that runs ahead must learn of the step before it comes


class CommonStep:
    """Chooses a step that has not come yet, without waiting for another rank.

    All ranks of a sharded training make the same collectives. So the count of these tells
    each rank where it is. Rank 0 chooses, once all ranks are here.

    Args:
        name: The same on all ranks, and new each time.
    """

    def __init__(self, name: str) -> None:
        store = dist.distributed_c10d._get_default_store()
        self._store = dist.PrefixStore(f"gradsound/{name}", store)  # type: ignore[attr-defined]
        self._rank, size = dist.get_rank(), dist.get_world_size()
        self._ranks = [str(rank) for rank in range(size)]
        self._last: int | None = None  # count at the last step
        self._chosen: int | None = None  # count from which on the step has come
        self._store.set(str(self._rank), "")

    def has_come(self) -> bool:
        """Returns whether this step of this rank is the chosen one, or later.

        Raises:
            RuntimeError: If the ranks make no collectives between steps.
        """
        groups: list[Any] = [*dist.distributed_c10d._world.pg_map]
        count = sum(group._get_sequence_number_for_group() for group in groups)
        if self._chosen is None and self._rank != 0:
            if self._store.check(["step"]):
                self._chosen = int(self._store.get("step"))
        elif self._chosen is None and self._last is not None:
            if count == self._last:
                raise RuntimeError("the ranks of a sharded model make no collectives")
            if self._store.check(self._ranks):
                self._chosen = count + _LEAD * (count - self._last)
                self._store.set("step", str(self._chosen))
        self._last = count
        return self._chosen is not None and count >= self._chosen
