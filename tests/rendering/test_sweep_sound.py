"""The sound of three to eight runs: each has its time, its place and its pitch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run

import gradsound
from gradsound.music.pitch import LogPitch
from gradsound.rendering.locate import describe_time, read_timeline
from gradsound.runs.model import Run

RATE, NOTE = 44_100, 3087  # frames a second, frames of a note
PLAIN = replace(gradsound.PRESETS["notes"], alarms=0.0)


def name_runs(norms: list[list[list[float | None]]]) -> list[Run]:
    """Returns runs named a, b, c ..., which have two layers each."""
    runs = [make_run(rows) for rows in norms]
    return [replace(run, name="abcdefgh"[k]) for k, run in enumerate(runs)]


def notes_of(path: Path, runs: int, steps: int) -> np.ndarray:
    """Returns the frames of each note, shape (steps, runs, frames of a note, 2)."""
    samples, _ = soundfile.read(path)
    rest = 2 * NOTE
    rows = samples[: steps * (runs * NOTE + rest)].reshape(steps, runs * NOTE + rest, 2)
    assert not rows[:, runs * NOTE :].any()  # silence divides the steps
    return rows[:, : runs * NOTE].reshape(steps, runs, NOTE, 2)


@pytest.mark.parametrize("count", [3, 8])
def test_each_run_is_a_note_from_left_to_right(tmp_path: Path, count: int) -> None:
    """Its pitch by FFT is that of the norm of all its layers; all are equally loud."""
    norms = [0.03 * 2**k for k in range(count)]  # of each of two layers
    first, *others = name_runs([[[norm, norm]] * 2 for norm in norms])
    gradsound.render(first, tmp_path / "x.wav", other=others, preset=PLAIN)
    notes = notes_of(tmp_path / "x.wav", count, 2)
    pitch = PLAIN.pitch
    assert isinstance(pitch, LogPitch)
    expected = pitch.hertz(np.array(norms) * math.sqrt(2))
    bin_hertz = RATE / (1 << 16)

    loudness = []
    for note, hertz, pan in zip(notes[1], expected, np.linspace(-1, 1, count)):
        size = np.abs(np.fft.rfft(note.sum(axis=1) * np.hanning(NOTE), 1 << 16))
        # A 70 ms note has a spectral line 14 Hz wide; its top is within a tenth of that.
        assert np.argmax(size) * bin_hertz == pytest.approx(hertz, abs=1.4)
        left, right = np.sqrt((note**2).mean(axis=0))
        # 16-bit samples of a silent channel are exactly 0.
        angle = (pan + 1) * np.pi / 4
        assert left / np.hypot(left, right) == pytest.approx(math.cos(angle), abs=1e-3)
        loudness.append(20 * np.log10(np.hypot(left, right)))
    # The voice "soft" is as loud as a sine at any pitch; its level then varies by 6 dB.
    assert max(loudness) - min(loudness) < 6.0
    assert min(loudness) > -32.0


def test_a_run_without_a_step_is_silent_at_its_place(tmp_path: Path) -> None:
    """A shorter run leaves its place empty, and the others keep theirs."""
    first, *others = name_runs([[[1.0]] * 3, [[1.0]], [[1.0]] * 3])
    gradsound.render(first, tmp_path / "x.wav", other=others, preset=PLAIN)
    notes = notes_of(tmp_path / "x.wav", 3, 3)

    assert notes[0, 1].any()
    assert not notes[1:, 1].any()
    assert notes[1:, [0, 2]].any(axis=(2, 3)).all()
    np.testing.assert_array_equal(notes[0, 0], notes[2, 0])


def test_equal_norms_are_equal_notes(tmp_path: Path) -> None:
    """A run with a norm of ten times the others' is heard an octave higher, alone."""
    rows = [[[1.0]], [[1.0]], [[10.0]], [[1.0]]]
    first, *others = name_runs(rows)
    gradsound.render(first, tmp_path / "x.wav", other=others, preset=PLAIN)
    (step,) = notes_of(tmp_path / "x.wav", 4, 1)
    peaks = [
        np.argmax(np.abs(np.fft.rfft(note.sum(axis=1) * np.hanning(NOTE), 1 << 16)))
        for note in step
    ]

    assert peaks[0] == peaks[1] == peaks[3]
    assert peaks[2] == pytest.approx(2 * peaks[0], rel=0.01)


@pytest.mark.parametrize("preset", gradsound.PRESETS)
def test_eight_runs_that_break_at_once_do_not_clip(tmp_path: Path, preset: str) -> None:
    """All alarms sound together; the sum stays below full scale, and ends in silence."""
    rows: list[list[float | None]] = [[1.0, 2.0]] * 8 + [[math.nan, math.nan]] * 8
    first, *others = name_runs([rows] * 8)
    gradsound.render(first, tmp_path / "x.wav", other=others, preset=preset)
    samples, _ = soundfile.read(tmp_path / "x.wav")

    assert samples.shape[1] == 2
    assert np.abs(samples).max() < 0.99
    assert np.abs(samples[-10:]).max() < 0.01


def test_the_end_of_eight_runs_is_as_loud_as_that_of_two(tmp_path: Path) -> None:
    """All runs end with the same sound, which must not add up."""
    peaks = []
    for count in (2, 8):
        first, *others = name_runs([[[1.0]]] * count)
        path = tmp_path / f"{count}.wav"
        gradsound.render(first, path, other=others, preset="alarms")
        samples, _ = soundfile.read(path)
        peaks.append(np.abs(samples).max())

    # Seven notes between the ears add a quarter to what each ear hears of two.
    assert peaks[0] * 0.9 < peaks[1] < peaks[0] * 1.5


def test_captions_and_places_name_the_run(tmp_path: Path) -> None:
    """An alarm's caption has the name of its run; a WAV file knows which run sounds."""
    rows: list[list[float | None]] = [[1.0]] * 9
    broken: list[list[float | None]] = [[1.0]] * 4 + [[math.nan]] * 5
    first, *others = name_runs([rows, rows, broken])
    gradsound.render(first, tmp_path / "x.wav", other=others)
    assert "c, step 4: NaN" in (tmp_path / "x.vtt").read_text()
    timeline = read_timeline(tmp_path / "x.wav")
    # A step is 3 x 70 ms and 140 ms of silence.
    for k, name in enumerate("abc"):
        text = describe_time(timeline, 0.35 * 2 + 0.07 * k + 0.03)
        assert text.startswith("0:00 is step 2: " + name)


def test_all_runs_share_one_anchor(tmp_path: Path) -> None:
    """Runs of norms around 1e-6 move the pitches of a run that would fit alone."""
    first, *others = name_runs([[[1e-6]] * 40, [[1e-6]] * 40, [[0.1]] * 4])
    gradsound.render(first, tmp_path / "x.vtt", other=others)

    text = (tmp_path / "x.vtt").read_text()
    assert text.count("norm 1e-6 is C4") == 1
