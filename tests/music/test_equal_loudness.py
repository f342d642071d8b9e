"""Voices, runs and presets are equally loud by ISO 226 and BS.1770, without clicks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
from helpers.runs import make_run
from helpers.scores import note, score
from scipy.signal import resample_poly

from gradsound import PRESETS, Preset, read_run
from gradsound.music.equal_loudness import contour, gains, k_weighting
from gradsound.rendering.sound import Sound
from gradsound.runs.model import Run
from gradsound.synth.mixer import render
from gradsound.synth.voices.builtin import VOICES, find_voice

RATE = 44_100
RUNS = sorted((Path(__file__).parents[2] / "samples" / "runs").glob("*.jsonl"))
EACH = pytest.mark.parametrize("name", PRESETS)

# ISO 226:2003, table 1: frequency in Hz, exponent, transfer in dB, threshold in dB.
ISO_226 = """
20 .532 -31.6 78.5; 25 .506 -27.2 68.7; 31.5 .480 -23.0 59.5; 40 .455 -19.1 51.1;
50 .432 -15.9 44.0; 63 .409 -13.0 37.5; 80 .387 -10.3 31.5; 100 .367 -8.1 26.5;
125 .349 -6.2 22.1; 160 .330 -4.5 17.9; 200 .315 -3.1 14.4; 250 .301 -2.0 11.4;
315 .288 -1.1 8.6; 400 .276 -0.4 6.2; 500 .267 0.0 4.4; 630 .259 0.3 3.0;
800 .253 0.5 2.2; 1000 .250 0.0 2.4; 1250 .246 -2.7 3.5; 1600 .244 -4.1 1.7;
2000 .243 -1.0 -1.3; 2500 .243 1.7 -4.2; 3150 .243 2.5 -6.0; 4000 .242 1.2 -5.4;
5000 .242 -2.1 -1.5; 6300 .245 -7.1 6.0; 8000 .254 -11.2 12.6; 10000 .271 -10.7 13.9;
12500 .301 -3.1 12.3
"""


def test_the_contour_follows_iso_226() -> None:
    """It agrees with the formula at 60 phon to 0.05 dB, the rounding of the table."""
    table = np.array([row.split() for row in ISO_226.split(";")], float).T
    hertz, exponent, transfer, threshold = table
    loudness = 4.47e-3 * (10 ** (0.025 * 60) - 1.15)
    loudness = loudness + (0.4 * 10 ** ((threshold + transfer) / 10 - 9)) ** exponent
    level = 10 / exponent * np.log10(loudness) - transfer + 94

    np.testing.assert_allclose(contour(hertz), level - 60, atol=0.051)
    np.testing.assert_allclose(
        contour(np.array([100.0, 200.0, 3150.0])), [18.7, 9.9, -3.6], atol=0.051
    )


@pytest.mark.parametrize("voice", ["sine", "soft", "organ", "saw", "square", "bell"])
def test_all_pitches_of_a_voice_are_equally_loud(voice: str) -> None:
    """Levels weighted by the contour differ by 2 dB at most, from 150 to 2500 Hz."""
    program = find_voice(voice)
    levels = []
    for hertz in np.geomspace(150, 2500, 12):
        level = 0.1 * float(gains(program, np.array([hertz]))[0])
        samples = render(score(note(hertz, level=level), voice=voice), RATE)[:, 0]
        power = np.abs(np.fft.rfft(samples)) ** 2
        bins = np.fft.rfftfreq(len(samples), 1 / RATE)
        levels.append(10 * np.log10(power[1:] @ 10 ** (-contour(bins[1:]) / 10)))

    assert np.ptp(levels) <= 2.0


def test_gains_are_bounded() -> None:
    """The gain of any voice is within 12 dB."""
    hertz = np.geomspace(1, 20_000, 50)
    for voice in VOICES:
        assert gains(find_voice(voice), hertz).min() >= 0.25
        assert gains(find_voice(voice), hertz).max() <= 4.0


@cache
def sound(path: Path, name: str) -> np.ndarray:
    return np.concatenate([*Sound([read_run(path)], PRESETS[name]).blocks()])


@EACH
def test_all_runs_are_equally_loud(name: str) -> None:
    """The five runs of the demo and one with dead layers are within 2 LU by BS.1770.

    So a listener who turns the volume up for one run is not startled by the next.
    """
    meter = pyloudnorm.Meter(RATE)
    loudness = [meter.integrated_loudness(sound(path, name).astype(float)) for path in RUNS]

    # The others have alarms, which are louder than a drone or silence.
    quiet = [loudness[k] for k in (0, 1, 4)]
    assert np.ptp(quiet if name in ("ambient", "alarms") else loudness) <= 2.0
    assert np.ptp(loudness) <= 4.0


def test_drones_without_alarms_are_equally_loud() -> None:
    """Without the alarms, all runs of the demo are within 2 LU as drones, too."""
    meter, preset = pyloudnorm.Meter(RATE), replace(PRESETS["ambient"], alarms=0.0)
    sounds = [
        np.concatenate([*Sound([read_run(path)], preset).blocks()]) for path in RUNS[:5]
    ]

    assert np.ptp([meter.integrated_loudness(one.astype(float)) for one in sounds]) <= 2.0


def made_runs() -> dict[str, Run]:
    """Returns runs of one norm, of four bands and of sixteen networks."""
    random = np.random.default_rng(23)

    def run(scale: float, layers: int, zeros: float = 0.0) -> Run:
        norms = scale * random.lognormal(0, 0.5, (120, layers))
        norms[random.random(norms.shape) < zeros] = 0
        return make_run(norms.tolist())

    singles = {f"one at {norm:g}": run(norm, 1) for norm in (1e-4, 0.03, 0.3, 1, 20, 1e6)}
    zeros = {"zeros": run(1.0, 1, 0.3), "zeros of four": run(1.0, 4, 0.3)}
    bands = {f"{n} layers": run(1.0, n) for n in (2, 3, 4, 16)}
    return singles | zeros | bands | {"small layers": run(0.1, 16)}


@EACH
def test_runs_of_any_shape_are_equally_loud(name: str) -> None:
    """One norm at any scale, four bands and sixteen networks are within 3 LU by BS.1770."""
    meter, loudness = pyloudnorm.Meter(RATE), {}
    preset = replace(PRESETS[name], alarms=PRESETS[name].alarms if name == "alarms" else 0)
    for shape, run in made_runs().items():
        samples = np.concatenate([*Sound([run], preset).blocks()]).astype(float)
        loudness[shape] = meter.integrated_loudness(samples)

    # perone2019 has no equal loudness, and BS.1770 lifts its tones above 2 kHz by 4 dB.
    spread = 4.0 if name == "perone2019" else 3.0
    assert max(loudness.values()) - min(loudness.values()) <= spread, loudness


def test_the_weighting_is_that_of_bs1770() -> None:
    """It agrees with an independent meter to 0.05 dB, at 1000 Hz and below and above it."""
    meter, time = pyloudnorm.Meter(48_000), np.arange(96_000) / 48_000
    pitches = np.array([60.0, 150.0, 1000.0, 2500.0, 9000.0])
    measured = [
        meter.integrated_loudness(0.1 * np.sin(2 * np.pi * hertz * time))
        for hertz in pitches
    ]

    expected = k_weighting(pitches) - k_weighting(np.array([1000.0]))
    np.testing.assert_allclose(np.array(measured) - measured[2], expected, atol=0.05)


def test_a_drone_of_dead_layers_is_equally_loud() -> None:
    """Without its alarms, the sixth run is within 2 LU of the others."""
    meter, drone = pyloudnorm.Meter(RATE), replace(PRESETS["ambient"], alarms=0.0)
    sounds = [np.concatenate([*Sound([read_run(path)], drone).blocks()]) for path in RUNS]

    loudness = [meter.integrated_loudness(samples.astype(float)) for samples in sounds]
    assert np.ptp(loudness) <= 2.0


def test_the_drone_is_quieter_than_other_presets() -> None:
    """Without pauses, the drone is at least 5 LU below the presets with pauses."""
    meter = pyloudnorm.Meter(RATE)
    levels = {
        name: meter.integrated_loudness(sound(RUNS[0], name).astype(float))
        for name in ("notes", "chord", "scan", "ambient")
    }

    assert levels.pop("ambient") <= min(levels.values()) - 5
    assert min(levels.values()) >= -26
    assert max(levels.values()) <= -18


@EACH
def test_true_peaks_are_below_the_limit(name: str) -> None:
    """They are below -1 dBTP, measured as in BS.1770 with four times the samples."""
    for path in RUNS:
        finer = resample_poly(sound(path, name), 4, 1, axis=0)
        assert np.abs(finer).max() < 10 ** (-1 / 20)


@pytest.mark.parametrize(
    "preset",
    [
        *(replace(PRESETS["notes"], level=0.2, voice=v) for v in VOICES if v != "hiss"),
        replace(PRESETS["chord"], level=0.2, alarms=0.5),
        replace(PRESETS["scan"], level=0.2, alarms=0.5),
        replace(PRESETS["ambient"], level=0.2, alarms=0.5),
        replace(PRESETS["chord"], level=0.75, equal_loudness=False),
        replace(PRESETS["perone2019"], level=0.75, alarms=0.5),
    ],
    ids=lambda preset: f"{preset.name}-{preset.voice}",
)
def test_true_peaks_at_the_highest_levels_are_below_the_limit(preset: Preset) -> None:
    """A run through all pitches, with NaN, infinity and alarms, is below -1 dBTP."""
    norms = np.geomspace(1e-3, 1e4, 60)[:, None] * [1.0, 0.3, 3.0, 0.1]
    norms[20, 1], norms[40, 2] = np.nan, np.inf
    run = make_run(norms.tolist(), ("embed", "attn", "mlp", "head"))
    samples = np.concatenate([*Sound([run], preset).blocks()])
    finer = resample_poly(samples.astype(float), 4, 1, axis=0)

    assert 0.4 < np.abs(finer).max() < 10 ** (-1 / 20)


def clicks(samples: np.ndarray) -> float:
    """Returns the highest level in dB within 23 ms above 20.9 kHz, above all voices."""
    mono = samples.mean(axis=1)
    window = np.blackman(1024)
    frames = np.lib.stride_tricks.sliding_window_view(mono, 1024)[::256]
    loudest = max(
        np.abs(np.fft.rfft(frames[k : k + 4096] * window)[:, 486:]).max()
        for k in range(0, len(frames), 4096)
    )
    return float(20 * np.log10(2 * loudest / window.sum() + 1e-12))


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "perone2019"])
def test_presets_do_not_click(name: str) -> None:
    """They stay below -95 dB above 20.9 kHz; a jump of 0.1 is above -75 dB."""
    assert max(clicks(sound(path, name)) for path in RUNS) < -95
    jump = sound(RUNS[0], name)[:RATE].copy()
    jump[RATE // 2 :] += 0.1
    assert clicks(jump) > -75


def test_notes_without_fades_click() -> None:
    """So the test above would detect a click."""
    blunt = replace(PRESETS["notes"], fade_seconds=0.0)
    samples = np.concatenate([*Sound([read_run(RUNS[0])], blunt).blocks()])

    assert clicks(samples) > -75


@pytest.mark.parametrize("name", ["notes", "chord", "scan", "ambient"])
def test_a_falling_norm_does_not_fade_away(name: str) -> None:
    """Steps with norms from 30 down to 0.1 are within 4 dB, weighted by the contour.

    Without equal loudness they differ by at least 3 dB more. The lowest notes get less
    gain than the contour has, to leave headroom for all others.
    """
    flat = replace(PRESETS[name], alarms=0.0)
    levels, bare = (
        [weighted(preset, norm) for norm in (30, 3, 0.3, 0.1)]
        for preset in (flat, replace(flat, equal_loudness=False))
    )

    assert np.ptp(levels) <= 4
    assert np.ptp(bare) >= np.ptp(levels) + 3


def weighted(preset: Preset, norm: float) -> float:
    """Returns the level of steps with a norm in dB, weighted by the contour."""
    run = make_run([[norm] * 4] * 20)
    samples = np.concatenate([*Sound([run], preset).blocks()]).astype(float)
    power = (np.abs(np.fft.rfft(samples, axis=0)) ** 2).sum(axis=1) / len(samples)
    bins = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(power[1:] @ 10 ** (-contour(bins[1:]) / 10)))
