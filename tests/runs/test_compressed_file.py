"""Compressed runs: gzip and Zstandard, whole, of several members, cut off, damaged."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard

from gradsound.cli.main import main
from gradsound.errors import RunFormatError
from gradsound.live.run_source import RunSource
from gradsound.open_run import open_run
from gradsound.runs.compressed_file import open_file

HEADER = b'{"format": "gradsound-run", "version": "1.0", "start": "", "note": "", '
HEADER += b'"layers": ["a"], "parameters": [1], "budget": 0.01}\n'
LINES = [b'{"step": %d, "time": %d, "norms": [0.5]}\n' % (k, k) for k in range(5000)]
COMPRESS = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
KINDS = pytest.mark.parametrize("kind", COMPRESS)


def numbers_of(path: Path) -> list[int]:
    """Returns the numbers of all steps of a run."""
    return np.concatenate([block.numbers for block in open_run(path).blocks()]).tolist()


@KINDS
@pytest.mark.parametrize("name", ["run.jsonl.{}", "no suffix"])
def test_a_compressed_run_is_read(kind: str, name: str, tmp_path: Path) -> None:
    """The name does not matter. Each iteration reads it anew, to the total at its end."""
    path = tmp_path / name.format(kind)
    text = HEADER + b"".join(LINES) + b'{"steps": 6000}\n'
    path.write_bytes(COMPRESS[kind](text))
    run = open_run(path)

    assert run.total_steps == 6000
    for _ in range(2):
        assert [step.number for step in run.steps] == [*range(5000)]
    assert open_file(path).read() == text


@KINDS
def test_members_follow_each_other(kind: str, tmp_path: Path) -> None:
    """`cat a.gz b.gz` is the text of both; gzip also skips zeros after the last member."""
    path = tmp_path / "run"
    parts = [HEADER, *(b"".join(LINES[k : k + 7]) for k in range(0, 5000, 7))]
    padding = b"\0" * 100 if kind == "gz" else b""
    path.write_bytes(b"".join(map(COMPRESS[kind], parts)) + padding)

    assert numbers_of(path) == [*range(5000)]


def test_a_member_that_was_cut_off_has_its_text_up_to_there(tmp_path: Path) -> None:
    """Each flush of a killed writer counts: all its lines are read."""
    path = tmp_path / "run"
    writer = zlib.compressobj(wbits=31)
    flushed = [writer.compress(part) + writer.flush(zlib.Z_SYNC_FLUSH) for part in LINES]
    path.write_bytes(COMPRESS["gz"](HEADER) + b"".join(flushed[:9]))
    assert numbers_of(path) == [*range(9)]

    path.write_bytes(path.read_bytes()[:-8])
    with pytest.warns(match="line 10 is torn"):
        assert numbers_of(path) == [*range(8)]


@KINDS
def test_damaged_data_are_refused(kind: str, tmp_path: Path) -> None:
    """Wherever a bit is wrong, the checksum of the format is too."""
    path = tmp_path / "run"
    data = bytearray(COMPRESS[kind](HEADER + b"".join(LINES)))
    data[len(data) // 2] ^= 4
    path.write_bytes(data)

    with pytest.raises(RunFormatError, match="run: the compressed data are damaged"):
        numbers_of(path)


@KINDS
def test_another_text_is_no_run(kind: str, tmp_path: Path) -> None:
    """The message is that of a plain file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(COMPRESS[kind](b"notes"))
    with pytest.raises(RunFormatError, match=r"notes\.txt: is a text in which no line has"):
        open_run(path)

    path.write_bytes(COMPRESS[kind](b""))
    with pytest.raises(RunFormatError, match="empty"):
        open_run(path)


def test_a_file_can_only_go_back_to_its_start(tmp_path: Path) -> None:
    """It says where it is, as Python's buffer asks."""
    path = tmp_path / "run"
    path.write_bytes(COMPRESS["gz"](b"some text"))
    with open_file(path) as file:
        assert (file.read(4), file.tell()) == (b"some", 4)
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0, 2)
        assert file.seek(0) == 0
        assert file.read() == b"some text"


def test_commands_take_compressed_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`info` prints its steps; following one is refused."""
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(COMPRESS["gz"](HEADER + b"".join(LINES)))
    with pytest.raises(SystemExit, match="0"):
        main(["info", str(path)])
    assert "5,000 steps" in capsys.readouterr().out

    with pytest.raises(ValueError, match="a compressed run is finished; leave out --fol"):
        RunSource(path)
