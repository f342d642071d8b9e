"""gradsound locate: step and time agree with the sound, from a run and from a WAV file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import PLAIN

import gradsound
from gradsound.cli.main import main
from gradsound.durations import parse_time
from gradsound.music.presets import at_speed
from gradsound.music.value_mapping import Drive
from gradsound.output.sound_file import write_sound
from gradsound.rendering.locate import (
    compute_timeline,
    describe_step,
    describe_time,
    read_timeline,
)
from gradsound.runs.model import Run

RATE = 44_100
NAMES = ("in", "mid", "out")


def random_run(steps: int, numbers: list[int] | None = None) -> Run:
    """Returns a run with a random norm for each layer and step, within two octaves."""
    norms = 10 ** np.random.default_rng(3).uniform(-1, 1, (steps, len(NAMES)))
    run = make_run(norms.tolist(), NAMES)
    if numbers is None:
        return run
    return replace(run, steps=[replace(s, number=k) for s, k in zip(run.steps, numbers)])


def locate(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs `gradsound locate` and returns the one line that it prints."""
    with pytest.raises(SystemExit) as exit_info:
        main(["locate", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert exit_info.value.code == (2 if err else 0)
    assert bool(out) != bool(err)
    assert (out + err).count("\n") == 1
    return out + err


@pytest.mark.parametrize("preset", list(gradsound.PRESETS))
@pytest.mark.parametrize(("speed", "duration"), [(1, None), (3, None), (1, 6)])
def test_a_run_and_its_sound_agree(
    tmp_path: Path, preset: str, speed: float, duration: float | None
) -> None:
    """A run and its WAV file have the same timeline, at any preset, speed and duration."""
    run, path = random_run(90, [*range(10), *range(20, 100)]), tmp_path / "x.wav"
    gradsound.render(run, path, preset=preset, speed=speed, duration=duration)
    timeline = read_timeline(path)

    assert timeline == compute_timeline(
        run, at_speed(gradsound.PRESETS[preset], speed), duration
    )
    times = np.arange(0.0, timeline.bounds[2] - 0.001, 0.01)
    for time in times.tolist():
        place = timeline.position_at(time)
        begin, after = timeline.time_of(place.first), timeline.time_of(place.last + 1)
        assert begin == timeline.time_of(place.last)
        assert begin <= time + 1e-5
        assert after is None or after > time - 1e-5


def test_the_timeline_agrees_with_the_samples(tmp_path: Path) -> None:
    """At every time the file has the pitch of the step and layer, or silence."""
    run, path = random_run(12, [*range(5), *range(90, 97)]), tmp_path / "x.wav"
    gradsound.render(run, path, preset=PLAIN)
    sound = soundfile.read(path)[0]
    steps = {step.number: step.norms for step in run.steps}
    timeline = read_timeline(path)

    notes = 0
    for middle in np.arange(0.035, timeline.bounds[2], 0.07):
        place = timeline.position_at(middle)
        frame = round(middle * RATE)
        window = sound[frame - 1000 : frame + 1000]
        if not place.tracks:
            assert not window.any()
            continue
        (track,) = place.tracks
        hertz = PLAIN.pitch.hertz(steps[place.first][NAMES.index(track), None])[0]
        spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window)), RATE))
        assert abs(spectrum.argmax() - hertz) <= 3
        notes += 1
    assert notes == 3 * len(steps)


def test_a_value_may_drive_the_tempo() -> None:
    """The timeline is right when a value drives the tempo."""
    run = random_run(9)
    run = replace(
        run, steps=[replace(s, values={"loss": float(s.number)}) for s in run.steps]
    )
    tempo = replace(PLAIN, drives=(Drive(value="loss", drives="tempo", low=0, high=8),))
    timeline = compute_timeline(run, tempo, None)

    durations = np.diff([timeline.time_of(step) for step in range(9)])
    np.testing.assert_allclose(durations[0] / durations[-1], 4 ** (7 / 8))
    assert [
        timeline.position_at(timeline.time_of(step) + 0.001).tracks for step in range(9)
    ] == [("in",)] * 9


def test_two_runs_have_the_steps_of_both(tmp_path: Path) -> None:
    """A step that only one of two runs has is in the timeline."""
    path = tmp_path / "x.wav"
    gradsound.render(
        random_run(2, [0, 4]), path, other=random_run(3, [0, 2, 4]), preset=PLAIN
    )
    timeline = read_timeline(path)
    seconds = 3 * 0.07 + 0.14

    times = [timeline.time_of(step) for step in range(6)]
    np.testing.assert_allclose([times[0], times[2], times[4]], [0, seconds, 2 * seconds])
    assert times[1] is times[3] is times[5] is None


def test_the_printed_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], save) -> None:
    """The command prints the step and its layers at a time, or the time of a step."""
    path = save([[1.0, 2.0, 3.0]] * 2000, layers=NAMES)
    assert locate(capsys, path, "0:01.2") == "0:01 is step 3: out\n"
    assert locate(capsys, path, "1:01.55") == "1:01 is step 175: the silence after it\n"
    assert locate(capsys, path, "--step", 1000) == "step 1,000 is at 5:50 (350.00 s)\n"
    assert locate(capsys, path, "--step", 1000, "--speed", 10) == (
        "step 1,000 is at 0:35 (35.00 s)\n"
    )
    assert ", merged: " in locate(capsys, path, 7, "--duration", 10)

    gradsound.render(path, tmp_path / "x.wav", speed=10)
    assert locate(capsys, tmp_path / "x.wav", "--step", 1000) == (
        "step 1,000 is at 0:35 (35.00 s)\n"
    )


def test_a_band_is_printed_with_its_layers(
    save, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints the names of a band's layers."""
    path = save([[1.0] * 6] * 3, layers=tuple(f"conv{k}" for k in range(6)))
    assert "early (conv0, conv1)" in locate(capsys, path, 0)
    assert "end (conv4, conv5)" in locate(
        capsys, path, 0.1, "--band", "rest=conv[0-3]", "--band", "end=conv[45]"
    )


def test_a_step_that_was_not_measured_does_not_sound(
    save, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error for a step or a time without sound has the run's steps and its end."""
    path = save([[1.0]] * 3)
    expected = "gradsound: step 7 does not sound; the sound has steps 0 to 2, until 0:00\n"
    assert locate(capsys, path, "--step", 7) == expected
    expected = "no step sounds at 9:00; the sound has steps 0 to 2"
    assert expected in locate(capsys, path, "9:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("42", 42), ("0:42", 42), ("1:02:03.5", 3723.5), ("90:00", 5400), ("007", 7)],
)
def test_notations_of_times(text: str, expected: float) -> None:
    """A time is seconds, minutes and seconds, or hours, minutes and seconds."""
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "1:x", "1:2:3:4", "-1", "nan", "inf", "1:-2", ":"]
)
def test_other_times_are_refused(text: str) -> None:
    """The error has the notations and the text."""
    with pytest.raises(ValueError, match="a time is seconds, m:ss or h:mm:ss, got "):
        parse_time(text)


def test_bad_input(tmp_path: Path, save, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of bad input has its own message."""
    path = save([[1.0]] * 3)
    foreign = tmp_path / "foreign.wav"
    soundfile.write(foreign, np.zeros(100), RATE)
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound at all")

    assert "give either a time, or --step" in locate(capsys, path)
    assert "give either a time, or --step" in locate(capsys, path, "0:00", "--step", 1)
    assert "foreign.wav: has no timeline of steps" in locate(capsys, foreign, 0)
    assert "noise.wav" in locate(capsys, noise, 0)
    assert "no.wav: No such file" in locate(capsys, tmp_path / "no.wav", 0)
    assert "no.jsonl: No such file" in locate(capsys, tmp_path / "no.jsonl", 0)
    assert "has no steps" in locate(capsys, save([], name="empty.jsonl"), 0)


def test_a_silence_belongs_to_the_step_before() -> None:
    """A time between two steps is the earlier step's; a time before 0 is no step's."""
    timeline = compute_timeline(random_run(2), PLAIN, None)
    assert timeline.position_at(-1.0) is None
    assert describe_time(timeline, 0.3).endswith("the silence after it")
    assert describe_step(timeline, 1) == "step 1 is at 0:00 (0.35 s)"


@pytest.mark.parametrize("name", ["x.mp3", "x.opus", "x.ogg", "x.flac"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_other_sounds_are_known_as_sounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, rate: int
) -> None:
    """Of a sound that carries no steps, the message says so, with and without chapters."""
    path = tmp_path / name
    for chapters in (True, False):
        if chapters:
            gradsound.render(make_run([[1.0]]), path, sample_rate=rate)
        else:
            write_sound(path, [np.zeros((rate, 2), np.float32)], rate)
        assert "only WAV files carry their steps" in locate(capsys, path, 0)
        with pytest.raises(SystemExit):
            main(["info", str(path)])
        assert f"{name}: is a sound (" in capsys.readouterr().err
