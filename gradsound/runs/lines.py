"""The lines of a file, in groups of those that are there; also while the file grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

LINE_MAX = 1 << 26  # bytes; a longer line shows that the file is no run file
# Bytes per read. Each read releases the GIL for an instant. If a reader did so more often
# than every 5 ms, a thread that waits for the GIL would ask for it in vain.
_READ_BYTES = 1 << 20
# Of lines that become one block. JSON makes up to three containers of each; after 700 new
# ones, Python's collector would look at all of them. And the processor's cache has to hold
# all numbers.
_GROUP_LINES, _GROUP_BYTES = 224, 1 << 17
_SEARCH_BYTES = 1 << 18  # per read of a search; the processor's cache holds them


@dataclass(frozen=True, slots=True)
class LineGroup:
    """Successive lines of a file, without their newlines.

    Attributes:
        first: Number of the first line, from 1.
        lines: The lines, one or more.
        torn: Whether the file ends in the last line, which has no newline.
    """

    first: int
    lines: list[bytes]
    torn: bool = False

    @property
    def whole_lines(self) -> list[bytes]:
        """The lines that have a newline."""
        return self.lines[:-1] if self.torn else self.lines


def read_lines(
    file: io.BufferedIOBase | BinaryIO, wait_for_more: Callable[[], bool] = lambda: False
) -> Iterator[LineGroup]:
    """Yields the lines of a file in groups; the first line, the header, is alone.

    Args:
        file: The file to read.
        wait_for_more: Called at the end of the file. It may block. It returns whether to
            read again, for a file that grows.

    Yields:
        All lines that are there, in groups of bounded size.
    """
    number, rest = 1, b""
    read = getattr(file, "read1", file.read)  # a pipe returns what it has
    while True:
        data = read(_READ_BYTES)
        if not data and not wait_for_more():
            break
        parts = data.split(b"\n")
        parts[0] = rest + parts[0]
        *lines, rest = parts
        if len(rest) >= LINE_MAX:
            lines, rest = [*lines, rest], b""
        for group in _group(lines, number):
            yield group
            number += len(group.lines)
    if rest:
        yield LineGroup(number, [rest], torn=True)


def _group(lines: list[bytes], number: int) -> Iterator[LineGroup]:
    """Yields groups of lines; the number is that of the first line."""
    begin = 0
    while begin < len(lines):
        usual = _GROUP_BYTES // (len(lines[begin]) + 1)  # lines of about the same length
        count = min(usual + 1, _GROUP_LINES)
        end = begin + (1 if number + begin == 1 else count)
        yield LineGroup(number + begin, lines[begin:end])
        begin = end


def contains(file: io.BufferedIOBase, text: bytes) -> bool:
    """Returns whether a file contains a text, from its start on."""
    file.seek(0)
    overlap = len(text) - 1  # of the data before, in which the text may begin
    buffer = bytearray(overlap + _SEARCH_BYTES)
    unread = memoryview(buffer)[overlap:]
    while count := file.readinto(unread):
        if buffer.find(text, 0, overlap + count) >= 0:
            return True
        buffer[:overlap] = buffer[count : count + overlap]
    return False
