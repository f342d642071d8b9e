"""Reads JSON text value by value, with a part of the text in memory."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gradsound.logs.json_decoder import decode_json
from gradsound.logs.row import ENTRY_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.logs.encoding import TextDecoder

_SPACE = re.compile(r"[ \t\r\n]*")
_AFTER_VALUE = {*",:]} \t\r\n"}
_DECODER = json.JSONDecoder(parse_int=float)  # int refuses 4,300 digits


class JsonScanner:
    """Reads JSON text value by value.

    Args:
        text: The text of a file.
        chunk: How many bytes to read at once.

    Attributes:
        position: How many characters it has passed.
    """

    def __init__(self, text: TextDecoder, chunk: int) -> None:
        self._text, self._chunk = text, chunk
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

    def read_items(self) -> Iterator[list[Any]]:
        """Yields the items of the list that comes, in groups.

        Raises:
            ValueError: If no list comes, or it ends early.
            RecursionError: If an item is nested too deep.
        """
        self.expect("[")
        slow_until = 0  # the position up to which items are read one by one
        while self.peek() != "]":
            items, end = None, 0
            if self.position >= slow_until:
                end = self._buffer.rfind("},", self._index) + 1
                items = _decode_items(self._buffer[self._index : end]) if end else None
                slow_until = self.position + end - self._index
            if items is None:
                yield [self.read_value()]
            else:
                self._advance(end)
                yield items
            if self.peek() != "]":
                self.expect(",")
        self.expect("]")

    def _advance(self, to: int) -> None:
        self.position += to - self._index
        self._index = to

    def _read_more(self, size: int = 0) -> bool:
        """Reads on; returns whether the file had more."""
        text = self._text.read(max(size, self._chunk))
        self._at_end = not text
        if not text:
            text = self._text.finish()
        self._buffer = self._buffer[self._index :] + text
        self._index = 0
        return bool(text)


def _decode_items(text: str) -> list[Any] | None:
    """Returns the values in a text that commas separate; None if it has anything else.

    If the text ends within a value or a string, it is no JSON.
    """
    try:
        items: list[Any] = decode_json(f"[{text}]")
    except ValueError:
        return None
    return items
