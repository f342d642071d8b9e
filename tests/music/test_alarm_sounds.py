"""A listener can tell any two alarm sounds apart, by rhythm and by spectrum."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gradsound.alarms.thresholds import KINDS, OBSERVATIONS
from gradsound.music.alarm_announcer import PROGRAMS, alarm_notes
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.synth.mixer import render
from gradsound.synth.score import Score

SAMPLE_RATE = 44_100


def synthesize(kind: str) -> np.ndarray:
    """Returns the samples of an alarm sound at the default level, shape (N,)."""
    notes = alarm_notes(kind, 0.12, 0.0)
    score = Score(PROGRAMS, notes, np.array([1.2]))
    return render(score, SAMPLE_RATE)[:, 0].astype(float)


def third_octaves(samples: np.ndarray) -> np.ndarray:
    """Returns the levels of third octaves from 100 Hz in dB, from -40 to 0."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    edges = 100 * 2 ** (np.arange(21) / 3)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    bands, _ = np.histogram(hertz, edges, weights=power)
    return 10 * np.log10(bands / bands.max() + 1e-4)


def envelope(samples: np.ndarray) -> np.ndarray:
    """Returns the root mean square of every 10 ms, as a vector of norm 1."""
    blocks = samples[: len(samples) // 441 * 441].reshape(-1, 441)
    loudness = np.sqrt(np.mean(blocks**2, axis=1))
    return loudness / np.linalg.norm(loudness)


@pytest.mark.parametrize(("one", "other"), [*combinations(ALARM_SOUNDS, 2)])
def test_any_two_alarms_differ_in_rhythm_and_in_spectrum(one: str, other: str) -> None:
    """Each difference is enough by itself, in case a noise masks the other.

    10 dB between the levels of third octaves, in the root mean square, tell a flute from a
    trumpet. Of two rhythms, 0.15 of the energy differs, for all shifts up to 50 ms. A
    listener hears events as simultaneous within that time.
    """
    sounds = synthesize(one), synthesize(other)
    first, second = map(third_octaves, sounds)
    rhythms = [envelope(sound) for sound in sounds]
    correlations = np.correlate(*rhythms, "full")
    center = len(rhythms[0]) - 1

    assert np.sqrt(np.mean((first - second) ** 2)) >= 10
    assert 1 - correlations[center - 5 : center + 6].max() >= 0.15


def test_each_alarm_sound_is_short_and_not_startling() -> None:
    """Each kind has a sound of at most 1 s, under half of full scale."""
    assert {*ALARM_SOUNDS} == {*KINDS} - OBSERVATIONS
    for kind, sound in ALARM_SOUNDS.items():
        assert sound.duration <= 1.0
        assert 0.05 < np.abs(synthesize(kind)).max() < 0.5
