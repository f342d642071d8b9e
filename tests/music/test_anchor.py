"""The anchor moves by whole decades to where the norms of a run lie, and only then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound import PRESETS, LinearPitch
from gradsound.music.anchor import AnchorFollower, band_pitches, fit_anchor
from gradsound.music.pitch_sentence import pitch_sentence
from gradsound.music.presets import Preset

NOTES, PERONE = PRESETS["notes"], PRESETS["perone2019"]
SOUNDING = [preset for preset in PRESETS.values() if preset.texture != "none"]
EACH = pytest.mark.parametrize("preset", SOUNDING, ids=lambda preset: preset.name)


def column(*norms: float | None) -> list[list[float | None]]:
    """Returns the rows of a run of one layer."""
    return [[norm] for norm in norms]


def anchor(rows: list[list[float | None]], preset: Preset = NOTES) -> float:
    """Returns the norm at the anchor for a run."""
    return fit_anchor(preset, [make_run(rows)]).pitch.norm


def around(norm: float, rows: int = 40) -> list[list[float | None]]:
    """Returns norms between a third of one and three times one."""
    return column(*(norm * np.geomspace(1 / 3, 3, rows)).tolist())


@EACH
def test_a_run_that_fits_keeps_its_preset(preset: Preset) -> None:
    """Norms around 1 keep the pitches that make runs comparable."""
    assert fit_anchor(preset, [make_run(around(1.0))]) is preset


@EACH
@pytest.mark.parametrize("power", [-30, -7, -4, 4, 6, 12, 30])
def test_the_anchor_is_the_decade_of_a_run_elsewhere(preset: Preset, power: int) -> None:
    """The norm at the anchor is the power of ten at the median, and no note is held."""
    run = make_run(around(2 * 10.0**power))
    fitted = fit_anchor(preset, [run])
    (pitch,) = band_pitches(fitted, 1)
    hertz = pitch.hertz(np.array([step.norms[0] for step in run.steps]))

    assert fitted.pitch.norm == pytest.approx(10.0**power, rel=1e-12)
    assert len(np.unique(hertz)) == len(hertz)
    assert fitted == replace(preset, pitch=replace(preset.pitch, norm=fitted.pitch.norm))


def test_moved_norms_sound_as_norms_around_1_do() -> None:
    """A norm of 2e5 has the pitch of 2 where the anchor is 1e5."""
    moved = replace(NOTES.pitch, norm=1e5)

    norms = np.array([0.03, 1.0, 2.0, 70.0])
    np.testing.assert_allclose(moved.hertz(norms * 1e5), NOTES.pitch.hertz(norms))


@pytest.mark.parametrize(("held", "norm"), [(10, 1.0), (11, 1e6)])
def test_a_tenth_of_the_notes_may_be_held(held: int, norm: float) -> None:
    """Of 100 notes, 10 outside the range change nothing, and 11 move the anchor.

    All others are at norm 1,000, so the anchor may move by a few decades only.
    """
    rows = column(*[1000.0] * (100 - held), *[2e6] * held)

    moved = anchor(rows)
    assert (moved == 1.0) == (norm == 1.0)
    low, high = replace(NOTES.pitch, norm=moved).decades
    assert held == 10 or low <= 3 <= np.log10(2e6) <= high


def test_a_divergence_moves_nothing() -> None:
    """Norms that run through any range keep the anchor, so that they rise to its end."""
    rows = column(*[1.0] * 30, *np.geomspace(1, 1e30, 60).tolist())

    assert anchor(rows) == 1.0


def test_norms_without_a_pitch_do_not_count() -> None:
    """0, NaN, infinity and absent layers are no notes at an end of the range."""
    others = [0.0, np.nan, np.inf, None]

    assert anchor(column(*others * 50, 1.0)) == 1.0
    assert anchor(column(*others * 50, 2e7)) == 1e7
    assert anchor(column(*others)) == 1.0


def test_each_band_has_its_own_range() -> None:
    """A norm of 1,000 fits the first band, and not the fourth, four registers higher."""
    assert anchor([[1000.0, 1.0, 1.0, 1.0]] * 9) == 1.0
    assert anchor([[1.0, 1.0, 1.0, 1000.0]] * 9) == 10.0


def test_norms_before_clipping_are_notes() -> None:
    """Raw norms of 1e4 move the anchor although clipping makes them 1."""
    run = make_run(column(*[1.0] * 20))
    steps = [replace(step, raw=np.full(1, 1e4, np.float32)) for step in run.steps]
    clipped = replace(run, steps=steps)

    assert fit_anchor(NOTES, [clipped]).pitch.norm == 10.0
    assert fit_anchor(replace(NOTES, clipping=False), [clipped]).pitch.norm == 1.0


def test_runs_that_are_heard_together_share_one_anchor() -> None:
    """It fits the notes of all of them."""
    small, large = make_run(around(1e3)), make_run(around(1e5))

    together = fit_anchor(NOTES, [small, large]).pitch
    alone = fit_anchor(NOTES, [large]).pitch
    low, high = together.decades
    assert (alone.norm, together.norm > 1) == (1e5, True)
    assert low < np.log10(1e3 / 3) < np.log10(3e5) < high


def test_a_running_baseline_has_no_anchor() -> None:
    """Only changes are audible then, at any norm."""
    running = replace(NOTES, baseline="running")

    assert fit_anchor(running, [make_run(around(1e9))]) is running
    assert "usual norm" in pitch_sentence(running)


def test_pitches_without_a_range_stay() -> None:
    """A linear pitch of slope 0 and a scale of a thousandth of a semitone hold no note."""
    flat = replace(PERONE, pitch=LinearPitch(base=200.0, slope=0.0))
    slow = replace(NOTES, pitch=replace(NOTES.pitch, semitones=0.001))

    assert fit_anchor(flat, [make_run(around(1e9))]) is flat
    assert fit_anchor(slow, [make_run(around(1e9))]) is slow


def test_the_sentence_names_interval_and_anchor() -> None:
    """It has the interval of a factor of ten, and the note of the norm at the anchor."""
    moved = replace(NOTES, pitch=replace(NOTES.pitch, norm=1e5))
    lower = replace(NOTES, pitch=replace(NOTES.pitch, invert=True, norm=1e-4))
    odd = replace(NOTES, pitch=replace(NOTES.pitch, semitones=7.0, anchor=450.0))

    assert pitch_sentence(moved) == "1 octave = factor 10; norm 1e5 is C4"
    assert (
        pitch_sentence(moved, 4) == "1 octave = factor 10; norm 1e5 is C4 in the first band"
    )
    assert pitch_sentence(lower) == "1 octave = factor 10, larger is lower; norm 1e-4 is C4"
    assert pitch_sentence(odd) == "7 semitones = factor 10; norm 1 is 450 Hz"
    assert pitch_sentence(PRESETS["ambient"]) == "1 octave = factor 10; norm 1 is C3"
    unit = replace(PERONE, pitch=replace(PERONE.pitch, norm=100.0))
    assert pitch_sentence(unit) == "100 Hz = norm 100; norm 0 would be 200 Hz"


def follow(norms: np.ndarray, sizes: list[int] | None = None) -> list[int]:
    """Returns the decades of a follower that gets so many steps at a time."""
    follower, found, begin = AnchorFollower(band_pitches(NOTES, 1)), [], 0
    for size in sizes or [len(norms)]:
        found += follower.decades(norms[begin : begin + size, None]).tolist()
        begin += size
    return found + follower.decades(norms[begin:, None]).tolist()


@given(
    st.lists(st.floats(-9, 9), min_size=1, max_size=150),
    st.lists(st.integers(1, 40), max_size=9),
)
def test_a_follower_is_the_same_for_steps_one_by_one(
    decades: list[float], sizes: list[int]
) -> None:
    """How many steps arrive in a call does not change where the anchor is."""
    norms = 10.0 ** np.array(decades)

    assert follow(norms) == follow(norms, sizes) == follow(norms, [1] * len(norms))


def test_a_follower_moves_at_the_first_step_if_all_of_it_is_held() -> None:
    """So a run with norms of 1e5 sounds right from its first step on."""
    assert follow(np.full(100, 2e5)) == [5] * 100


def test_a_follower_moves_rarely() -> None:
    """It looks at 16, 32, 64 ... steps; one strange step moves nothing after the first."""
    norms = np.ones(70)
    norms[[5, 20, 21]] = 1e9
    late = np.append(np.ones(10), np.full(60, 1e6))

    assert follow(norms) == [0] * 70
    assert follow(late) == [0] * 31 + [6] * 39


def test_a_follower_takes_back_an_untypical_first_step() -> None:
    """If only the first step is large, the second look, at 16 steps, moves back."""
    norms = np.append(5e6, np.full(40, 0.3))

    assert follow(norms) == [7] * 15 + [0] * 26
