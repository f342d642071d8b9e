"""A time-lapse fits a run of any length into a duration, and keeps all its alarms."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import PLAIN
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.music.ensemble import Ensemble
from gradsound.music.fit_duration import fit_duration, limit_notes
from gradsound.music.presets import PRESETS
from gradsound.music.value_mapping import Drive
from gradsound.rendering.sound import Sound
from gradsound.runs.step import Step

RATE = 44_100
STEPS, SPIKE = 100_000, 70_000
PRESET = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def spiked() -> gradsound.Run:
    """Returns a long run whose first layer is 1,000 times as large at one step."""
    usual = np.array([1.0, 0.1], np.float32)
    absent = np.zeros(2, bool)
    steps = [Step(k, k / 100, usual, absent) for k in range(STEPS)]
    steps[SPIKE] = replace(steps[SPIKE], norms=np.array([1000.0, 0.1], np.float32))
    return replace(make_run([[1.0, 0.1]]), steps=steps)


def captioned(path: Path) -> list[tuple[float, str]]:
    """Returns the time in seconds and the text of each caption in a WebVTT file."""
    cues = [cue.splitlines() for cue in path.read_text().split("\n\n")[1:] if cue.strip()]
    captions = []
    for span, *texts in cues:
        hours, minutes, seconds = span.split(" --> ")[0].split(":")
        onset = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        captions += [(onset, text) for text in texts]
    return captions


def strength(samples: np.ndarray, hertz: float) -> float:
    """Returns the amplitude of a sine in samples."""
    turns = hertz / RATE * np.arange(len(samples))
    return 2 * abs(
        np.mean(samples * np.hanning(len(samples)) * 2 * np.exp(-2j * np.pi * turns))
    )


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, list, float]:
    """Renders the long run into a minute: samples, captions and rendering time."""
    path = tmp_path_factory.mktemp("long") / "x.wav"
    run, began = spiked(), time.monotonic()
    preset = replace(PLAIN, alarms=0.1)
    gradsound.render(run, path, preset=preset, duration=60.0)
    took = time.monotonic() - began
    return soundfile.read(path)[0], captioned(path.with_suffix(".vtt")), took


def test_a_long_run_fills_the_duration(long) -> None:
    """The sound takes 95 to 100 % of the duration."""
    samples, _, _ = long

    assert 0.95 * 60 < len(samples) / RATE <= 60


def test_one_step_of_many_is_captioned(long) -> None:
    """The caption has the number of the step, and the time of the merged steps."""
    samples, captions, _ = long
    ((when, text),) = [(when, text) for when, text in captions if "step 70,000" in text]

    assert "layer0" in text
    assert not [text for _, text in captions if "more" in text]
    steps_end = len(samples) / RATE - 0.5 - 0.87
    assert when == pytest.approx(steps_end * SPIKE / STEPS, abs=0.5)
    assert [text for _, text in captions][-1].startswith("step 99,999: end of the run")


def test_one_step_of_many_is_audible(long) -> None:
    """Its pitch, above that of all other steps, sounds at its time and at no other."""
    samples, captions, _ = long
    ((when, _),) = [caption for caption in captions if "step 70,000" in caption[1]]
    high = 2093.0  # Hz; the bound, as three octaves above 440 Hz are beyond it
    frame = 400
    count = len(samples) // frame
    parts = samples[: count * frame].reshape(count, frame)
    strengths = np.array([strength(part, high) for part in parts])
    at = np.arange(count) * frame / RATE

    before = strengths[at < when - 0.3]
    around = strengths[(at > when - 0.3) & (at < when)]
    after = strengths[(at > when + 1.0) & (at < len(samples) / RATE - 1.5)]
    assert around.max() > 0.05
    assert before.max() < 0.2 * around.max()
    assert after.max() < 0.2 * around.max()


def test_a_long_run_is_rendered_fast(long) -> None:
    """100,000 steps take less than 30 s."""
    assert long[2] < 30


@PRESET
@pytest.mark.parametrize("seconds", [5.0, 20.0])
@pytest.mark.parametrize("steps", [3, 300, 3000])
def test_every_preset_fits(
    tmp_path: Path, preset: gradsound.Preset, seconds: float, steps: int
) -> None:
    """The sound takes at most the duration, and most of it if the run has many steps."""
    run = make_run([[1.0, 0.1, 3.0]] * steps)
    gradsound.render(
        run, tmp_path / "x.flac", preset=preset, duration=seconds, sample_rate=16_000
    )
    sound_seconds = soundfile.info(tmp_path / "x.flac").duration
    gradsound.render(run, tmp_path / "y.flac", preset=preset, sample_rate=16_000)
    usual = soundfile.info(tmp_path / "y.flac").duration

    assert sound_seconds <= seconds
    assert sound_seconds == usual or sound_seconds > 0.6 * seconds


def failing_run(steps: int) -> gradsound.Run:
    """Returns a run with all faults at its end, so that alarm sounds wait in line."""
    norms = 10 ** np.random.default_rng(0).normal(0, 0.15, (steps, 5))
    norms[-40:, 0] *= 1e-9
    norms[-12, 1] *= 1e4
    norms[-9:, 2] = 0
    norms[-4, 3] = np.nan
    changed_steps = [*make_run(norms.tolist()).steps]
    changed_steps[-3] = replace(changed_steps[-3], skipped=True)
    changed_steps[-2:] = [replace(step, time=step.time + 60) for step in changed_steps[-2:]]
    return replace(make_run(norms.tolist()), steps=changed_steps)


@PRESET
@pytest.mark.parametrize("seconds", [5.0, 6 + 1 / 3])
def test_alarms_do_not_make_the_sound_longer(
    tmp_path: Path, preset: gradsound.Preset, seconds: float
) -> None:
    """Alarms without time for a sound have a caption; the end alarm always sounds."""
    gradsound.render(failing_run(3000), tmp_path / "x.wav", preset=preset, duration=seconds)
    samples, _ = soundfile.read(tmp_path / "x.wav", always_2d=True)
    texts = [text for _, text in captioned(tmp_path / "x.vtt")]

    assert len(samples) <= round(seconds * RATE)
    if preset.alarms:
        assert np.abs(samples[-RATE // 4 :]).max() > 0.02
    for kind in ("vanishing", "spike in", "dead", "NaN", "skipped", "no step", "end of"):
        assert sum(kind in text for text in texts) == 1, kind


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_a_tempo_does_not_make_the_sound_longer(place: float) -> None:
    """The slowest tempo still fits into the duration."""
    run = make_run([[1.0, 2.0]] * 300)
    run = replace(run, steps=[replace(s, values={"loss": place}) for s in run.steps])
    tempo = Drive(value="loss", drives="tempo", low=0.0, high=1.0)
    sound = Sound([run], replace(PLAIN, alarms=0.1, drives=(tempo,)), 10.0)

    assert sum(len(block) for block in sound.blocks()) <= 10 * RATE


@given(
    steps=st.integers(1, 10**8),
    layers=st.integers(1, 200),
    seconds=st.floats(5, 1e5),
    preset=st.sampled_from([*PRESETS.values(), PLAIN]),
)
def test_any_number_of_steps_and_layers_fits(
    steps: int, layers: int, seconds: float, preset
) -> None:
    """The merged steps leave 1.3 s for the end."""
    names = [f"layer{k}" for k in range(layers)]
    faster, merged = fit_duration(preset, [names], steps, seconds)

    assert 1 <= merged <= steps
    assert -(-steps // merged) * Ensemble([names], faster).duration <= seconds - 1.3


@PRESET
@pytest.mark.parametrize("layers", [1, 4, 500])
def test_a_limit_of_notes(preset, layers: int) -> None:
    """Fewer notes need no limit; the time-lapse of a longer run has few enough."""
    names = [[f"h.{k}.fc" for k in range(layers)]]
    most = 2000
    tracks = len(preset.layout(len(preset.bands_of(names[0]))).onsets)
    fitting = most // max(1, tracks)
    assert limit_notes(preset, names, fitting, most) is None
    for steps in (fitting + 1, 10 * fitting, 10_000_000):
        seconds = limit_notes(preset, names, steps, most)
        assert seconds is not None
        assert 5 <= seconds <= 600
        if seconds > 5:  # no time-lapse is shorter
            _, merged = fit_duration(preset, names, steps, seconds)
            assert -(-steps // merged) * tracks <= most
