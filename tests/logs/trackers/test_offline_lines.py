"""JSON lines in folders and zip files: whole lines count, damage is reported by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers.tracker_logs import make_zip

from gradsound.errors import RunFormatError
from gradsound.logs.file_signatures import is_zip
from gradsound.logs.trackers import offline_lines
from gradsound.logs.trackers.offline_lines import read_lines
from gradsound.logs.trackers.zip_file import read_names

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> tuple[list[object], list[str]]:
    """Returns the values of all lines, and the reports of damage."""
    reports: list[str] = []
    groups = read_lines(path, "lines", reports.append, lambda: False)
    return [value for group in groups if group for value in group], reports


def test_damaged_lines_are_reported_by_number(tmp_path: Path) -> None:
    """A line that is no JSON, and a line without an end, are left out; blanks count."""
    (tmp_path / "lines").write_bytes(b'[1]\n\n{"a":\nNaN\r\n[2]\n[3]')
    values, reports = read(tmp_path)
    assert (values[0], values[2:]) == ([1], [[2]])
    assert values[1] != values[1]
    assert reports == ["line 3 is no JSON, left out", "line 6 is torn, left out"]


def test_lines_of_any_length_cost_bounded_memory(tmp_path: Path, monkeypatch) -> None:
    """A line above the limit is left out, and the next is read."""
    monkeypatch.setattr(offline_lines, "_LINE_MAX", 3000)
    monkeypatch.setattr(offline_lines, "_READ_BYTES", 1000)
    lines = b"[1]\n" + b"[" + b"1," * 5000 + b"1]\n" + b"[2]\n"
    make_zip(tmp_path / "x.zip", {"lines": lines})
    expected = [[1], [2]], ["line 2 is no JSON, left out"]
    assert read(tmp_path / "x.zip") == expected


def test_a_torn_line_in_a_zip_file_is_reported(tmp_path: Path) -> None:
    """A process that was killed may leave a line without an end for the zip file."""
    make_zip(tmp_path / "x.zip", {"lines": b"[1]\n[2"})
    assert read(tmp_path / "x.zip") == ([[1]], ["line 2 is torn, left out"])


def test_a_damaged_zip_file_is_read_in_part(tmp_path: Path) -> None:
    """Lines before the damage are read; the last report is about the zip file."""
    path = tmp_path / "x.zip"
    make_zip(path, {"lines": b"".join(b"[%d]\n" % (k * 7919) for k in range(99_999))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    values, reports = read(path)
    assert values[:1000] == [[k * 7919] for k in range(1000)]
    assert reports[-1] == "the zip file is damaged"


def test_a_zip_file_without_a_directory_is_one_sentence(tmp_path: Path) -> None:
    """A zip file that was not written to its end is refused with its path."""
    path = tmp_path / "x.zip"
    make_zip(path, {"lines": b"[1]\n"})
    assert is_zip(path.read_bytes())
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunFormatError, match=r"/x\.zip: is a damaged zip file$"):
        read_names(path)
