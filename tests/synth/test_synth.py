"""Synthesized samples: pitch, level, edges, length and spectrum are what a score says."""

import numpy as np
import pytest
from helpers.scores import note, score
from helpers.spectrum import spectrum
from hypothesis import given
from hypothesis import strategies as st

from gradsound.synth.limiter import limit
from gradsound.synth.mixer import Mixer, render
from gradsound.synth.score import NOTE, Score
from gradsound.synth.sequencer import MAX_PITCH
from gradsound.synth.voices.builtin import VOICES, clang, find_voice

RATE = 44_100
TONAL = sorted(VOICES.keys() - {"bell"})  # their strongest partial is the first
PURE = sorted(VOICES.keys() - {"hiss"})  # they have partials only


def mono(*notes: np.ndarray, rate: int = RATE, **options: object) -> np.ndarray:
    """Returns the samples of notes on one channel, shape (frames,)."""
    return render(score(*notes, **options), rate)[:, 0]


@pytest.mark.parametrize("voice", TONAL)
@pytest.mark.parametrize("hertz", [65.4, 440.0, 6000.0])
def test_a_voice_has_the_pitch_of_its_note(voice: str, hertz: float) -> None:
    """The strongest frequency is the note's, within one bin (1 Hz)."""
    bins, power = spectrum(mono(note(hertz), voice=voice))

    assert abs(bins[power.argmax()] - hertz) <= 1.0


@pytest.mark.parametrize("voice", ["bell", "saw", "square", "organ", "soft"])
def test_a_voice_repeats_at_its_pitch(voice: str) -> None:
    """At 441 Hz a period has 100 frames, and the next is equal to float32's precision."""
    samples = mono(note(441.0, deviation=1.0), voice=voice)[4410:-4410]

    np.testing.assert_allclose(samples[100:], samples[:-100], atol=2e-5)


def test_level_is_the_peak() -> None:
    """A sine of level 1/3 peaks at 1/3, to the step of its samples (0.1 %)."""
    samples = mono(note(441.0))

    np.testing.assert_allclose(np.abs(samples).max(), 1 / 3, rtol=1e-3)


@pytest.mark.parametrize("voice", [*VOICES, "clang"])
@pytest.mark.parametrize("deviation", [-1.0, 1.0])
@pytest.mark.parametrize("hertz", [65.4, 441.0, 2093.0])
def test_no_voice_passes_its_level(voice: str, deviation: float, hertz: float) -> None:
    """The peak of every voice is between 45 % and 100 % of its level."""
    program = clang if voice == "clang" else voice
    peak = np.abs(mono(note(hertz, deviation=deviation), voice=program)).max() * 3

    assert 0.45 < peak <= 1.0 + 1e-6


@pytest.mark.parametrize("voice", PURE)
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("hertz", [100.0, 880.0, 2093.0, 4000.0, 7_000.0, 30_000.0, 1e30])
def test_nothing_folds_back(voice: str, rate: int, hertz: float) -> None:
    """At any pitch and the brightest, the power above the limit is under -70 dB.

    Partials up there would fold back below half the sample rate. The margin of 60 Hz is for
    the window's main lobe and growl's beats.
    """
    loud = note(hertz, fade=0.1, deviation=1.0)
    bins, power = spectrum(mono(loud, rate=rate, voice=voice), rate)
    above = power[bins > MAX_PITCH * rate + 60].sum()

    assert above <= 10**-7.0 * power.sum()


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("hertz", [44.0, 176.0])
def test_clangs_do_not_fold_back(rate: int, hertz: float) -> None:
    """Clangs have two pitches, 44 and 176 Hz; both stay below the limit."""
    bins, power = spectrum(mono(note(hertz, fade=0.1), rate=rate, voice=clang), rate)

    assert power[bins > MAX_PITCH * rate + 60].sum() <= 10**-7.0 * power.sum()


def test_a_clang_is_inharmonic() -> None:
    """No two of its five loudest partials are an octave apart, and none is at its pitch."""
    bins, power = spectrum(mono(note(44.0, fade=0.1), voice=clang))
    peaks = [k for k in range(1, 100) if power[44 * k] > 10**-2.5 * power.max()]

    assert len(peaks) >= 5
    assert 1 not in peaks
    loudest = sorted(peaks, key=lambda k: -power[44 * k])[:5]
    assert not {2 * k for k in loudest} & set(loudest)
    assert bins[44] == 44.0


def test_pitch_is_held_at_the_limit() -> None:
    """A higher pitch sounds at 0.45 of the sample rate; it does not fold back."""
    bins, power = spectrum(mono(note(1e6)))

    assert abs(bins[power.argmax()] - 0.45 * RATE) <= 1.0


@pytest.mark.parametrize("voice", [*VOICES])
def test_notes_begin_and_end_in_silence(voice: str) -> None:
    """The first and the last sample are under 1 % of the level, far below a click."""
    samples = mono(note(440.0, duration=0.01), duration=0.01, voice=voice)

    assert np.abs(samples[[0, -1]]).max() <= 0.01 / 3


def test_edges_are_smooth() -> None:
    """A short note with fades has -87 dB of its power above 5 kHz, so it does not click.

    Without fades, as in the script of 2019, it has -28 dB there.
    """
    shares = []  # dB
    for fade in (0.002, 0.0):
        samples = mono(note(437.0, duration=0.0108, fade=fade), duration=0.5)
        power = np.abs(np.fft.rfft(samples)) ** 2
        bins = np.fft.rfftfreq(len(samples), 1 / RATE)
        shares.append(10 * np.log10(power[bins > 5000].sum() / power.sum()))

    assert shares[0] < -80 < -35 < shares[1]


def test_edges_are_raised_cosines() -> None:
    """They are exact to 6e-7, the error of their polynomial; the middle is unchanged."""
    whole, faded = (mono(note(441.0, fade=fade, duration=0.1)) for fade in (0.0, 0.02))
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(882) + 0.5) / 882)

    np.testing.assert_allclose(faded[:882], whole[:882] * rise, atol=6e-7)
    np.testing.assert_allclose(faded[3528:4410], whole[3528:4410] * rise[::-1], atol=6e-7)
    np.testing.assert_array_equal(faded[882:3528], whole[882:3528])


def test_notes_add_up() -> None:
    """Simultaneous notes of two voices are the sum of both alone."""
    one, two = note(220.0), note(330.0, voice=1)
    voices = {"others": ("soft",)}

    np.testing.assert_allclose(
        mono(one, two, **voices), mono(one, **voices) + mono(two, **voices), atol=1e-7
    )


def test_pitch_glides() -> None:
    """A glide from 300 to 900 Hz in a second is linear: 600 Hz in the middle."""
    samples = mono(note((300.0, 900.0)))
    for middle, hertz in ((0.25, 450.0), (0.5, 600.0), (0.75, 750.0)):
        first = round((middle - 0.01) * RATE)
        bins, power = spectrum(np.pad(samples[first : first + 882], (0, RATE - 882)))
        assert abs(bins[power.argmax()] - hertz) <= 10.0  # the peak is 50 Hz wide


def test_level_is_a_ramp() -> None:
    """A level from 0.1 to 0.5 is linear, at each peak of the wave."""
    peaks = mono(note(441.0, level=(0.1, 0.5), fade=0.0))[25::100]  # a quarter of a period
    line = 0.1 + 0.4 * (25 + 100 * np.arange(len(peaks))) / RATE

    np.testing.assert_allclose(peaks, line, rtol=1e-4)


def test_a_continuing_note_continues_the_phase() -> None:
    """A note with a glide and the next note of its slot have no jump between them."""
    joined = [
        note((200.0, 500.0), duration=0.5, fade=0.0, continues=True, slot=3),
        note(500.0, duration=0.5, onset=0.5, fade=0.0, continues=True, slot=3),
    ]
    bends = np.abs(np.diff(mono(*joined), n=2))  # a jump is a peak of these

    assert bends[22_045:22_055].max() <= 1.01 * bends[22_060:22_160].max()


def test_start_phases_are_spread() -> None:
    """The peak of 64 equal notes at once is at least 20 dB below the sum of their peaks."""
    notes = [note(441.0, level=1 / 8, slot=k) for k in range(64)]
    mixer = Mixer(RATE, 1)
    mixer.add(score(*notes))

    assert np.abs(mixer.read(RATE)).max() <= 0.1 * 64 / 8


@pytest.mark.parametrize("count", [2, 9, 64, 500])
def test_many_voices_never_clip(count: int) -> None:
    """Notes at full level, with random pitches from 100 to 2000 Hz, stay below 1."""
    hertz = np.random.default_rng(count).uniform(100, 2000, count)
    loud = mono(*(note(h, level=1.0, slot=k) for k, h in enumerate(hertz)))

    assert 0.9 < np.abs(loud).max() < 1.0


@given(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(-2, 2, width=32))
def test_the_limiter_keeps_order_and_soft_samples(one: float, other: float) -> None:
    """No sample exceeds 1, a larger one stays larger, and one below 0.8 stays unchanged."""
    low, high = sorted((one, other))
    limited = limit(np.array([low, high], np.float32))

    assert np.abs(limited).max() <= 1.0
    assert limited[0] <= limited[1]
    for before, after in zip((low, high), limited):
        assert after == np.float32(before) or abs(before) > 0.8


def test_the_limiter_compresses_above_its_knee() -> None:
    """Above 0.8 the curve is 0.8 + 0.2 x / (1 + x), x the excess in units of 0.2."""
    samples = np.array([[0.8, 1.0], [-1.2, -0.3]], np.float32)

    np.testing.assert_allclose(
        limit(samples), [[0.8, 0.9], [-(0.8 + 0.2 * 2 / 3), -0.3]], rtol=1e-6
    )
    assert limit(np.zeros((0, 1), np.float32)).shape == (0, 1)


def test_nan_becomes_silence_and_infinity_full_scale() -> None:
    """A user's voice may produce both."""
    limited = limit(np.array([np.nan, np.inf, -np.inf, 0.5], np.float32))

    np.testing.assert_allclose(limited, [0.0, 1.0, -1.0, 0.5], atol=1e-6)
    assert limit(np.array([np.nan], np.float32))[0] == 0.0


@pytest.mark.parametrize(("pan", "shares"), [(-1, (1, 0)), (0, (0.5, 0.5)), (1, (0, 1))])
def test_pan_has_constant_power(pan: float, shares: tuple[float, float]) -> None:
    """At any pan, both channels together have the power of one channel alone."""
    stereo = render(score(note(441.0, pan=pan)), RATE, channels=2)
    alone = mono(note(441.0))
    power = np.mean(stereo**2.0, axis=0, dtype=float) / np.mean(alone**2.0, dtype=float)

    assert stereo.shape == (RATE, 2)
    np.testing.assert_allclose(power, shares, atol=1e-6)


@given(
    st.lists(st.floats(0.01, 0.2), min_size=2, max_size=9),
    st.integers(1, 8),
    st.sampled_from([16_000, 44_100, 48_000]),
)
def test_scores_in_parts_are_the_whole(durations: list[float], cut: int, rate: int) -> None:
    """A score that is added and read in two parts has the same samples."""
    notes = [note(500.0, duration=d / 2, step=k) for k, d in enumerate(durations)]
    whole = Score((find_voice("sine"),), np.concatenate(notes), np.array(durations))
    one = Mixer(rate, 1)
    one.add(whole)
    together = one.read(one.frames_left)
    two, parts = Mixer(rate, 1), []
    for part in (slice(None, cut), slice(cut, None)):
        some = np.concatenate([np.zeros(0, NOTE), *notes[part]])
        some["step"] -= some["step"].min(initial=len(notes))
        two.add(Score(whole.voices, some, whole.durations[part]))
        parts.append(two.read(two.frames_left))

    np.testing.assert_array_equal(np.concatenate(parts), together)


def test_rounding_does_not_add_up() -> None:
    """Steps of 220.5 frames have 220 or 221 frames, and are exact on average."""
    samples = render(
        Score((find_voice("sine"),), np.zeros(0, NOTE), np.full(1000, 0.01)), 22_050
    )

    assert samples.shape == (220_500, 1)
    assert samples.dtype == np.float32
