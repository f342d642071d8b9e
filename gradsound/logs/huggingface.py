"""`trainer_state.json` of Hugging Face's Trainer, entry by entry.

The file is one JSON object, of which only the list "log_history" may be long; it is decoded
as it is read, so memory is bounded by the longest entry.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gradsound.logs.encoding import open_text
from gradsound.logs.row import LONGEST, Row, number

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import Trouble

NAME = "trainer_state.json"
_HISTORY = "log_history"
_AT_ONCE = 1 << 16  # characters
_SPACE = re.compile(r"[ \t\r\n]*")
_AFTER = {*",:]} \t\r\n"}  # what may follow a value
_DECODER = json.JSONDecoder(parse_int=float)  # which has no limit of digits, as int has


def state_of(folder: Path) -> Path | None:
    """The state of a folder, or of its last `checkpoint-STEP`, which has all before it."""
    if (own := folder / NAME).is_file():
        return own
    found = [
        (int(match[1]), path)
        for path in folder.glob(f"checkpoint-*/{NAME}")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.parent.name))
    ]
    return max(found)[1] if found else None


def is_trainer_state(head: bytes) -> bool:
    """Whether a file that begins so is one, or its list alone."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if b'"gradsound-run"' in text.split(b"\n", 1)[0]:  # ours, and may have any names
        return False
    if text[:1] == b"[":
        return text[1:].lstrip()[:1] == b"{"
    return text[:1] == b"{" and b'"log_history"' in head


def rows(path: Path, trouble: Trouble) -> Iterator[Row]:
    """Yields the entries of the history.

    Raises:
        OSError: If it cannot be read.
    """
    with open_text(path) as file:
        text = _Text(file)
        count = 0
        try:
            for entry in _history(text):
                count += 1
                if isinstance(entry, dict):
                    yield _row(entry)
        except (ValueError, RecursionError):
            after = f" after entry {count:,} of {_HISTORY}" if count else ""
            trouble(f"ends or is damaged{after}, at character {text.at:,}")


def _row(entry: dict[str, Any]) -> Row:
    numbers = {name: number(value) for name, value in entry.items()}
    step = numbers.pop("step", None)
    known = {name: value for name, value in numbers.items() if value is not None}
    return Row(step, None, known)


def _history(text: _Text) -> Iterator[object]:
    if text.next() == "[":
        yield from _items(text)
        return
    text.take("{")
    while text.next() != "}":
        key = text.value()
        text.take(":")
        if key == _HISTORY and text.next() == "[":
            yield from _items(text)
        else:
            text.value()
        if text.next() != "}":
            text.take(",")


def _items(text: _Text) -> Iterator[object]:
    text.take("[")
    while text.next() != "]":
        yield text.value()
        if text.next() != "]":
            text.take(",")
    text.take("]")


class _Text:
    """JSON text of which a part is held: what comes next, piece by piece.

    Attributes:
        at: How many characters were taken.
    """

    def __init__(self, file: io.TextIOBase) -> None:
        self._file, self._held, self._from, self.at, self._over = file, "", 0, 0, False

    def next(self) -> str:
        """The next character that is no space, which is not taken; "" at the end."""
        while True:
            end = _SPACE.match(self._held, self._from).end()  # type: ignore[union-attr]
            self._skip(end)
            if self._from < len(self._held):
                return self._held[self._from]
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Takes that character, after spaces.

        Raises:
            ValueError: If another comes.
        """
        if self.next() != character:
            raise ValueError(f"expected {character}")
        self._skip(self._from + 1)

    def value(self) -> object:
        """Takes the next value.

        Raises:
            ValueError: If there is none, or it is too long.
            RecursionError: If it is nested too deep.
        """
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._from)
            except ValueError:
                if self._over:
                    raise
                end = len(self._held)
            # Where what is held ends, a number may go on: 1, 1. and 1.5e are parts of some.
            if self._held[end : end + 1] in _AFTER or self._over:
                self._skip(end)
                return value
            if len(self._held) - self._from > LONGEST:
                raise ValueError("too long")
            # As much again as there is, or trying anew would take the square of its length.
            self._more(len(self._held) - self._from)

    def _skip(self, to: int) -> None:
        self.at += to - self._from
        self._from = to

    def _more(self, characters: int = 0) -> bool:
        read = self._file.read(max(characters, _AT_ONCE))
        self._held = self._held[self._from :] + read
        self._from, self._over = 0, not read
        return not self._over
