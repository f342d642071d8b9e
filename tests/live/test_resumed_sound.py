"""Live sound of a resumed training: the new steps; its sound file has the whole run."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.models import sgd, small, train
from helpers.pages import Page
from helpers.processes import until
from helpers.runs import make_run
from helpers.scores import compose_run
from helpers.sound_server import RATE, SoundServer
from torch import nn

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter
from gradsound.synth.mixer import render
from gradsound.workers.sinks import DeviceSink

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("own_folder")]
# The same on both channels, and no alarm sounds.
PLAIN = replace(PRESETS["notes"], spread=0.0, alarms=0.0)


def make_earlier_part(steps: int) -> None:
    """Records the steps of an earlier part of a training in run.jsonl and run.wav."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, resume=True, wav="run.wav", preset=PLAIN):
        train(model, optimizer, steps)


def make_long_run(steps: int) -> None:
    """Writes a long run of the small model's layers to run.jsonl."""
    run = make_run([[0.5, 0.5]] * steps)
    header = replace(run.header, layers=("0", "2"), parameters=(16, 5))
    writer = RunWriter(Path("run.jsonl"), header)
    writer.write(make_block([*run.steps]))
    writer.close()


def slowly(model: nn.Module, optimizer: object, steps: int) -> None:
    """Trains with 0.5 s from step to step, longer than the sound of a step."""
    for _ in range(steps):
        train(model, optimizer, 1)
        time.sleep(0.5)


def sounds_of(samples: np.ndarray) -> list[np.ndarray]:
    """Returns the sounds between silences of at least 50 ms."""
    loud = np.flatnonzero(samples)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 20) + 1
    return [samples[part[0] : part[-1] + 1] for part in np.split(loud, cuts) if len(part)]


def numbers() -> list[int]:
    return [step.number for step in gradsound.read_run("run.jsonl").steps]


def check_sound_of_the_whole_run() -> None:
    """Asserts that run.wav and run.vtt are what render() makes of the whole run."""
    gradsound.render("run.jsonl", "again.wav", preset=PLAIN)
    assert Path("run.wav").read_bytes() == Path("again.wav").read_bytes()
    assert Path("run.vtt").read_text() == Path("again.vtt").read_text()


@pytest.mark.parametrize("wav", ["run.wav", None])
def test_a_device_plays_the_new_steps(server: SoundServer, wav: str | None) -> None:
    """The device plays each new step once; the sound file has the whole run."""
    make_earlier_part(9)
    model = small()
    optimizer = sgd(model)
    options = {"wav": wav, "preset": PLAIN, "resume": True, "start_step": 6}
    with (
        server.recording() as recording,
        gradsound.attach(model, optimizer, live=DeviceSink(), **options),
    ):
        until(server.playing, "no stream plays")
        slowly(model, optimizer, 3)
    played = sounds_of(recording.samples())
    steps = [*gradsound.read_run("run.jsonl").steps]

    assert numbers() == [*range(9)]
    assert len(played) == 3
    header = gradsound.read_run("run.jsonl").header
    for sound, step in zip(played, steps[6:]):
        score = compose_run(gradsound.Run(header, [step]), PLAIN)
        expected = render(score, RATE)[:, 0]
        loud = np.flatnonzero(expected)
        expected = expected[loud[0] : loud[-1] + 1]
        half = len(expected) // 2  # the first sound fades in
        np.testing.assert_array_equal(sound[-half:], expected[-half:])
    if wav is not None:
        check_sound_of_the_whole_run()


def test_a_page_and_a_sound_file() -> None:
    """The page plays the new steps, and shows the earlier ones; the file has them all."""
    make_earlier_part(9)
    model = small()
    optimizer = sgd(model)
    options = {"wav": "run.wav", "preset": PLAIN, "resume": True, "start_step": 6}
    with gradsound.listen(model, optimizer, web=True, **options) as attachment:
        page = Page(attachment.url)
        slowly(model, optimizer, 2)
        page.receive_until(lambda: page.events and page.events[-1].last == 7, "no sound")
        played = sorted({events.first for events in page.events})
        shown = min(column.first for column in page.columns)
        page.close()

    assert (played, shown) == ([6, 7], 0)
    assert numbers() == [*range(8)]
    check_sound_of_the_whole_run()


@pytest.mark.parametrize("web", [True, False])
def test_a_long_run_waits_in_the_worker(server: SoundServer, web: bool) -> None:
    """A training goes on at once; the worker reads the earlier steps, then plays."""
    make_long_run(20_000)
    model = small()
    optimizer = sgd(model)
    with server.recording() as recording:
        attachment = gradsound.listen(
            model, optimizer, web=web, preset=PLAIN, resume=True, start_step=15_000
        )
        train(model, optimizer, 1)
        if web:
            page = Page(attachment.url)
            page.receive_until(lambda: page.events, "the page plays nothing")
            assert page.events[0].first == 15_000
            page.close()
        else:
            until(lambda: recording.samples().any(), "the device plays nothing")
        attachment.close()

    assert numbers() == [*range(15_001)]
