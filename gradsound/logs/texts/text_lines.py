r"""The lines of a text log, in groups of those that are there; also while it grows.

Text is UTF-8, or UTF-16 with a byte order mark. \n, \r\n and \r end a line: a bar that is
drawn anew after \r is one line each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.logs.encoding import BytesDecoder
from gradsound.logs.row import ENTRY_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.scalars import WaitForMore

_READ_BYTES = 1 << 18  # per read; bounds the lines of a group
_TAIL_BYTES = 64  # of those that were read last, by which a file is known again


@dataclass(frozen=True, slots=True)
class TextLines:
    """Successive lines of a log, without their ends.

    Attributes:
        first: Number of the first line, from 1.
        lines: The lines, one or more.
        torn: Whether the log ends in the last line, which has no end.
    """

    first: int
    lines: list[str]
    torn: bool = False


def read_text_lines(path: Path, wait_for_more: WaitForMore) -> Iterator[TextLines | None]:
    """Yields the lines of a file in groups; None when all that is there was read.

    A file that was rewritten since is read from its start, unless what was read of it is
    unchanged.

    Args:
        path: The file.
        wait_for_more: Called after each None. It may block. It returns whether to read
            again.

    Raises:
        OSError: If the file cannot be read.
    """
    splitter, position, tail = _Splitter(), 0, b""
    while True:
        try:
            file = path.open("rb")  # anew: another file may have taken its place
        except FileNotFoundError:
            if not position:
                raise
        else:
            with file:
                file.seek(position - len(tail))
                if file.read(len(tail)) != tail:
                    splitter, position, tail = _Splitter(), 0, b""
                    file.seek(0)
                while data := file.read(_READ_BYTES):
                    position += len(data)
                    tail = (tail + data)[-_TAIL_BYTES:]
                    if lines := splitter.split(data):
                        yield lines
        yield None
        if not wait_for_more():
            break
    if rest := splitter.take_rest():
        yield rest


class _Splitter:
    """Splits the bytes of a log into lines."""

    def __init__(self) -> None:
        self._decoder = BytesDecoder()
        self._rest, self._number = "", 1
        self._is_too_long = False  # whether the line in progress is; its text is gone

    def split(self, data: bytes) -> TextLines | None:
        """Returns the lines that end in the data; None without one."""
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        if lines and self._is_too_long:
            lines[0], self._is_too_long = "", False
        if len(rest) > ENTRY_MAX:
            rest, self._is_too_long = "", True
        self._rest = rest
        if not lines:
            return None
        group = TextLines(self._number, lines)
        self._number += len(lines)
        return group

    def take_rest(self) -> TextLines | None:
        """Returns the line that has no end; None without one."""
        rest = self._rest + self._decoder.finish()
        if not rest or self._is_too_long:
            return None
        return TextLines(self._number, [rest.removesuffix("\n")], not rest.endswith("\n"))
