"""Signals make notes longer or shorter, purer or more breathy, and no louder."""

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pyloudnorm
import pytest
from helpers.runs import make_run, with_signals
from helpers.scores import PLAIN, compose, compose_run, make_moments, play_run
from helpers.spectrum import spectrum
from scipy.signal import resample_poly

from gradsound import PRESETS, Drive, Preset
from gradsound.music.articulation import Articulator, band_medians
from gradsound.music.composer import Composer
from gradsound.music.layer_groups import Band, each_layer
from gradsound.rendering.sound import Sound
from gradsound.runs.model import Run
from gradsound.runs.step_block import make_block

RATE = 44_100
NAN, INF = float("nan"), float("inf")
HEARD = [PRESETS[name] for name in ("notes", "chord", "scan")]
EACH = pytest.mark.parametrize("preset", HEARD, ids=lambda preset: preset.name)


def lengths(ratios: list[float], preset: Preset = PLAIN) -> np.ndarray:
    """Returns how long notes are held at one step, in usual durations."""
    run = with_signals(make_run([[1.0] * len(ratios)]), update_ratio=ratios)
    (duration,) = compose_run(run, preset).durations
    notes = compose_run(run, preset).notes
    assert (notes["onset"] + notes["duration"] <= duration + 1e-12).all()
    return notes["duration"] / preset.note_seconds


def breath(snrs: list[float]) -> np.ndarray:
    """Returns the share of breath in the power of each layer's note at one step."""
    run = with_signals(make_run([[1.0] * len(snrs)]), snr=snrs)
    articulator = Articulator(each_layer(run.header.layers))
    return articulator.articulate(make_block([*run.steps])).breaths[0]


def test_ten_times_the_ratio_is_twice_the_duration() -> None:
    """At 1e-3 a note is as long as usual; from 1e-2 on twice, to 1e-6 an eighth of it."""
    bands = replace(PLAIN, bands="layers", note_seconds=0.1, rest_seconds=0.2)
    ratios = [1e-3, 1e-2, 1e-4, 1e-5, 2e-3, 1e-7, 0.5, 0.0, NAN, INF]
    expected = [1, 2, 1 / 2, 1 / 4, 2 ** np.log10(2), 1 / 8, 2, 1 / 8, 1, 2]

    np.testing.assert_allclose(lengths(ratios, bands), expected, rtol=1e-5)


@EACH
def test_a_held_note_ends_with_its_step(preset: Preset) -> None:
    """The longest notes leave no note for the next step, and a click has 8 ms at least."""
    fast = replace(preset, rest_seconds=0.0)

    assert lengths([1.0] * 4, fast).min() >= 1  # `lengths` checks their ends
    assert lengths([0.0] * 4, preset).min() * preset.note_seconds >= 0.008
    short = replace(preset, note_seconds=0.006, fade_seconds=0.001)
    np.testing.assert_array_equal(lengths([0.0] * 4, short), 1)


def test_a_clang_is_as_long_as_usual() -> None:
    """NaN, which is an alarm, is neither a click nor breathy."""
    run = make_run([[NAN, INF, 1.0]])
    still = with_signals(run, update_ratio=[0.0] * 3, snr=[0.05] * 3)
    notes = compose_run(still, PRESETS["notes"]).notes
    usual = compose_run(run, PRESETS["notes"]).notes

    np.testing.assert_array_equal(notes[:2], usual[:2])
    assert notes["duration"][2] < usual["duration"][2]


def test_noise_is_breath_and_a_repeated_batch_is_pure() -> None:
    """A third of the power is breath at the floor of noise, and none from 0.6 on."""
    shares = breath([0.0, 0.05, np.sqrt(0.05 * 0.6), 0.6, 0.99, NAN])

    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 6, 0, 0, 0], atol=1e-6)


def band_power(samples: np.ndarray, hertz: float) -> tuple[float, float]:
    """Returns the power of a note's partials, and that of all else, in dB."""
    bins, power = spectrum(samples)
    near = np.abs(bins / hertz - np.rint(bins / hertz)) * hertz < 12
    tone = near & (bins > hertz / 2) & (bins < 3.5 * hertz)
    return 10 * np.log10(power[tone].sum()), 10 * np.log10(power[~tone].sum())


@pytest.mark.parametrize("name", ["notes", "ambient"])
def test_the_pitch_is_heard_through_the_breath(name: str) -> None:
    """The note of a noisy gradient has its pitch, 10 dB above the strongest breath.

    Its other tones are at least 20 dB louder than those of a pure note.
    """
    preset = replace(PRESETS[name], note_seconds=1.0, voice="soft", alarms=0.0)
    run, hertz = make_run([[1.0]] * 4), preset.pitch.anchor
    inside = slice(RATE * 23 // 10, RATE * 32 // 10)  # of the third note
    pure, noisy = (
        play_run(with_signals(run, snr=[snr]), preset, RATE).mean(axis=1)[inside]
        for snr in (0.7, 0.05)
    )

    bins, power = spectrum(noisy)
    near = np.abs(bins - hertz) < 5
    others = np.abs(bins / hertz - np.rint(bins / hertz)) * hertz > 12
    assert 10 * np.log10(power[near].max() / power[others & (bins > 60)].max()) > 10
    (tone, rest), (noisy_tone, noisy_rest) = (
        band_power(one, hertz) for one in (pure, noisy)
    )
    assert (noisy_rest - noisy_tone) - (rest - tone) > 20


def test_a_norm_of_0_is_a_breath_as_before() -> None:
    """It has no tone that could be pure, in notes and in a drone."""
    for name in ("notes", "ambient"):
        run = make_run([[0.0, 1.0]] * 3)
        signals = with_signals(run, snr=[0.05, 0.9])
        usual, now = (compose_run(one, PRESETS[name]).notes for one in (run, signals))
        np.testing.assert_array_equal(now, usual)


@pytest.mark.parametrize("at_once", [1, 3, 40])
@pytest.mark.parametrize("name", ["notes", "chord", "ambient"])
def test_the_last_number_holds(name: str, at_once: int) -> None:
    """A signal of every fourth step sounds as if each step had the last one's."""
    run = make_run(np.random.default_rng(3).lognormal(0, 1, (16, 6)).tolist())
    ratios = [1e-4, 1e-3, NAN, 1e-2]

    def rare(step: int) -> list[float]:
        return [ratios[step // 4]] * 6 if step % 4 == 0 else [NAN] * 6

    def held(step: int) -> list[float]:
        known = [ratio for ratio in ratios[: step // 4 + 1] if ratio == ratio]
        return [known[-1]] * 6

    rarely, always = (
        play_run(with_signals(run, update_ratio=one, snr=one), PRESETS[name], 16_000, k)
        for one, k in ((rare, at_once), (held, 1))
    )
    np.testing.assert_array_equal(rarely, always)


def test_a_band_has_the_median_of_its_layers() -> None:
    """Of the layers that have a number; a row without any is NaN, without a warning."""
    numbers = np.array(
        [[1, 5, 3, 7, 9], [NAN, 2, NAN, 4, 1], [INF, NAN, INF, NAN, NAN], [NAN] * 5],
        np.float32,
    )
    bands = (Band("a", (0, 1, 2, 3)), Band("b", (4,)), Band("c", (0, 1, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        medians = band_medians(numbers, bands)

    expected = [[4, 9, 5], [3, 1, 1.5], [INF, NAN, INF], [NAN] * 3]
    np.testing.assert_array_equal(medians, np.array(expected, np.float32))


def test_each_band_has_its_own_articulation() -> None:
    """A still head is short while the trunk is long."""
    preset = replace(PRESETS["notes"], bands={"trunk": ("layer[012]",)})
    ratios = [1e-3, 1e-2, 1e-1, 0.0]
    run = with_signals(make_run([[1.0] * 4]), update_ratio=ratios)
    notes = compose_run(run, preset).notes

    np.testing.assert_allclose(notes["duration"] / preset.note_seconds, [2, 1 / 8])


def test_a_preset_can_leave_signals_out() -> None:
    """With signals=False, and in the sound of the post, the notes are the usual ones."""
    run = make_run([[0.5, 2.0, 1.0]] * 3)
    signals = with_signals(run, update_ratio=[0.0] * 3, snr=[0.05] * 3)
    for preset in (replace(PRESETS["notes"], signals=False), PRESETS["perone2019"]):
        usual, now = (compose_run(one, preset).notes for one in (run, signals))
        np.testing.assert_array_equal(now, usual)


def test_a_value_is_played_as_usual() -> None:
    """A logged value with a track of its own has no signals."""
    loss = Drive(value="loss", drives="voice", low=0.0, high=1.0)
    preset = replace(PRESETS["notes"], drives=(loss,))
    run = make_run([[1.0]])
    (step,) = run.steps
    run = replace(run, steps=[replace(step, values={"loss": 0.5})])
    usual = compose_run(run, preset).notes
    notes = compose_run(with_signals(run, update_ratio=[0.0], snr=[0.05]), preset).notes

    assert notes["track"].tolist() == [0, 1, 0]
    assert notes[1] == usual[1]


def test_breaths_are_as_soft_as_notes_during_an_alarm() -> None:
    """A note that begins during an alarm sound is softer, and its breath as much."""
    rows = [[1.0, 1.0]] * 5 + [[NAN, 1.0]] + [[1.0, 1.0]] * 6
    for name in ("notes", "ambient"):
        run = with_signals(make_run(rows), snr=[0.05, 0.05])
        composer = Composer(run.header.layers, PRESETS[name])
        notes = compose(composer, make_moments(run, PRESETS[name]), 0.0).notes
        breaths = [k for k, voice in enumerate(composer.voices) if voice.name == "breath"]
        levels = notes["level"][np.isin(notes["voice"], breaths)][:, 1]
        assert levels[levels > 0].max() / levels[levels > 0].min() > 1.5


@cache
def random_norms(layers: int) -> Run:
    return make_run(np.random.default_rng(layers).lognormal(0, 0.5, (40, layers)).tolist())


def loudness(run: Run, preset: Preset) -> float:
    samples = np.concatenate([*Sound([run], replace(preset, alarms=0.0)).blocks()])
    return float(pyloudnorm.Meter(RATE).integrated_loudness(samples.astype(float)))


@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize("name", ["notes", "chord", "scan", "ambient"])
def test_signals_make_a_run_no_louder_and_no_softer(name: str, layers: int) -> None:
    """From 1e-5 on, from noise to pure, a run is within 1.3 LU of one without signals.

    A single layer has louder notes, so that of short ones only the first half is made up.
    """
    run, preset = random_norms(layers), PRESETS[name]
    usual = loudness(run, preset)
    least = 1e-4 if layers == 1 else 1e-5
    for ratio, snr in ((2e-3, 0.05), (1e-2, 0.2), (least, 0.6), (1e-3, 0.0)):
        signals = {"update_ratio": [ratio] * layers, "snr": [snr] * layers}
        assert abs(loudness(with_signals(run, **signals), preset) - usual) < 1.3


def test_still_weights_are_softer() -> None:
    """Clicks of weights that stand still are 2 to 5 LU below the usual notes."""
    run, preset = random_norms(4), PRESETS["notes"]
    still = with_signals(run, update_ratio=[0.0] * 4)

    assert 2 < loudness(run, preset) - loudness(still, preset) < 5


@pytest.mark.parametrize(
    "preset",
    [
        replace(PRESETS["notes"], level=0.2, voice="saw"),
        replace(PRESETS["chord"], level=0.2),
        replace(PRESETS["scan"], level=0.2),
        *HEARD,
    ],
    ids=lambda preset: f"{preset.name}-{preset.voice}-{preset.level}",
)
@pytest.mark.parametrize("ratio", [1.0, 0.0])
def test_true_peaks_stay_below_the_limit(preset: Preset, ratio: float) -> None:
    """Long and short notes with breath, at all pitches, are below -1 dBTP."""
    norms = np.geomspace(1e-3, 1e4, 60)[:, None] * [1.0, 0.3, 3.0, 0.1]
    run = make_run(norms.tolist(), ("embed", "attn", "mlp", "head"))
    run = with_signals(run, update_ratio=[ratio] * 4, snr=[0.05] * 4)
    samples = np.concatenate([*Sound([run], preset).blocks()])
    finer = resample_poly(samples.astype(float), 4, 1, axis=0)

    assert np.abs(finer).max() < 10 ** (-1 / 20)


@EACH
def test_short_notes_do_not_click(preset: Preset) -> None:
    """Above 20.9 kHz they stay below -95 dB, as usual notes do."""
    run = with_signals(random_norms(4), update_ratio=[0.0] * 4, snr=[0.05] * 4)
    samples = np.concatenate([*Sound([run], preset).blocks()]).mean(axis=1)
    window = np.blackman(1024)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::512]
    highest = np.abs(np.fft.rfft(frames * window)[:, 486:]).max()

    assert 20 * np.log10(2 * highest / window.sum()) < -95
