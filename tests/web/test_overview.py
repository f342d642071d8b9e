"""The overview of a finished run: its columns and its alarms."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.music.moments import Moment, merge_moments
from gradsound.runs.model import Run
from gradsound.runs.step_stream import StepStream, make_blocks
from gradsound.web import overview
from gradsound.web.messages import encode_column, encode_columns
from gradsound.web.overview import make_overview


def make_odd_run(steps: int) -> Run:
    """Returns a run with absent layers, NaN, skipped and clipped steps, from step 5 on."""
    random = np.random.default_rng(3)
    norms = random.lognormal(0, 1, (steps, 3)).tolist()
    for row in norms[::5]:
        row[1] = None
    for row in norms[3::11]:
        row[0] = float("nan")
    run = make_run(norms)
    odd = [
        replace(
            step,
            number=step.number + 5,
            skipped=step.number % 11 == 3,
            raw=2 * step.norms if step.number % 4 == 1 else None,
            values={"loss": 1.0 / (1 + step.number)} if step.number % 3 else {},
        )
        for step in run.steps
    ]
    return replace(run, steps=odd)


def merge_all(run: Run, size: int) -> bytes:
    """Returns the message with columns of a number of steps, merged one by one."""
    columns: list[Moment] = []
    for k, step in enumerate(run.steps):
        moment = Moment(step.number, step)
        if k % size:
            columns[-1] = merge_moments(columns[-1], moment)
        else:
            columns.append(moment)
    return encode_columns([encode_column(one.first, one.step) for one in columns])


@pytest.mark.parametrize("block", [1, 3, 8, 100])
@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 17, 31, 33, 64, 65, 100])
def test_columns_merge_equally_many_steps(monkeypatch, steps: int, block: int) -> None:
    """Blocks of any size make the columns of steps that are merged one by one."""
    monkeypatch.setattr(overview, "_COLUMNS_MAX", 8)
    run = make_odd_run(steps)
    stream = StepStream(make_blocks(run.steps, block))
    columns, _ = make_overview(replace(run, steps=stream), Thresholds())
    size = 1
    while -(-steps // size) > 8:
        size *= 2

    assert columns == merge_all(run, size)


def test_all_alarms_are_marks_up_to_a_thousand(monkeypatch) -> None:
    """The marks are the run's alarms in order; of too many, the first ones."""
    run = make_odd_run(400)
    detector = RunDetector(run.header, Thresholds())
    found = [
        alarm for block in run.blocks() for one in detector.detect(block) for alarm in one
    ]
    expected = [(alarm.step, alarm.kind, alarm.text) for alarm in found]

    def marks() -> list[tuple]:
        _, message = make_overview(run, Thresholds())
        return [(m["step"], m["type"], m["text"]) for m in json.loads(message)["marks"]]

    assert len(expected) > 2
    assert marks() == expected
    monkeypatch.setattr(overview, "_MARKS_MAX", 2)
    assert marks() == expected[:2]


def test_each_block_is_passed_on_once() -> None:
    """Whoever wants the steps, too, needs no second reading."""
    run, numbers = make_odd_run(600), []
    make_overview(run, Thresholds(), lambda block: numbers.extend(block.numbers.tolist()))

    assert numbers == [step.number for step in run.steps]


def test_numbers_beyond_32_bits_are_held() -> None:
    """A column of a step number that the wire format lacks has the largest one."""
    run = make_run([[1.0]])
    run = replace(run, steps=[replace(step, number=2**40) for step in run.steps])
    columns, _ = make_overview(run, Thresholds())

    assert struct.unpack_from("<dII", columns, 8)[1:] == (2**32 - 1, 2**32 - 1)


def test_a_run_without_steps_is_refused() -> None:
    """The message says that there is nothing to hear."""
    with pytest.raises(ValueError, match="nothing to hear"):
        make_overview(make_run([]), Thresholds())
