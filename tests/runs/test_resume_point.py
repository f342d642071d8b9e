"""Resumption: found from the end of a file, and the same as from the whole file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.step_lines import encode_step
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsound import Step, read_run
from gradsound.errors import RunFormatError
from gradsound.runs import resume_point
from gradsound.runs.header_line import encode_header
from gradsound.runs.restarts import StepClock, encode_restart, encode_total
from gradsound.runs.resume_point import ResumePoint, find_next_step, find_resume_point
from gradsound.runs.step_line import decode_step

pytestmark = pytest.mark.usefixtures("own_folder")
PATH = Path("run.jsonl")
HEADER = make_run([[1.0]]).header


def line_of(number: int, time: float, layers: int = 1) -> bytes:
    """Returns the line of a step."""
    norms = np.full(layers, 1 / 3, np.float32)
    return encode_step(Step(number, time, norms, np.zeros(layers, bool)))


def find_in_whole_file(start_step: int | None, restarts: list[int], total: int) -> tuple:
    """Returns the next step and its time, from all steps of the run."""
    clock, next_step = StepClock(), 0
    for step in read_run(PATH).steps:
        if start_step is None or step.number < start_step:
            clock.add(step.time)
            next_step = step.number + 1
    if start_step is None:
        start_step = max(next_step, total, restarts[-1] if restarts else 0)
    return start_step, clock.next_time()


@settings(deadline=None, max_examples=200)
@given(
    parts=st.lists(
        st.tuples(
            st.integers(0, 60),  # the first step of a part, if it is not above the last
            st.integers(0, 50),  # how many steps the part has
            st.integers(1, 3),  # every how many steps one is in the file
            st.integers(0, 9),  # steps that a budget left out at the end
        ),
        min_size=1,
        max_size=5,
    ),
    start_step=st.none() | st.integers(0, 90),
    block=st.integers(1, 400),
)
def test_the_end_of_a_file_is_enough(parts, start_step: int | None, block: int) -> None:
    """However parts overlap, the next step and its time are those of the whole run."""
    lines, restarts, time = [encode_header(HEADER)], [], 0.0
    for index, (begin, count, every, left_out) in enumerate(parts):
        if index:
            lines.append(encode_restart(begin, "", ""))
            restarts.append(begin)
        end, total = begin, 0
        for end in range(begin, begin + count, every):
            time += 1 / 3 + (end % 7) / 11
            lines.append(line_of(end, time))
        if left_out:
            total = end + 1 + left_out
            lines.append(encode_total(total))
    PATH.write_bytes(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume_point, "_BLOCK_BYTES", block)
        point = find_resume_point(PATH, HEADER, start_step)

    assert (point.step, point.time) == find_in_whole_file(start_step, restarts, total)
    assert (point.size, point.ends_line) == (PATH.stat().st_size, True)


@pytest.mark.parametrize("start_step", [None, 3000, 17])
def test_few_steps_are_decoded(
    start_step: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long run, only the steps are decoded that set the clock of the next part."""
    lines = [line_of(number, number / 4) for number in range(20_000)]
    PATH.write_bytes(encode_header(HEADER) + b"".join(lines))
    decoded = []

    def decode(line: bytes, layers: int, after: int) -> Step:
        decoded.append(line)
        return decode_step(line, layers, after)

    monkeypatch.setattr(resume_point, "decode_step", decode)
    point = find_resume_point(PATH, HEADER, start_step)

    size = PATH.stat().st_size
    step = 20_000 if start_step is None else start_step
    assert point == ResumePoint(step, step / 4, size, ends_line=True)
    assert len(decoded) <= 33


def test_lines_that_are_longer_than_a_block() -> None:
    """The steps of a model with very many layers take several reads each."""
    layers = 40_000
    names = tuple(f"layer{k}" for k in range(layers))
    header = replace(HEADER, layers=names, parameters=(1,) * layers)
    lines = [line_of(number, number / 4, layers) for number in range(3)]
    assert len(lines[0]) > resume_point._BLOCK_BYTES
    PATH.write_bytes(encode_header(header) + b"".join(lines) + lines[0][:-9])
    size = PATH.stat().st_size - len(lines[0]) + 9

    assert find_resume_point(PATH, header, None) == ResumePoint(3, 0.75, size, True)
    assert find_resume_point(PATH, header, 2) == ResumePoint(2, 0.5, size, True)


def test_steps_of_another_writer() -> None:
    """The keys of a line may have another order and other spaces."""
    other = '{"time":%s,"norms":[1],"step":%d}\r\n'
    lines = [other % (number / 4, number) for number in range(9)]
    PATH.write_bytes(encode_header(HEADER) + "".join(lines).encode())

    assert find_resume_point(PATH, HEADER, None).step == 9
    assert find_resume_point(PATH, HEADER, 4).time == 1.0


@pytest.mark.parametrize("line", [b"noise\n", b'{"step": 3}\n', b'{"resume": "x"}\n'])
def test_a_wrong_line_at_the_end_is_an_error(line: bytes) -> None:
    """A training does not go on behind a whole line that is no step."""
    PATH.write_bytes(encode_header(HEADER) + line_of(0, 0.5) + line)
    with pytest.raises(RunFormatError, match=r"run.jsonl, one of the last lines: expected"):
        find_resume_point(PATH, HEADER, None)


def test_a_restart_without_a_step() -> None:
    """A training that was killed before its first step goes on where it would have."""
    lines = [line_of(0, 0.5), encode_total(9), encode_restart(9, "", "")]
    PATH.write_bytes(encode_header(HEADER) + b"".join(lines))

    assert find_next_step(PATH, HEADER) == 9
    assert find_next_step(Path("other.jsonl"), HEADER) == 0
