"""Entries of a log are sorted as a dict of dicts would sort them, in any pieces."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from gradsound.logs.row import Row
from gradsound.logs.scalars import Scalars, make_scalars
from gradsound.logs.steps import sorted_steps, step_file
from gradsound.logs.steps.sorted_steps import SortedSteps


class Model:
    """What a log says, in dicts."""

    def __init__(self) -> None:
        self.values: dict[int, dict[str, float]] = {}
        self.times: dict[tuple[int, int], float] = {}

    def add(self, row: Row) -> None:
        """Adds a row; the later entry counts."""
        self.values.setdefault(int(row.step), {}).update(row.values)

    def discard(self, discards: dict[str, int]) -> None:
        """Takes back entries with some names."""
        for name, cut in discards.items():
            for step, values in self.values.items():
                if step >= cut:
                    values.pop(name, None)
        self.values = {step: values for step, values in self.values.items() if values}


def read(log_steps: SortedSteps) -> dict[int, dict[str, float]]:
    """Returns the values by step and name; checks what a reader may rely on."""
    found: dict[int, dict[str, float]] = {}
    last = -1
    for steps in log_steps.read():
        assert len(steps)
        for k, number in enumerate(steps.numbers.tolist()):
            assert number > last
            last = number
            entries = slice(int(steps.begins[k]), int(steps.begins[k + 1]))
            places = steps.places[entries].tolist()
            assert places == sorted({*places})
            assert places
            names = [log_steps.names[place] for place in places]
            found[number] = dict(zip(names, steps.values[entries].tolist()))
    return found


@pytest.mark.parametrize("entries", [1, 7, 60, 10_000], ids="pieces of {}".format)
@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_entries_is_sorted(
    monkeypatch: pytest.MonkeyPatch, entries: int, seed: int
) -> None:
    """In order, in runs, shuffled, by name, and where the log takes back entries."""
    chance = random.Random(seed)  # noqa: S311 (reproducible)
    monkeypatch.setattr(sorted_steps, "_PIECE_ENTRIES", entries)
    monkeypatch.setattr(step_file, "_SAMPLES", chance.choice((1, 4, 128)))
    monkeypatch.setattr(sorted_steps, "_RANGE_SAMPLES", chance.choice((1, 128)))
    names = [f"n{k}" for k in range(chance.choice((1, 3, 30)))]
    steps = [chance.choice((k, 7 * k, 2**53 - k)) for k in range(120)]
    rows = [
        Row(step, None, {name: chance.random() for name in chance.sample(names, k)})
        for step in steps
        for k in {1, chance.randrange(1, len(names) + 1)}
    ]
    if seed % 3 == 0:
        rows.sort(key=lambda row: row.step or 0)
    elif seed % 3 == 1:
        chance.shuffle(rows)
    log_steps, model = SortedSteps(), Model()
    while rows:
        part, rows = rows[: (count := chance.randrange(1, 40))], rows[count:]
        scalars = make_scalars(part)
        if chance.random() < 0.2:
            discards = {n: chance.choice(steps) for n in names if chance.random() < 0.7}
            if chance.random() < 0.5:
                discards = dict.fromkeys(names, chance.choice(steps))
            scalars = replace(scalars, discards=discards)
            model.discard(discards)
        log_steps.add(scalars)
        for row in part:
            model.add(row)
    log_steps.sort()

    assert read(log_steps) == model.values
    assert read(log_steps) == model.values


@pytest.mark.parametrize("entries", [1, 3, 1000])
def test_the_last_known_time_of_a_step_counts(
    monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    """Whatever names its entries have, and in whatever pieces they come."""
    monkeypatch.setattr(sorted_steps, "_PIECE_ENTRIES", entries)
    log_steps = SortedSteps()
    rows = [
        *(Row(2, 5.0, {"b": 1.0}), Row(1, nan, {"a": 1.0}), Row(2, 7.0, {"a": 1.0})),
        *(Row(2, None, {"a": 2.0}), Row(0, 1e300, {"a": 1.0}), Row(3, 4.0, {"a": 1.0})),
        *(Row(3, 3.0, {"a": 1.0}),),
    ]
    for row in rows:
        log_steps.add(make_scalars([row]))
    log_steps.sort()
    times = np.concatenate([steps.times for steps in log_steps.read()]).tolist()

    assert [None if isnan(time) else time for time in times] == [None, None, 7.0, 3.0]


def test_a_log_is_sorted_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Five times the entries, out of order, take no more memory, and leave no file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names, peaks = [f"n{k}" for k in range(10)], []
    for count in (40_000, 200_000):
        log_steps = SortedSteps()
        tracemalloc.start()
        for begin in range(0, count, 1000):
            steps = np.arange(begin, begin + 1000) * 7919 % count
            columns = (np.tile(np.arange(10), 1000), np.repeat(steps.astype(float), 10))
            log_steps.add(Scalars(names, *columns, np.full(10_000, nan), np.ones(10_000)))
        log_steps.sort()
        assert sum(map(len, log_steps.read())) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0] < 10e6  # bytes; all entries would take 48 MB
    assert not [*tmp_path.iterdir()]


def test_a_short_log_makes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without room for temporary files reads it."""
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    log_steps = SortedSteps()
    for step in (*range(2000), *range(2000)):
        log_steps.add(make_scalars([Row(step, None, {"a": 1.0})]))
    log_steps.sort()

    assert len(read(log_steps)) == 2000


def test_names_without_entries_are_no_names() -> None:
    """Entries without a valid step have none."""
    log_steps = SortedSteps()
    log_steps.add(make_scalars([Row(None, None, {"a": 1.0}), Row(1, None, {"b": 1.0})]))

    assert (log_steps.names, log_steps.rejected) == (["b"], 1)
