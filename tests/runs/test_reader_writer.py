"""Run files: reading, writing, torn ends, kills, growth, and older files."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import started
from helpers.runs import make_run

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.runs.run_file import parse_run, read_lines
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter


def test_reading_returns_the_run_that_was_written(save) -> None:
    """Header and steps survive writing and reading; steps can be read repeatedly."""
    norms = [[1 / 3, None], [np.nan, np.inf], [0.0, 2 / 3]]
    run = read_run(save(norms, layers=("in", "außen"), comment="ü"))

    assert (run.header.layers, run.header.comment) == (("in", "außen"), "ü")
    for _ in range(2):
        steps = list(run.steps)
        np.testing.assert_array_equal([s.norms for s in steps], np.array(norms, np.float32))
        assert [s.absent.tolist() for s in steps] == [
            [False, True],
            [False] * 2,
            [False] * 2,
        ]
        assert [s.nonfinite.tolist() for s in steps] == [
            [False] * 2,
            [True] * 2,
            [False] * 2,
        ]


def test_select_keeps_the_chosen_layers(save) -> None:
    """Selecting layers removes the others from header and steps."""
    run = read_run(save([[1.0, 2.0, None]], layers=("a.x", "b", "a.y"))).select("a.*")
    (step,) = run.steps

    assert (run.header.layers, run.header.parameters) == (("a.x", "a.y"), (7, 7))
    np.testing.assert_array_equal(step.norms, np.array([1.0, np.nan], np.float32))
    assert step.absent.tolist() == [False, True]


def test_every_torn_end_is_the_end(save) -> None:
    """A file that is cut anywhere reads to its last whole step, with a warning."""
    path = save([[1 / 3, 2 / 3]] * 3)
    whole = path.read_bytes()
    *_, start = (k for k, byte in enumerate(whole[:-1]) if byte == ord("\n"))
    for cut in range(start + 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.warns(GradsoundWarning, match="line 4 is torn and left out"):
            assert len(list(read_run(path).steps)) == 2


def test_a_missing_last_newline_is_no_tear(save) -> None:
    """A whole last line counts without its newline, which some editors remove."""
    path = save([[1 / 3]] * 3)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))

    assert len(list(read_run(path).steps)) == 3


def test_errors_name_file_and_line(save) -> None:
    """The error for a malformed line has file, line number and expectation."""
    path = save([[1 / 3]] * 3)
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*text[:2], "oops\n", *text[2:]]))

    with pytest.raises(RunFormatError, match=r"run.jsonl, line 3: expected a JSON object"):
        list(read_run(path).steps)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty, expected a run"),
        (b"hello\n", "x: is a text in which no line has a step"),
        (b"{", "x: is a text in which no line has a step"),
        (b"\x89PNG\r\n\x1a\n", r"x: is a picture \(PNG\); docs/logs.md lists the logs"),
        (b"PK\x05\x06", "x: is a ZIP file without content"),
        (bytes(range(256)), "x: is a binary file of an unknown format"),
        (b"\x83\xa4step\x01\xa4norm", "x: is a binary file of an unknown format"),
        (b'[{"a": 1}]', "x: is a list of JSON objects without a step; their keys are: a"),
        (b'{"a": 1}', "x: is JSON without steps that have numbers"),
        (b'{"format": "gradsound-run"', "line 1"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Opening a file that is no run raises RunFormatError."""
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(RunFormatError, match=message):
        read_run(tmp_path / "x")


def test_the_format_may_be_the_last_key_of_the_header(tmp_path: Path) -> None:
    """A header is an object of JSON, whose keys have no order."""
    header = {"version": "1.2", "layers": [f"layer{k}" for k in range(99)]}
    header |= {"parameters": [1] * 99, "format": "gradsound-run"}
    step = {"step": 0, "time": 0.5, "norms": [1.0] * 99}
    path = tmp_path / "run.jsonl"
    path.write_text(f"{json.dumps(header)}\n{json.dumps(step)}\n")
    with gzip.open(tmp_path / "packed.jsonl.gz", "wt") as file:
        file.write(path.read_text())

    for name in ("run.jsonl", "packed.jsonl.gz"):
        run = read_run(tmp_path / name)
        assert (len(run.header.layers), [step.number for step in run.steps]) == (99, [0])


def test_a_file_without_lines_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """The reader stops at 64 MiB without a newline, in a file of 1 GiB."""
    with (tmp_path / "x").open("wb") as file:
        file.write(b'{"format": "gradsound-run", ')
        file.truncate(1 << 30)  # sparse
    with pytest.raises(RunFormatError, match="line 1: expected a run"):
        read_run(tmp_path / "x")


def test_reading_is_streaming(save) -> None:
    """Reading ten times the steps takes no more memory."""
    peaks = []
    for count in (20_000, 60_000):
        run = read_run(save([[1 / 3] * 4] * count))
        tracemalloc.start()
        assert sum(1 for _ in run.steps) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.2 * peaks[0]  # bytes; 40,000 steps kept would be over 8 million


def test_a_growing_file_is_followed(tmp_path: Path) -> None:
    """A reader that can wait reads lines as they are appended, in pieces of 7 bytes."""
    path = tmp_path / "run.jsonl"
    run = make_run([[1 / 3], [2 / 3]])
    writer = RunWriter(path, run.header)
    writer.close()
    whole = tmp_path / "whole.jsonl"
    writer = RunWriter(whole, run.header)
    for step in run.steps:
        writer.write(make_block([step]))
    writer.close()
    rest = whole.read_bytes()[path.stat().st_size :]
    pieces = [rest[k : k + 7] for k in range(0, len(rest), 7)]

    def append_piece() -> bool:
        if not pieces:
            return False
        with path.open("ab") as file:
            file.write(pieces.pop(0))
        return True

    with path.open("rb") as file:
        steps = list(parse_run("growing", read_lines(file, append_piece)).steps)

    assert [step.norms.tolist() for step in steps] == [s.norms.tolist() for s in run.steps]


def test_an_older_run_is_kept(tmp_path: Path) -> None:
    """A run file is never overwritten: older runs get numbered names."""
    path = tmp_path / "run.jsonl"
    for comment in ("first", "second", "third"):
        RunWriter(path, make_run([], comment=comment).header).close()
    comments = {file.name: read_run(file).header.comment for file in tmp_path.iterdir()}

    assert comments == {
        "run.1.jsonl": "first",
        "run.2.jsonl": "second",
        "run.jsonl": "third",
    }


def test_runs_that_begin_at_once_are_all_kept(tmp_path: Path) -> None:
    """Ten processes that write to one name at once make ten whole files."""
    code = """if True:
        import sys, time
        from pathlib import Path
        from gradsound.runs.model import Header
        from gradsound.runs.writer import RunWriter
        header = Header(layers=("a",), parameters=(1,), start="", comment=sys.argv[2])
        time.sleep(max(float(sys.argv[3]) - time.time(), 0))
        RunWriter(Path(sys.argv[1]), header).close()
    """
    path, start = tmp_path / "run.jsonl", str(time.time() + 2)
    processes = [
        subprocess.Popen([sys.executable, "-c", code, path, str(k), start])
        for k in range(10)
    ]
    assert [process.wait() for process in processes] == [0] * 10

    comments = [read_run(file).header.comment for file in tmp_path.iterdir()]
    assert sorted(comments) == [str(k) for k in range(10)]


def test_pipes_are_refused(tmp_path: Path) -> None:
    """A pipe cannot be read twice, and opening it would block, so it is refused."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(RunFormatError, match="a pipe or device; save the run to a file"):
        read_run(tmp_path / "pipe")


def test_a_kill_loses_a_line_at_most(tmp_path: Path) -> None:
    """After SIGKILL, the file has every step for which write() had returned."""
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from gradsound.runs.model import Header
        from gradsound.runs.step import Step
        from gradsound.runs.step_block import make_block
        from gradsound.runs.writer import RunWriter
        header = Header(layers=("a",), parameters=(1,), start="")
        writer = RunWriter(Path(sys.argv[1]), header)
        for number in range(10**9):
            step = Step(number, 0.0, np.ones(1, np.float32), np.zeros(1, bool))
            writer.write(make_block([step]))
            print(number, flush=True)
    """
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", code, str(path)]
    with started(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 500:
                break
        process.kill()
        last = int([line, *process.stdout.read().splitlines()][-1])
    steps = list(read_run(path).steps)

    assert process.returncode == -signal.SIGKILL
    assert len(steps) >= last + 1
