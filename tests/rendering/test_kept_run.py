"""A run that is kept: its source is read once, unless its steps take much memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run

import gradsound
from gradsound.rendering import kept_run
from gradsound.rendering.kept_run import keep_run
from gradsound.runs.model import Run
from gradsound.runs.step import Step


class Source:
    """Steps that count how often they are read."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps, self.readings = steps, 0

    def __iter__(self) -> Iterator[Step]:
        self.readings += 1
        return iter(self.steps)


def make_source(count: int) -> tuple[Source, Run]:
    """Returns a source and a run of its steps."""
    run = make_run([[1.0 + k, None] for k in range(count)])
    source = Source([*run.steps])
    return source, replace(run, steps=source)


def test_a_kept_run_is_read_once() -> None:
    """Its steps are those of its source, however often they are iterated."""
    source, run = make_source(600)
    kept = keep_run(run)

    for _ in range(3):
        assert [step.number for step in kept.steps] == [*range(600)]
        blocks = [*kept.blocks()]
        norms = np.concatenate([block.norms for block in blocks])
        np.testing.assert_array_equal(norms[:, 0], np.arange(600) + 1)
    assert source.readings == 1


def test_a_large_run_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run above the limit, nothing stays in memory, and no step is lost."""
    monkeypatch.setattr(kept_run, "_BYTES_MAX", 20_000)
    source, run = make_source(600)
    kept = keep_run(run)

    for reading in (1, 2):
        assert sum(len(block) for block in kept.blocks()) == 600
        assert source.readings == reading


def test_an_interrupted_reading_is_not_kept() -> None:
    """Who stops in the middle does not shorten the run for the next reader."""
    _, run = make_source(600)
    kept = keep_run(run)
    next(kept.blocks())

    assert sum(len(block) for block in kept.blocks()) == 600


@pytest.mark.parametrize("count", [5, 3_000])
def test_a_picture_reads_its_runs_once(tmp_path: Path, count: int) -> None:
    """Summary, pitches, clock and curves stand on one reading of each run."""
    source, run = make_source(count)
    other_source, other = make_source(count)
    gradsound.plot(run, tmp_path / "x.svg", other=other)

    assert (source.readings, other_source.readings) == (1, 1)
