"""Reads the JSON lines of offline runs that lie in a folder or in a zip file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.errors import RunFormatError
from gradsound.logs.entries import make_scalars
from gradsound.logs.file_signatures import is_zip
from gradsound.logs.json_decoder import decode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from gradsound.logs.entries import Entry
    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

_READ_BYTES = 1 << 20
_HEAD_BYTES = 4  # that tell a zip file
_LINE_MAX = 1 << 24  # bytes; a line may hold hundreds of events, plots among them


def read_entries(
    path: Path,
    member: str,
    parse: Callable[[Any], Iterable[Entry]],
    on_damage: OnDamage,
    wait_for_more: WaitForMore,
) -> Iterator[Scalars | None]:
    """Yields the scalars in JSON lines; `scalars` says how.

    Args:
        path: As for `read_lines`, and so are the other arguments and the errors.
        member: The name of the file of lines.
        parse: Returns the entries in the value of a line.
        on_damage: Called with the number of each line that is damaged.
        wait_for_more: Called after each None. It returns whether to read on.
    """
    for values in read_lines(path, member, on_damage, wait_for_more):
        if values is None:
            yield None
        elif entries := [entry for value in values for entry in parse(value)]:
            yield make_scalars(entries, on_damage)


def read_lines(
    path: Path, member: str, on_damage: OnDamage, wait_for_more: WaitForMore
) -> Iterator[list[Any] | None]:
    """Yields the values of JSON lines, in groups.

    A file that does not exist yet has no lines.

    Args:
        path: A zip file or folder that has the file of lines, or this file itself.
        member: The name of the file of lines.
        on_damage: Called with the number of each line that is damaged.
        wait_for_more: Called after each None. It returns whether to read on.

    Yields:
        Values of lines; None when all that are there have been read.

    Raises:
        OSError: If the file cannot be read.
    """
    lines = _Lines(on_damage)
    path = path / member if path.is_dir() else path
    if path.is_file() and _is_zip_file(path):
        yield from _read_zip(path, member, lines, on_damage)
        yield None  # a tool writes the zip file at the end of a run
        return
    while not path.exists():
        yield None
        if not wait_for_more():
            return
    with path.open("rb") as file:
        while True:
            while data := file.read(_READ_BYTES):
                yield lines.decode(data)
            yield None
            if not wait_for_more():
                lines.end()
                return


def _is_zip_file(path: Path) -> bool:
    with path.open("rb") as file:
        return is_zip(file.read(_HEAD_BYTES))


def _read_zip(
    path: Path, member: str, lines: _Lines, on_damage: OnDamage
) -> Iterator[list[Any]]:
    from gradsound.logs.trackers.zip_file import (
        read_member,  # zipfile takes time to import
    )

    try:
        for data in read_member(path, member, _READ_BYTES):
            yield lines.decode(data)
        lines.end()
    except RunFormatError:
        on_damage("the zip file is damaged")


class _Lines:
    """Decodes the lines of a file that comes in parts."""

    def __init__(self, on_damage: OnDamage) -> None:
        self._on_damage = on_damage
        self._number, self._rest = 1, b""  # of the line in progress
        self._is_too_long = False

    def decode(self, data: bytes) -> list[Any]:
        """Returns the values of the lines that end in the next part of the file."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        values = []
        for line in lines:
            if self._is_too_long or line.strip():
                try:
                    values.append(decode_json(b"" if self._is_too_long else line))
                except ValueError:
                    self._on_damage(f"line {self._number:,} is no JSON, left out")
            self._number, self._is_too_long = self._number + 1, False
        if len(self._rest) > _LINE_MAX:
            self._rest, self._is_too_long = b"", True
        return values

    def end(self) -> None:
        """Reports a line in progress, which a killed process did not end."""
        if self._rest or self._is_too_long:
            self._on_damage(f"line {self._number:,} is torn, left out")
