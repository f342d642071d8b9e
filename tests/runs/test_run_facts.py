"""Facts of a run from the first and the last lines of its file, and whether it grows."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.step_lines import encode_step
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsound.errors import RunFormatError
from gradsound.runs import growth
from gradsound.runs.header_line import encode_header
from gradsound.runs.model import Header
from gradsound.runs.restarts import encode_restart, encode_total
from gradsound.runs.run_facts import RunFacts, read_facts
from gradsound.runs.step import Step

pytestmark = pytest.mark.usefixtures("own_folder")
HEADER = Header(layers=("a", "b"), parameters=(1, 2), start="2026-11-29", comment="lr 1/3")


def step(number: int, time: float, layers: int = 2) -> bytes:
    norms = np.full(layers, 1 / 3, np.float32)
    return encode_step(Step(number, time, norms, np.zeros(layers, bool)))


def facts(*lines: bytes, header: Header = HEADER) -> RunFacts:
    Path("run.jsonl").write_bytes(encode_header(header) + b"".join(lines))
    with Path("run.jsonl").open("rb") as file:
        return read_facts(file, "run.jsonl")


def test_the_last_lines_tell_steps_and_time() -> None:
    """A run has as many steps as its last one says, and its time."""
    found = facts(*(step(k, k / 4) for k in range(1000)))

    assert found.header == HEADER
    assert (found.steps, found.seconds, found.pause) == (1000, 249.75, 0.25)
    assert not found.torn


def test_a_run_without_steps_has_those_before_its_first() -> None:
    """A new file of a resumed training begins where the training goes on."""
    found = facts(header=Header(**{**_fields(HEADER), "first_step": 7}))
    assert (found.steps, found.seconds, found.torn) == (7, None, False)


def _fields(header: Header) -> dict[str, object]:
    return {name: getattr(header, name) for name in header.__slots__}


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_torn_line_is_told(cut: int) -> None:
    """A part of a line is no step; a whole line without its newline is one."""
    lines = step(0, 0.5) + step(1, 0.75)
    found = facts(lines[:-cut])
    assert (found.steps, found.seconds, found.torn) == (
        (2, 0.75, False) if cut == 1 else (1, 0.5, True)
    )


@pytest.mark.parametrize("number", [0, 3])
def test_a_restart_takes_steps_back(number: int) -> None:
    """After a restart, a run has the steps before it, until others come."""
    lines = [*(step(k, float(k)) for k in range(9)), encode_restart(number, "", "")]
    assert facts(*lines).steps == number
    assert facts(*lines, step(number, 9.5)).steps == number + 1


def test_a_total_counts_steps_that_a_budget_left_out() -> None:
    """The last line of a run with a budget has the number of all steps."""
    found = facts(step(0, 0.5), step(1, 1.5), encode_total(40))
    assert (found.steps, found.seconds, found.pause) == (40, 1.5, 1.0)


def test_other_writers_may_order_the_keys() -> None:
    """A step with other keys first is a step."""
    found = facts(b'{"norms": [1, 2], "time": 3, "step": 4}\n')
    assert (found.steps, found.seconds) == (5, 3.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 12))
def test_lines_of_any_length_are_found(layers: int, count: int) -> None:
    """The end is found behind long lines and in short files."""
    names = tuple(map(str, range(layers)))
    header = Header(layers=names, parameters=(1,) * layers, start="")
    found = facts(*(step(k, k / 8, layers) for k in range(count)), header=header)
    assert (found.steps, found.pause) == (count, 0.125 if count > 1 else 0.0)


def test_a_file_that_is_no_run_is_refused() -> None:
    """The error names the file and its first line."""
    Path("run.jsonl").write_text('{"format": "other"}\n')
    with (
        Path("run.jsonl").open("rb") as file,
        pytest.raises(RunFormatError, match="line 1: expected a run"),
    ):
        read_facts(file, "run.jsonl")


@pytest.mark.parametrize(
    ("age", "pause", "network", "grows"),
    [(5, 0, True, True), (90, 0, True, False), (90, 30, True, True), (5, 0, False, False)],
)
def test_growth_without_a_lock(age: int, pause: int, network: bool, grows: bool) -> None:
    """Where other machines write, a file grows if it changed a short while ago."""
    facts(step(0, 0.0))
    changed = time.time() - age
    os.utime("run.jsonl", (changed, changed))
    with Path("run.jsonl").open("rb") as file:
        assert growth.is_growing(file.fileno(), pause, network=network) == grows


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *((kind, False) for kind in ("ext4", "xfs", "overlay", "tmpfs")),
        *((kind, True) for kind in ("nfs", "nfs4", "fuse.sshfs", "lustre", "cifs")),
    ],
)
def test_the_mounts_tell_network_file_systems(
    monkeypatch, kind: str, network: bool
) -> None:
    """A file system that other machines may share is known by its kind."""
    Path("mounts").write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
        f"36 35 0:47 / /data rw,noatime master:1 - {kind} server:/ rw\n"
    )
    monkeypatch.setattr(growth, "_MOUNTS", Path("mounts"))
    assert growth.is_network.__wrapped__(os.makedev(0, 47)) == network
    assert not growth.is_network.__wrapped__(os.makedev(8, 1))
