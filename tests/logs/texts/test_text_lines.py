"""Lines of texts: their ends and encodings, while a text grows."""

from pathlib import Path

import pytest
from helpers.text_logs import grow

from gradsound.logs.row import ENTRY_MAX
from gradsound.logs.texts.text_lines import TextLines, read_text_lines


def read(path: Path, *pieces: bytes) -> list[str | None]:
    """Returns the lines of a file that grows by some pieces; None where all was read."""
    found: list[str | None] = []
    for lines in read_text_lines(path, grow(path, pieces)):
        found += [None] if lines is None else lines.lines
    return found


def test_every_kind_of_end_ends_one_line(tmp_path: Path) -> None:
    r"""\n, \r\n and \r end a line, wherever the file is cut; other separators do not."""
    path = tmp_path / "x.log"
    for cut in range(9):
        text = b"a\r\nb\rc\xe2\x80\xa8d\n"
        path.write_bytes(text[:cut])

        assert [line for line in read(path, text[cut:]) if line is not None] == [
            *("a", "b", "c\u2028d"),
        ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig"])
def test_text_is_decoded_over_any_cut(tmp_path: Path, encoding: str) -> None:
    """A character or a mark that is cut is decoded when its rest comes."""
    text = "ä 1\n━ 2\n"
    if encoding == "utf-16-be-sig":
        data = b"\xfe\xff" + text.encode("utf-16-be")
    else:
        data = text.encode(encoding)
    path = tmp_path / "x.log"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])

        assert [line for line in read(path, data[cut:]) if line is not None] == [
            *("ä 1", "━ 2"),
        ]


def test_none_follows_all_that_is_there(tmp_path: Path) -> None:
    """Lines come as soon as they end; None comes before each wait."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a\nb")

    assert read(path, b"c", b"\nd\n") == ["a", None, None, "bc", "d", None]


def test_a_line_without_an_end_is_torn(tmp_path: Path) -> None:
    """The last line comes at the end, with its number, and is torn."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a\nb")

    assert [*read_text_lines(path, lambda: False)] == [
        TextLines(1, ["a"]),
        None,
        TextLines(2, ["b"], torn=True),
    ]


def test_a_file_that_takes_its_place_is_read_where_it_goes_on(tmp_path: Path) -> None:
    """Of a file that was written anew with more lines, only these are new."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a\nb\n")
    waits = iter([b"a\nb\nc\n", b"other\n", None])

    def wait_for_more() -> bool:
        content = next(waits)
        if content is not None:
            (tmp_path / "new").write_bytes(content)
            (tmp_path / "new").replace(path)
        return content is not None

    pieces = [lines for lines in read_text_lines(path, wait_for_more) if lines]

    assert pieces == [
        TextLines(1, ["a", "b"]),
        TextLines(3, ["c"]),
        TextLines(1, ["other"]),
    ]


def test_a_file_that_is_gone_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """Between two files of one name, there is nothing new."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n")
    waits = iter([lambda: path.unlink(), lambda: path.write_bytes(b"a\nb\n"), None])

    def wait_for_more() -> bool:
        change = next(waits)
        if change is not None:
            change()
        return change is not None

    pieces = [lines for lines in read_text_lines(path, wait_for_more) if lines]

    assert pieces == [TextLines(1, ["a"]), TextLines(2, ["b"])]


def test_a_line_beyond_every_bound_is_empty(tmp_path: Path) -> None:
    """Its text is not kept; the lines after it keep their numbers."""
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n" + b"x" * (ENTRY_MAX + 1_000_000) + b"\nb\n")
    pieces = [lines for lines in read_text_lines(path, lambda: False) if lines]

    assert [line for lines in pieces for line in lines.lines] == ["a", "", "b"]
    assert pieces[-1].first + len(pieces[-1].lines) == 4
