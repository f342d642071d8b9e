"""The demo of experts that predict paths: its claims, against controls, and its sound."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.demos import read_tables, run_demo

CHORD = 196 * 2 ** (np.array([0, 7, 12, 16, 19, 24]) / 12)  # Hz


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Runs the demo with one seed; returns its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder / "out", run_demo("experts", "--seeds", 1, folder=folder).stdout


def test_experts_make_a_safe_plan_and_their_collapse_is_told(demo) -> None:
    """The cheapest path collides at most a quarter as often, but not of a mean."""
    (rows,) = read_tables(demo[1])
    relaxed, winner, mean, collapsed = rows.values()
    likeliest, cheapest = "collisions of the likeliest, %", "of the cheapest, %"

    assert relaxed[cheapest] <= relaxed[likeliest] / 4
    assert winner[cheapest] <= winner[likeliest] / 4
    assert mean[cheapest] > 0.9 * mean[likeliest]
    assert relaxed["error of the nearest path"] < mean["error of the nearest path"] / 2
    assert relaxed["at step 600"] > 4
    assert collapsed["at step 600"] == 1
    assert (relaxed["trainings"], relaxed["with the alarm"]) == (2, 0)
    assert (collapsed["trainings"], collapsed["with the alarm"]) == (2, 2)
    assert "told within 40 steps in 2 of 2, at step 31 at the latest" in demo[1]


def test_experts_in_use_are_notes(demo) -> None:
    """Left, the chord of the healthy training grows; right, one note stays."""
    samples, rate = soundfile.read(demo[0] / "experts.wav")
    notes = [
        [
            count_notes(samples[int(t * rate) : int((t + 1) * rate), ear], rate)
            for ear in (0, 1)
        ]
        for t in (1.0, 14.0)
    ]
    captions = (demo[0] / "experts.vtt").read_text()

    assert notes[0][0] < notes[1][0] >= 5
    assert [right for _, right in notes] == [1, 1]
    assert re.findall(r"step (\d+): collapsed", captions) == ["31"]
    assert captions.count(" step ") == 1 + captions.count("end of the run") == 3
    assert 0.1 < np.abs(samples).max() < 0.9


def count_notes(samples: np.ndarray, rate: int) -> int:
    """Returns how many notes of the chord sound; nothing else does."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    levels = np.array([power[np.abs(hertz - one) < 6].sum() for one in CHORD])

    assert levels.sum() > 0.99 * power.sum()
    return int((levels > levels.max() / 100).sum())


def test_the_picture_is_written(demo) -> None:
    """It has three panels, so it is no empty figure."""
    assert (demo[0] / "experts.png").stat().st_size > 40_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", 0], "--seeds must be 1 or more, got 0"),
        (["--out", "/dev/null/x"], "--out must be a folder to write in: "),
        (["--out", "/proc/self"], "--out must be a folder to write in: "),  # also for root
    ],
)
def test_wrong_options_end_in_one_sentence(tmp_path: Path, options, message: str) -> None:
    """No traceback, and no training before."""
    lines = run_demo("experts", *options, folder=tmp_path, status=2).stderr.splitlines()

    assert message in lines[-1]
    assert all(line.startswith(("usage: ", "       ")) for line in lines[:-1])
