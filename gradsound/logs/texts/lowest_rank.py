"""The lowest rank of a console in which several ranks print the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.logs.texts.console_step import find_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.logs.row import Row


class LowestRank:
    """Chooses the rows of the lowest rank that prints norms."""

    def __init__(self) -> None:
        self._rank: int | None = None  # the lowest so far

    def take_lowest(self, rows: Sequence[tuple[int, Row]]) -> list[Row]:
        """Returns the rows of the lowest rank.

        Args:
            rows: The next rows, each with its rank; -1 if it is unknown.
        """
        ranks = {rank for rank, row in rows if rank != self._rank and _has_norm(row)}
        if self._rank is not None:
            ranks.add(self._rank)
        self._rank = min(ranks, default=None)
        return [row for rank, row in rows if rank == self._rank]


def _has_norm(row: Row) -> bool:
    return bool(find_norms((*row.values,)))
