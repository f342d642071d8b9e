"""Which step sounds when: the same from a run and from its sound, and true of both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import PLAIN

import gradsound
from gradsound.cli.main import main
from gradsound.music.presets import at_speed
from gradsound.music.value_mapping import Drive
from gradsound.rendering.locate import (
    seconds,
    tell_step,
    tell_time,
    timeline_for,
    timeline_of,
)
from gradsound.runs.model import Run

RATE = 44_100
NAMES = ("in", "mid", "out")


def leaping(steps: int, numbers: list[int] | None = None) -> Run:
    """A run in which each layer of each step has a norm of its own, two octaves at most."""
    norms = 10 ** np.random.default_rng(3).uniform(-1, 1, (steps, len(NAMES)))
    run = make_run(norms.tolist(), NAMES)
    if numbers is None:
        return run
    return replace(run, steps=[replace(s, number=k) for s, k in zip(run.steps, numbers)])


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says."""
    with pytest.raises(SystemExit) as ended:
        main(["locate", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert ended.value.code == (2 if err else 0)
    assert bool(out) != bool(err)
    assert (out + err).count("\n") == 1
    return out + err


@pytest.mark.parametrize("preset", list(gradsound.PRESETS))
@pytest.mark.parametrize(("speed", "duration"), [(1, None), (3, None), (1, 6)])
def test_a_run_and_its_sound_agree(
    tmp_path: Path, preset: str, speed: float, duration: float | None
) -> None:
    """At every time and for every step, whatever the preset and however fast."""
    run, path = leaping(90, [*range(10), *range(20, 100)]), tmp_path / "x.wav"
    gradsound.render(run, path, preset=preset, speed=speed, duration=duration)
    found = timeline_of(path)
    sounding = at_speed(gradsound.PRESETS[preset], speed)

    assert found == timeline_for(run, sounding, duration)
    times = np.arange(0.0, found.bounds[2] - 0.001, 0.01)
    for time in times.tolist():
        place = found.at(time)
        begin, after = found.time_of(place.first), found.time_of(place.last + 1)
        assert begin == found.time_of(place.last)
        assert begin <= time + 1e-5
        assert after is None or after > time - 1e-5


def test_it_is_true(tmp_path: Path) -> None:
    """What is said to sound at a time is what does: its pitch, or silence."""
    run, path = leaping(12, [*range(5), *range(90, 97)]), tmp_path / "x.wav"
    gradsound.render(run, path, preset=PLAIN)
    sound = soundfile.read(path)[0]
    steps = {step.number: step.norms for step in run.steps}
    found = timeline_of(path)

    heard = 0
    for middle in np.arange(0.035, found.bounds[2], 0.07):
        place = found.at(middle)
        frame = round(middle * RATE)
        some = sound[frame - 1000 : frame + 1000]
        if not place.lines:
            assert not some.any()
            continue
        (line,) = place.lines
        wanted = PLAIN.pitch.hertz(steps[place.first][NAMES.index(line), None])[0]
        spectrum = np.abs(np.fft.rfft(some * np.hanning(len(some)), RATE))
        assert abs(spectrum.argmax() - wanted) <= 3
        heard += 1
    assert heard == 3 * len(steps)


def test_a_value_may_drive_the_tempo() -> None:
    """Steps are where they are heard nevertheless."""
    run = leaping(9)
    run = replace(
        run, steps=[replace(s, values={"loss": float(s.number)}) for s in run.steps]
    )
    tempo = replace(PLAIN, drives=(Drive(value="loss", drives="tempo", low=0, high=8),))
    found = timeline_for(run, tempo, None)

    lasting = np.diff([found.time_of(step) for step in range(9)])
    np.testing.assert_allclose(lasting[0] / lasting[-1], 4 ** (7 / 8))
    assert [found.at(found.time_of(step) + 0.001).lines for step in range(9)] == [
        ("in",)
    ] * 9


def test_of_two_runs_the_steps_are_those_of_either(tmp_path: Path) -> None:
    """A step that one did not measure has its time too."""
    path = tmp_path / "x.wav"
    gradsound.render(leaping(2, [0, 4]), path, other=leaping(3, [0, 2, 4]), preset=PLAIN)
    found = timeline_of(path)
    usual = 3 * 0.07 + 0.14

    times = [found.time_of(step) for step in range(6)]
    np.testing.assert_allclose([times[0], times[2], times[4]], [0, usual, 2 * usual])
    assert times[1] is times[3] is times[5] is None


def test_what_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], save) -> None:
    """A sentence: the step, and what is heard of it; or the time."""
    path = save([[1.0, 2.0, 3.0]] * 2000, layers=NAMES)
    assert said(capsys, path, "0:01.2") == "0:01 is step 3: out\n"
    assert said(capsys, path, "1:01.55") == "1:01 is step 175: the silence after it\n"
    assert said(capsys, path, "--step", 1000) == "step 1,000 is at 5:50 (350.00 s)\n"
    assert said(capsys, path, "--step", 1000, "--speed", 10) == (
        "step 1,000 is at 0:35 (35.00 s)\n"
    )
    assert "as one" in said(capsys, path, 7, "--duration", 10)

    gradsound.render(path, tmp_path / "x.wav", speed=10)
    assert said(capsys, tmp_path / "x.wav", "--step", 1000) == (
        "step 1,000 is at 0:35 (35.00 s)\n"
    )


def test_a_band_says_what_it_gathers(save, capsys: pytest.CaptureFixture[str]) -> None:
    """By the names of layers, which is what one looks for."""
    path = save([[1.0] * 6] * 3, layers=tuple(f"conv{k}" for k in range(6)))
    assert "early (conv0, conv1)" in said(capsys, path, 0)
    assert "end (conv4, conv5)" in said(
        capsys, path, 0.1, "--band", "rest=conv[0-3]", "--band", "end=conv[45]"
    )


def test_a_step_that_was_not_measured_does_not_sound(
    save, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which do."""
    path = save([[1.0]] * 3)
    wanted = "gradsound: step 7 does not sound; there are steps 0 to 2, until 0:00\n"
    assert said(capsys, path, "--step", 7) == wanted
    assert "no step sounds at 9:00; there are steps 0 to 2" in said(capsys, path, "9:00")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("42", 42), ("0:42", 42), ("1:02:03.5", 3723.5), ("90:00", 5400), ("007", 7)],
)
def test_times_as_one_says_them(text: str, wanted: float) -> None:
    """Seconds, minutes, hours."""
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "x", "1:x", "1:2:3:4", "-1", "nan", "inf", "1:-2", ":"]
)
def test_other_times_are_refused(text: str) -> None:
    """With what is possible, and what was given."""
    with pytest.raises(ValueError, match="a time is seconds, m:ss or h:mm:ss, got "):
        seconds(text)


def test_bad_input(tmp_path: Path, save, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its line."""
    path = save([[1.0]] * 3)
    foreign = tmp_path / "foreign.wav"
    soundfile.write(foreign, np.zeros(100), RATE)
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound at all")

    assert "give a time, or --step" in said(capsys, path)
    assert "give a time, or --step" in said(capsys, path, "0:00", "--step", 1)
    assert "foreign.wav: does not tell which steps" in said(capsys, foreign, 0)
    assert "noise.wav" in said(capsys, noise, 0)
    assert "no.wav: No such file" in said(capsys, tmp_path / "no.wav", 0)
    assert "no.jsonl: No such file" in said(capsys, tmp_path / "no.jsonl", 0)
    assert "has no steps" in said(capsys, save([], name="empty.jsonl"), 0)


def test_times_between_steps_are_the_earlier_ones() -> None:
    """And those before 0 are none's."""
    found = timeline_for(leaping(2), PLAIN, None)
    assert found.at(-1.0) is None
    assert tell_time(found, 0.3).endswith("the silence after it")
    assert tell_step(found, 1) == "step 1 is at 0:00 (0.35 s)"
