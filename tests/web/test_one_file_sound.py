"""A page of one file in Chromium: its sound equals that of a sound file to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.page_files import call_module, played, tapped_page
from helpers.runs import make_run, with_signals

import gradsound
from gradsound.music.presets import at_speed, find_preset
from gradsound.rendering.predicted_levels import encode_levels
from gradsound.rendering.sound import Sound
from gradsound.runs.model import Run

pytestmark = pytest.mark.usefixtures("own_folder")
FAST = 6.0  # times the usual speed; a page plays in real time


def odd_run(seed: int = 1, steps: int = 6) -> Run:
    """Returns a run with signals, NaN, 0 and an absent layer."""
    norms = np.random.default_rng(seed).lognormal(size=(steps, 3)).tolist()
    norms[2][1], norms[4][2], norms[5][0] = float("nan"), None, 0.0
    run = make_run(norms)
    return with_signals(run, update_ratio=[0.01, 0.004, 0.02], snr=[0.1, 0.2, 0.3])


def buzz(phase, deviation):
    """A voice of a user."""
    return 0.3 * phase * phase - 0.2 * deviation * phase


def both(run: Run, **options: object) -> np.ndarray:
    """Writes a page, run.html; returns the samples of a sound file, shape (N, 2)."""
    gradsound.render(run, "run.html", **options)
    gradsound.render(run, "run.wav", subtype="FLOAT", **options)
    samples = soundfile.read("run.wav", dtype="float32", always_2d=True)[0]
    return np.broadcast_to(samples, (len(samples), 2))


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Returns samples from the first to the last that is not 0."""
    loud = np.flatnonzero(samples.any(axis=1))
    return samples[loud[0] : loud[-1] + 1]


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "notes"},
        {"preset": "ambient", "other": [odd_run(2)], "voice": buzz, "sample_rate": 48_000},
        {"other": [odd_run(2), odd_run(3)]},
        {"preset": "perone2019", "other": odd_run(2), "difference": True},
    ],
    ids=["one run", "two runs", "three runs", "difference"],
)
def test_a_page_plays_what_a_sound_file_has(browser, options: dict) -> None:
    """Every sample is equal, from the first note to the end alarm, and nothing follows."""
    expected = both(odd_run(), speed=FAST, **options)
    with tapped_page(browser, Path("run.html")) as page:
        page.keyboard.press("Space")
        samples = played(page)
    np.testing.assert_array_equal(trimmed(samples), trimmed(expected))
    assert np.abs(expected).max() > 0.02


def test_a_page_plays_the_same_from_any_step(browser) -> None:
    """After a jump, an alarm that began before it goes on, and every sample is equal."""
    run, options = odd_run(), {"preset": "chord", "speed": 2.0}
    expected = both(run, **options)
    sound = Sound([run], at_speed(find_preset("chord", None), 2.0))
    assert len([*sound.scores()]) > 1
    begin = round(sound.timeline.time_of(4) * sound.sample_rate)
    assert expected[begin - 64 : begin].any()  # the alarm of step 2 is not over
    with tapped_page(browser, Path("run.html")) as page:
        page.locator("#picture").press("End")
        page.keyboard.press("ArrowLeft")  # to step 4
        page.keyboard.press("Enter")
        samples = trimmed(played(page))
    rest = trimmed(expected[begin:])
    np.testing.assert_array_equal(samples[-len(rest) :], rest)


def test_levels_are_restored_to_the_last_bit(browser) -> None:
    """Any levels are, whatever the voices and pitches: equal ones, jumps, all bits."""
    random = np.random.default_rng(5)
    voices = random.integers(0, 3, 400).astype(np.uint16)
    increments = random.integers(0, 2**32, 400, np.uint32)
    increments[100:120] = increments[100]
    levels = random.integers(0, 2**32, 400, np.uint32)
    smooth = np.float32(0.1) * (1 + increments / np.float32(2**32)).astype(np.float32)
    levels[200:] = smooth[200:].view(np.uint32)
    distances = encode_levels(voices, increments, levels)
    code = """({ restoreLevels }, numbers) => {
      const [voices, increments, distances] = numbers.map((one) => Uint32Array.from(one));
      restoreLevels(voices, increments, distances);
      return [...distances];
    }"""
    numbers = [one.tolist() for one in (voices, increments, distances)]
    page = browser.new_page()
    restored = call_module(page, "predicted_levels.js", code, numbers)
    page.close()
    assert restored == levels.tolist()
    assert np.median(distances[200:]) < 2**24  # most of a smooth level is predicted
