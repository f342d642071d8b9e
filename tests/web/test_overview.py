"""The overview of a finished run: its columns and its alarms."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.music.layer_groups import find_bands
from gradsound.music.layer_tree import make_layer_tree
from gradsound.music.moments import Moment, merge_moments
from gradsound.runs.model import Run
from gradsound.runs.step_stream import StepStream, make_blocks
from gradsound.web import overview
from gradsound.web.columns import column_of_moment, join_columns
from gradsound.web.messages import encode_columns
from gradsound.web.overview import make_overview
from gradsound.web.row_view import RowView


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
    order = range(len(run.header.layers))
    return encode_columns(join_columns([column_of_moment(one, order) for one in columns]))


def overview_of(run: Run, path: tuple[int, ...] = ()) -> tuple[bytes, str]:
    """Returns the messages with the columns of a run and its alarms."""
    names = run.header.layers
    tree = make_layer_tree(names, find_bands(names))
    made, view = make_overview(run, tree, Thresholds()), RowView(tree, path)
    return made.columns(view), made.marks(view)


@pytest.mark.parametrize("block", [1, 3, 8, 100])
@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 17, 31, 33, 64, 65, 100])
def test_columns_merge_equally_many_steps(monkeypatch, steps: int, block: int) -> None:
    """Blocks of any size make the columns of steps that are merged one by one."""
    monkeypatch.setattr(overview, "_COLUMNS_MAX", 8)
    run = make_odd_run(steps)
    stream = StepStream(make_blocks(run.steps, block))
    columns, _ = overview_of(replace(run, steps=stream))
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
        _, message = overview_of(run)
        return [(m["step"], m["type"], m["text"]) for m in json.loads(message)["marks"]]

    assert len(expected) > 2
    assert marks() == expected
    monkeypatch.setattr(overview, "_MARKS_MAX", 2)
    assert marks() == expected[:2]


def test_each_block_is_passed_on_once() -> None:
    """Whoever wants the steps, too, needs no second reading."""
    run, numbers = make_odd_run(600), []
    tree = make_layer_tree(run.header.layers, ())
    make_overview(
        run, tree, Thresholds(), lambda block: numbers.extend(block.numbers.tolist())
    )

    assert numbers == [step.number for step in run.steps]


def test_numbers_beyond_32_bits_are_held() -> None:
    """A column of a step number that the wire format lacks has the largest one."""
    run = make_run([[1.0]])
    run = replace(run, steps=[replace(step, number=2**40) for step in run.steps])
    columns, _ = overview_of(run)

    assert struct.unpack_from("<dII", columns, 8)[1:] == (2**32 - 1, 2**32 - 1)


def test_a_run_without_steps_is_refused() -> None:
    """The message says that there is nothing to hear."""
    with pytest.raises(ValueError, match="nothing to hear"):
        overview_of(make_run([]))


def test_a_group_has_the_largest_norm_of_its_layers() -> None:
    """NaN is the largest, then infinity; no gradient only if no layer has one."""
    names = tuple(f"h.{k}.{part}" for k in range(30) for part in ("attn", "mlp"))
    norms: list[list[float | None]] = [[float(k) for k in range(60)] for _ in range(4)]
    norms[1][4] = float("inf")
    norms[2][4], norms[2][6] = float("inf"), float("nan")
    norms[3] = [None, 1.0] * 30
    run = make_run(norms, layers=names)

    columns, _ = overview_of(run)
    found = np.frombuffer(columns, "<f8, <u4, <u4, (2,)<f4", offset=8)["f3"]
    expected = [[58, 59], [np.inf, 59], [np.nan, 59], [-1, 1]]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))

    inner, _ = overview_of(run, (0, 0))
    rows = np.frombuffer(inner, "<f8, <u4, <u4, (13,)<f4", offset=8)["f3"]
    np.testing.assert_array_equal(
        rows[0, :6], [0, 2, 4, 6, 8, 8]
    )  # layers, then their group


def test_marks_name_the_rows_of_their_layers() -> None:
    """An alarm of a layer marks each visible row whose group has that layer."""
    names = tuple(f"h.{k}.{part}" for k in range(30) for part in ("attn", "mlp"))
    norms = [[1.0] * 60 for _ in range(3)]
    norms[1][7] = float("nan")  # h.3.mlp
    run = make_run(norms, layers=names)

    def rows(path: tuple[int, ...]) -> list[int]:
        return json.loads(overview_of(run, path)[1])["marks"][0]["rows"]

    assert rows(()) == [1]
    assert rows((1,)) == [1, 7]  # attention, six groups of mlp, mlp
    assert rows((1, 0)) == [4, 6, 12]  # the layer, its group, its band
