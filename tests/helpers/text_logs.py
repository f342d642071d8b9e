"""Reads logs that are texts, and writes them as they grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from gradsound.logs.scalars import Scalars

Steps = dict[float, dict[str, float]]  # values by name, by step


def to_steps(pieces: Iterable[Scalars | None]) -> Steps:
    """Returns the values of each step, of which the later one of a name counts."""
    steps: Steps = {}
    for piece in pieces:
        if piece is not None:
            names = [piece.names[place] for place in piece.places.tolist()]
            entries = zip(piece.steps.tolist(), names, piece.values.tolist())
            for step, name, value in entries:
                steps.setdefault(step, {})[name] = value
    return steps


def times(pieces: Iterable[Scalars | None]) -> dict[float, float]:
    """Returns the last time of each step."""
    found = {}
    for piece in pieces:
        if piece is not None:
            found.update(zip(piece.steps.tolist(), piece.times.tolist()))
    return found


def read_text(
    read: Callable[..., Iterator[Scalars | None]], path: Path, text: str, **options: Any
) -> Steps:
    """Writes a text, and returns the steps that a reader finds in it, without damage."""
    path.write_text(text, newline="")
    damages: list[str] = []
    steps = to_steps(read(path, damages.append, **options))
    assert damages == []
    return steps


def grow(path: Path, pieces: Iterable[bytes]) -> Callable[[], bool]:
    """Returns a function to wait for more, which appends one piece a call."""
    remaining = iter(pieces)

    def wait_for_more() -> bool:
        piece = next(remaining, None)
        if piece is not None:
            with path.open("ab") as file:
                file.write(piece)
        return piece is not None

    return wait_for_more
