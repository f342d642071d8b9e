"""Statistics of signals: how many, lowest, typical, highest, last, and how often 0."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from helpers.runs import make_run, with_signals

from gradsound import summarize
from gradsound.runs.model import Run
from gradsound.runs.step_stream import make_blocks, resize_blocks
from gradsound.summary.signal_statistics import SignalRange, SignalStatistics

NAN, INF = np.nan, np.inf
ROWS = [[0.25, NAN], [NAN, 0.0], [1.0, INF], [0.5, 3.0], [NAN, 0.0], [0.75, NAN]]


def ranges_of(rows: list[list[float]], at_once: int) -> tuple[SignalRange, ...]:
    """Returns the statistics of a signal with these numbers, some steps at a time."""
    run = with_signals(make_run([[1.0] * len(rows[0])] * len(rows)), snr=rows.__getitem__)
    statistics = SignalStatistics(run.header.layers, ["snr", "zeros"])
    for block in resize_blocks(make_blocks(run.steps), at_once):
        statistics.add(block)
    ranges = statistics.ranges()
    assert [one.count for one in ranges["zeros"]] == [0] * len(rows[0])
    return ranges["snr"]


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_numbers_of_a_layer(at_once: int) -> None:
    """The typical number is the median of the finite ones, 0 included."""
    first, second = ranges_of(ROWS, at_once)

    assert astuple(first) == ("layer0", 4, 0, 0.25, 0.625, 1.0, 0.75)
    assert astuple(second) == ("layer1", 4, 2, 0.0, 0.0, INF, 0.0)


def test_a_layer_without_numbers() -> None:
    """It has none at all, neither 0 nor infinity."""
    layer, _ = ranges_of([[NAN, 1.0]] * 3, 2)

    assert (layer.count, layer.zeros) == (0, 0)
    assert np.isnan([layer.lowest, layer.typical, layer.highest, layer.last]).all()


def test_numbers_have_the_digits_of_float32() -> None:
    """0.1 is 0.1, not 0.10000000149011612."""
    (layer,) = ranges_of([[0.1]] * 3, 1)

    assert astuple(layer)[3:] == (0.1,) * 4


def test_many_zeros_have_a_typical_number_of_0() -> None:
    """Though bins count many numbers, a median of 0 is 0, not the middle of a bin."""
    statistics = SignalStatistics(["a"], ["snr"])
    numbers = np.zeros((300_000, 1), np.float32)
    numbers[::3, 0] = np.random.default_rng(0).lognormal(0, 3, 100_000)
    (block,) = make_blocks([*make_run([[1.0]]).steps])
    statistics.add(replace(block, signals={"snr": numbers}))
    ((layer,),) = statistics.ranges().values()

    assert (layer.typical, layer.zeros) == (0.0, 200_000)


def test_signals_of_skipped_steps_do_not_count() -> None:
    """The weights did not change there, which is no ratio of 0."""
    run = with_signals(make_run([[1.0]] * 4), update_ratio=lambda n: [0.0 if n else 0.5])
    skipped = [replace(step, skipped=step.number > 0) for step in run.steps]
    (layer,) = summarize(Run(run.header, skipped)).signals["update_ratio"]

    assert (layer.count, layer.zeros, layer.typical) == (1, 0, 0.5)
    assert not summarize(make_run([[1.0]])).signals
