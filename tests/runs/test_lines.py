"""The lines of a file come in groups; a text is found wherever it is."""

from __future__ import annotations

import io

import pytest

from gradsound.runs import lines
from gradsound.runs.lines import contains, read_lines


class Pipe(io.RawIOBase):
    """A pipe that returns its pieces one by one, and then its end."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def readable(self) -> bool:
        """Returns True, as `io.RawIOBase` asks of a file to read."""
        return True

    def readinto(self, buffer) -> int:
        """Reads the next piece."""
        piece = self._pieces.pop(0) if self._pieces else b""
        buffer[: len(piece)] = piece
        return len(piece)


def test_the_header_is_alone() -> None:
    """The other lines come together, and the last one may have no newline."""
    groups = [*read_lines(io.BytesIO(b"head\none\n\ntwo\r\nthree"))]

    assert [(group.first, group.lines, group.torn) for group in groups] == [
        (1, [b"head"], False),
        (2, [b"one", b"", b"two\r"], False),
        (5, [b"three"], True),
    ]
    assert groups[2].whole_lines == []
    assert groups[1].whole_lines == groups[1].lines
    assert [*read_lines(io.BytesIO(b""))] == []


def test_a_group_is_bounded() -> None:
    """Numbers go on from group to group."""
    text = b"head\n" + b"".join(b"%d\n" % k for k in range(2, 3003))
    groups = [*read_lines(io.BytesIO(text))]

    assert [len(group.lines) for group in groups] == [1, *13 * [224], 89]
    assert [int(group.lines[0]) for group in groups[1:]] == [g.first for g in groups[1:]]


def test_a_group_of_long_lines_is_smaller() -> None:
    """The processor's cache holds its numbers."""
    text = b"head\n" + 100 * (b"x" * 9_999 + b"\n")
    groups = [*read_lines(io.BytesIO(text))]

    assert [len(group.lines) for group in groups] == [1, *7 * [14], 2]


def test_a_pipe_returns_what_it_has() -> None:
    """A line that arrives in pieces is one line."""
    pipe = io.BufferedReader(Pipe([b"he", b"ad\none\nt", b"wo\n", b"thr", b"ee\n"]))
    groups = [group.lines for group in read_lines(pipe)]

    assert groups == [[b"head"], [b"one"], [b"two"], [b"three"]]


def test_a_file_that_grows_is_read_on() -> None:
    """At its end the reader asks whether to wait for more."""
    file, pieces = io.BytesIO(b"head\non"), [b"e\ntw", b"o\n"]

    def wait() -> bool:
        place = file.tell()
        if pieces:
            file.seek(0, io.SEEK_END)
            file.write(pieces.pop(0))
            file.seek(place)
            return True
        return False

    assert [group.lines for group in read_lines(file, wait)] == [
        [b"head"],
        [b"one"],
        [b"two"],
    ]


def test_a_line_without_end_is_cut(monkeypatch) -> None:
    """A file that is no run file may have gigabytes without a newline."""
    monkeypatch.setattr(lines, "LINE_MAX", 100)
    monkeypatch.setattr(lines, "_READ_BYTES", 60)
    groups = [*read_lines(io.BytesIO(b"x" * 250))]

    assert [len(group.lines[0]) for group in groups] == [120, 120, 10]
    assert [group.torn for group in groups] == [False, False, True]


@pytest.mark.parametrize("begin", [0, 5, 58, 60, 63, 200])
def test_a_text_is_found_across_two_reads(monkeypatch, begin: int) -> None:
    """Wherever it begins; one that is not there is not found."""
    monkeypatch.setattr(lines, "_READ_BYTES", 64)
    file = io.BytesIO(b"." * begin + b"needle" + b"." * 80)
    file.seek(9)

    assert contains(file, b"needle")
    assert not contains(file, b"needles")
