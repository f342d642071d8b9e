"""Reading of runs for their sound: how often, in which pieces, with which warnings."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.rendering import kept_run, sound
from gradsound.rendering.locate import read_timeline
from gradsound.runs.model import Run
from gradsound.runs.step import Step
from gradsound.runs.step_stream import make_blocks


class CountedSteps:
    """Steps in blocks of 7 that count how often they are read."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps, self.readings = steps, 0

    def __iter__(self) -> Iterator[Step]:
        self.readings += 1
        return iter(self.steps)

    def blocks(self) -> Iterator:
        """Yields the blocks."""
        return make_blocks(iter(self), 7)


def make_counted(steps: int = 500, layers: int = 2) -> Run:
    """Returns a run with spikes, gaps and NaN whose readings are counted."""
    random = np.random.default_rng(5)
    norms = random.lognormal(0, 1, (steps, layers)).tolist()
    norms[steps // 2][0] = float("nan")
    norms[steps // 3][1] = 1e5
    norms[7][0] = None
    run = make_run(norms)
    return replace(run, steps=CountedSteps([*run.steps]))


def sound_bytes(path: Path, run: Run, **options) -> bytes:
    """Returns the bytes of a run's sound."""
    gradsound.render(run, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("preset", ["notes", "ambient"])
def test_a_time_lapse_reads_a_run_once(tmp_path: Path, preset: str) -> None:
    """A sound of a given duration reads each step of a run once."""
    run = make_counted()
    gradsound.render(run, tmp_path / "x.wav", preset=preset, duration=6.0)

    assert run.steps.readings == 1


def test_a_run_too_large_to_keep_sounds_the_same(tmp_path: Path, monkeypatch) -> None:
    """A run that memory does not hold is read twice, and has the same sound."""
    run = make_counted()
    expected = sound_bytes(tmp_path / "x.wav", run, duration=6.0)
    monkeypatch.setattr(kept_run, "_BYTES_MAX", 0)
    again = make_counted()

    assert sound_bytes(tmp_path / "x.wav", again, duration=6.0) == expected
    assert again.steps.readings == 2


@pytest.mark.parametrize("preset", ["notes", "ambient", "scan"])
@pytest.mark.parametrize("duration", [None, 6.0])
def test_pieces_of_any_size_make_the_same_sound(
    tmp_path: Path, monkeypatch, preset: str, duration: float | None
) -> None:
    """The steps read at once, the length of a score and of a block change no byte."""
    run = make_counted(steps=170)
    options = {"preset": preset, "duration": duration, "speed": 2.0}
    expected = sound_bytes(tmp_path / "x.wav", run, **options)
    for name, size in (("_STEPS", 3), ("_SCORE_FRAMES", 50_000), ("_FRAMES", 4099)):
        monkeypatch.setattr(sound, name, size)

        assert sound_bytes(tmp_path / "x.wav", run, **options) == expected


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("duration", [None, 6.0])
@pytest.mark.parametrize("bytes_max", [0, 1 << 26])
def test_a_torn_line_is_told_once(
    tmp_path: Path, save, monkeypatch, bytes_max: int, duration: float | None, other: bool
) -> None:
    """However often a run is read, a warning about its last line comes once."""
    monkeypatch.setattr(kept_run, "_BYTES_MAX", bytes_max)
    run, whole = save([[1.0, 2.0]] * 200), save([[1.0, 2.0]] * 300, name="other.jsonl")
    run.write_bytes(run.read_bytes()[:-4])
    with pytest.warns(GradsoundWarning, match="torn") as caught:
        gradsound.render(
            run, tmp_path / "x.wav", duration=duration, other=whole if other else None
        )

    assert len(caught) == 1


def test_a_step_of_two_runs_counts_once(tmp_path: Path) -> None:
    """A time-lapse of two runs merges as many steps as one of either run."""
    run = make_run([[1.0]] * 400)
    gradsound.render(run, tmp_path / "one.wav", duration=6.0)
    gradsound.render(run, tmp_path / "two.wav", duration=6.0, other=make_run([[1.0]] * 400))
    one, two = (read_timeline(tmp_path / name) for name in ("one.wav", "two.wav"))

    assert two.bounds == one.bounds
    assert two.position_at(2.0) == one.position_at(2.0)
