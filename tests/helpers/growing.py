"""Reads logs while they grow: each edit happens when the reader has read all there is."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradsound.logs.scalars import Scalars, WaitForMore

Entry = tuple[str, float | None, float]  # name, step, value


def list_entries(scalars: Scalars) -> list[Entry]:
    """Returns name, step (None if it has none) and value of each entry."""
    numbers = zip(scalars.places.tolist(), scalars.steps.tolist(), scalars.values.tolist())
    return [
        (scalars.names[place], None if isnan(step) else step, value)
        for place, step, value in numbers
    ]


def read_growing(
    read: Callable[[WaitForMore], Iterator[Scalars | None]],
    *edits: Callable[[], object],
) -> list[list[Entry]]:
    """Returns what a reader yields at first and after each edit of its log."""
    waiting, seen = [*edits], [list[Entry]()]

    def wait_for_more() -> bool:
        if not waiting:
            return False
        waiting.pop(0)()
        return True

    for scalars in read(wait_for_more):
        if scalars is None:
            seen.append([])
        else:
            seen[-1] += list_entries(scalars)
    last = seen.pop() if not seen[-1] else []
    assert len(seen) == len(edits) + 1 or last
    return seen
