"""The synth is judged by what is heard: pitch, level, seams, length, spectrum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsound.score import Note, Score
from gradsound.synth.render import LIMIT, render
from gradsound.synth.voices import VOICES

RATE = 44_100


def note(
    hertz: float, *, duration: float = 1.0, onset: float = 0.0, **changes: object
) -> Note:
    values = {"voice": "sine", "level": 1 / 3, "fade": 0.002} | changes
    return Note(onset=onset, duration=duration, hertz=hertz, **values)


def mono(*notes: Note, duration: float = 1.0, rate: int = RATE) -> np.ndarray:
    return render([Score(notes, duration)], rate)[:, 0]


def spectrum(samples: np.ndarray, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Bins in Hz and their power."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / rate), power


@pytest.mark.parametrize("voice", ["sine", "soft"])
@pytest.mark.parametrize("hertz", [65.4, 440.0, 6000.0])
def test_sounds_at_its_pitch(voice: str, hertz: float) -> None:
    """The strongest frequency is the note's, within one bin (1 Hz)."""
    bins, power = spectrum(mono(note(hertz, voice=voice)))

    assert abs(bins[power.argmax()] - hertz) <= 1.0


def test_level_is_the_peak() -> None:
    """A sine of level 1/3 peaks at 1/3, to the step of its samples (0.1 %)."""
    samples = mono(note(441.0))

    np.testing.assert_allclose(np.abs(samples).max(), 1 / 3, rtol=1e-3)


@pytest.mark.parametrize("voice", VOICES)
def test_no_voice_passes_its_level(voice: str) -> None:
    """Every voice stays within -1..1 at any phase."""
    values = VOICES[voice].wave(np.linspace(-50, 50, 1_000_001))

    assert 0.5 < np.abs(values).max() <= 1.0


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_nothing_folds_back(voice: str, rate: int) -> None:
    """At any pitch asked for, what lies above the limit is under -75 dB of the whole.

    The tolerance is that of the harsh voice: its sidebands beyond the 12th have -82 dB.
    """
    for hertz in (100.0, 880.0, 7_000.0, 30_000.0, 1e30):
        bins, power = spectrum(mono(note(hertz, voice=voice, fade=0.1), rate=rate), rate)
        above = power[bins > LIMIT * rate + 20].sum()  # 20 Hz: the window's main lobe
        assert above <= 10**-7.5 * power.sum()


def test_held_at_the_limit() -> None:
    """A pitch above sounds at 0.45 x the sample rate, not folded back below."""
    bins, power = spectrum(mono(note(1e6)))

    assert abs(bins[power.argmax()] - 0.45 * RATE) <= 1.0


@pytest.mark.parametrize("voice", VOICES)
def test_begins_and_ends_in_silence(voice: str) -> None:
    """The first and last sample are far below a click: 1 % of the level."""
    samples = mono(note(440.0, duration=0.01, voice=voice), duration=0.01)

    assert np.abs(samples[[0, -1]]).max() <= 0.01 / 3


def test_edges_are_smooth() -> None:
    """A short note has no click: above 5 kHz, its edges leave -87 dB of it.

    Cut off abruptly, as in the script of 2019, it leaves -28 dB there.
    """
    shares = []
    for fade in (0.002, 0.0):
        samples = mono(note(437.0, duration=0.0108, fade=fade), duration=0.5)
        power = np.abs(np.fft.rfft(samples)) ** 2
        bins = np.fft.rfftfreq(len(samples), 1 / RATE)
        shares.append(10 * np.log10(power[bins > 5000].sum() / power.sum()))

    assert shares[0] < -80 < -35 < shares[1]


def test_notes_add_up() -> None:
    """Notes at once are the sum of each alone."""
    one, two = note(220.0), note(330.0, voice="soft")

    np.testing.assert_allclose(mono(one, two), mono(one) + mono(two), atol=1e-7)


@given(
    st.lists(st.floats(0.01, 0.2), min_size=2, max_size=9),
    st.integers(1, 8),
    st.sampled_from([16_000, 44_100, 48_000]),
)
def test_blocks_join_to_the_whole(durations: list[float], cut: int, rate: int) -> None:
    """Rendered in two blocks or in one, the samples are the same, to the last bit."""
    scores = [Score((note(500.0, duration=d / 2),), d) for d in durations]
    whole = render(scores, rate)
    start = 0.0
    for duration in durations[:cut]:
        start += duration
    parts = render(scores[:cut], rate), render(scores[cut:], rate, start)

    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_rounding_does_not_add_up() -> None:
    """Steps of 220.5 frames are 220 and 221 frames, and on the average exact."""
    samples = render([Score((), 0.01)] * 1000, 22_050)

    assert samples.shape == (220_500, 1)
    assert samples.dtype == np.float32
