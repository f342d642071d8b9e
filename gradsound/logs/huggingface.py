"""Reads `trainer_state.json` of Hugging Face's Trainer, entry by entry.

The file is one JSON object. Only its list "log_history" may be long. The reader decodes the
list while it reads, so the longest entry bounds its memory.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gradsound.logs.encoding import open_text
from gradsound.logs.row import ENTRY_MAX, Row, parse_number

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage

FILE_NAME = "trainer_state.json"

_HISTORY = "log_history"
_CHUNK = 1 << 16  # characters per read; the time hardly depends on it
_SPACE = re.compile(r"[ \t\r\n]*")
_AFTER_VALUE = {*",:]} \t\r\n"}
_DECODER = json.JSONDecoder(parse_int=float)  # int refuses 4,300 digits


def find_state(folder: Path) -> Path | None:
    """Returns the state of a folder, or of its last `checkpoint-STEP`; None without both.

    The state of a checkpoint contains the history of all checkpoints before it.
    """
    if (own := folder / FILE_NAME).is_file():
        return own
    states = [
        (int(match[1]), path)
        for path in folder.glob(f"checkpoint-*/{FILE_NAME}")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.parent.name))
    ]
    return max(states)[1] if states else None


def is_trainer_state(head: bytes) -> bool:
    """Returns whether a file with this beginning is a state, or its history alone."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if b'"gradsound-run"' in text.split(b"\n", 1)[0]:  # a run file may have any layer names
        return False
    if text[:1] == b"[":
        return text[1:].lstrip()[:1] == b"{"
    return text[:1] == b"{" and b'"log_history"' in head


def read_rows(path: Path, on_damage: OnDamage, chunk: int = _CHUNK) -> Iterator[Row]:
    """Yields the entries of the history.

    Args:
        path: The state.
        on_damage: Called where the file ends early or is damaged.
        chunk: How many characters to read at once.

    Raises:
        OSError: If the file cannot be read.
    """
    with open_text(path) as file:
        scanner = _JsonScanner(file, chunk)
        count = 0
        try:
            for entry in _read_history(scanner):
                count += 1
                if isinstance(entry, dict):
                    yield _to_row(entry)
        except (ValueError, RecursionError):
            after = f" after entry {count:,} of {_HISTORY}" if count else ""
            on_damage(f"ends or is damaged{after}, at character {scanner.position:,}")


def _to_row(entry: dict[str, Any]) -> Row:
    numbers = {name: parse_number(value) for name, value in entry.items()}
    step = numbers.pop("step", None)
    values = {name: value for name, value in numbers.items() if value is not None}
    return Row(step, None, values)


def _read_history(scanner: _JsonScanner) -> Iterator[object]:
    if scanner.peek() == "[":
        yield from _read_items(scanner)
        return
    scanner.expect("{")
    while scanner.peek() != "}":
        key = scanner.read_value()
        scanner.expect(":")
        if key == _HISTORY and scanner.peek() == "[":
            yield from _read_items(scanner)
        else:
            scanner.read_value()
        if scanner.peek() != "}":
            scanner.expect(",")


def _read_items(scanner: _JsonScanner) -> Iterator[object]:
    scanner.expect("[")
    while scanner.peek() != "]":
        yield scanner.read_value()
        if scanner.peek() != "]":
            scanner.expect(",")
    scanner.expect("]")


class _JsonScanner:
    """Reads JSON text value by value, with a part of the text in memory.

    Attributes:
        position: How many characters it has passed.
    """

    def __init__(self, file: io.TextIOBase, chunk: int) -> None:
        self._file, self._chunk = file, chunk
        self._buffer, self._index, self._at_end = "", 0, False
        self.position = 0

    def peek(self) -> str:
        """Passes spaces; returns the next character without passing it, "" at the end."""
        while True:
            end = _SPACE.match(self._buffer, self._index).end()  # type: ignore[union-attr]
            self._advance(end)
            if self._index < len(self._buffer):
                return self._buffer[self._index]
            if not self._read_more():
                return ""

    def expect(self, character: str) -> None:
        """Passes spaces and this character.

        Raises:
            ValueError: If another character comes.
        """
        if self.peek() != character:
            raise ValueError(f"expected {character}")
        self._advance(self._index + 1)

    def read_value(self) -> object:
        """Reads the next value.

        Raises:
            ValueError: If there is none, or it is longer than `ENTRY_MAX`.
            RecursionError: If it is nested too deep.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._index)
            except ValueError:
                if self._at_end:
                    raise
                end = len(self._buffer)
            # A number may go on after the end of the buffer: 1, 1. and 1.5e begin 1.5e3.
            if self._buffer[end : end + 1] in _AFTER_VALUE or self._at_end:
                self._advance(end)
                return value
            if len(self._buffer) - self._index > ENTRY_MAX:
                raise ValueError("too long")
            # Doubles the buffer: by fixed steps, a long value would take quadratic time.
            self._read_more(len(self._buffer) - self._index)

    def _advance(self, to: int) -> None:
        self.position += to - self._index
        self._index = to

    def _read_more(self, characters: int = 0) -> bool:
        """Reads on; returns whether the file had more."""
        text = self._file.read(max(characters, self._chunk))
        self._buffer = self._buffer[self._index :] + text
        self._index, self._at_end = 0, not text
        return not self._at_end
