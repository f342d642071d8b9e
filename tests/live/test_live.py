"""Listening live, on a real stream: what is heard, and what may happen to it."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.models import sgd, small, train
from helpers.processes import processes, until, zombies
from helpers.recordings import FADE_IN, same_ears
from helpers.scores import END, composed
from helpers.sound_server import RATE, SoundServer
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning, MissingExtraError
from gradsound.live.device_playback import DevicePlayback
from gradsound.music.captions import Caption
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device import SoundDevice
from gradsound.synth.mixer import render

TESTS = Path(__file__).parents[1]
GRADSOUND = [sys.executable, "-m", "gradsound"]
# The same on both channels, and nothing but the steps.
PLAIN = replace(PRESETS["notes"], spread=0.0, alarms=0.0)


def same(heard: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether one is the other, but for where the first fades in."""
    loud = np.flatnonzero(wanted)
    wanted = wanted[loud[0] : loud[-1] + 1]
    longer = len(wanted) - len(heard)  # what fades in may begin with zeros
    if not 0 <= longer < FADE_IN:
        return False
    return np.array_equal(heard[FADE_IN:], wanted[longer + FADE_IN :])


def sounds(heard: np.ndarray) -> list[np.ndarray]:
    """What lies between silences of 50 ms and more."""
    loud = np.flatnonzero(heard)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 20) + 1
    return [heard[part[0] : part[-1] + 1] for part in np.split(loud, cuts) if len(part)]


def begins(heard: np.ndarray) -> list[float]:
    """When they begin, in seconds."""
    loud = np.flatnonzero(heard)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 20) + 1
    return [loud[0] / RATE, *(loud[cuts] / RATE)]


def steps_of(path: str = "run.jsonl") -> list[gradsound.Step]:
    return [*gradsound.read_run(path).steps]


def sound_of(
    step: gradsound.Step, path: str | Path = "run.jsonl", preset: gradsound.Preset = PLAIN
) -> np.ndarray:
    header = gradsound.read_run(path).header
    return render(composed(gradsound.Run(header, [step]), preset), RATE)[:, 0]


def slowly(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Half a second a step: longer than the sound of one."""
    for _ in range(steps):
        train(model, optimizer, 1)
        time.sleep(0.5)


def steadily(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """A tenth of a second a step."""
    for _ in range(steps):
        train(model, optimizer, 1)
        time.sleep(0.1)


def listened(server: SoundServer, **options: object) -> tuple:
    """A model in training, heard."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, **{"preset": PLAIN, **options})
    until(server.playing, "nothing plays")
    return model, optimizer, attachment


def test_a_finished_run_sounds_as_it_is_rendered(server, save) -> None:
    """`gradsound play` is `gradsound render`, to the last bit."""
    nan, inf = float("nan"), float("inf")
    run = save([[1.0, 2.0, 0.5], [nan, 3.0, 1.0], [0.1, inf, None], [5.0, 0.0, 1.0]])
    with server.recording() as recording:
        done = subprocess.run(
            [*GRADSOUND, "play", run, "--speed", "1.5"], capture_output=True, check=True
        )
    gradsound.render(run, "run.wav", subtype="FLOAT", speed=1.5)

    captions = [line for line in Path("run.vtt").read_text().splitlines() if "step" in line]
    told = [line.partition(" ")[2] for line in done.stderr.decode().splitlines()]
    assert (done.stdout, told) == (b"", captions)
    assert same_ears(recording, "run.wav")


@pytest.mark.usefixtures("server")
def test_captions_are_told_when_their_sound_begins(save, monkeypatch) -> None:
    """Within a block, though blocks are made several at a time."""
    nan = float("nan")
    run = gradsound.read_run(save([[1.0, 2.0]] * 3 + [[nan, 2.0]] + [[1.0, 2.0]] * 4))
    speaker, played, told = SoundDevice(None, 512, RATE, pytest.fail), [0], []
    play = speaker.play

    def counted(samples: np.ndarray) -> None:
        played[0] += len(samples)
        play(samples)

    def tell(caption: Caption) -> None:
        told.append(played[0] / RATE - caption.time)

    monkeypatch.setattr(speaker, "play", counted)
    DevicePlayback(run, PRESETS["notes"], speaker, RATE, live=False, told=tell).play()

    assert len(told) == 3  # not finite, finite again, the end
    assert min(told) >= 0
    assert max(told) <= 512 / RATE


def test_a_voice_of_ones_own(server, save) -> None:
    """Of a module in the folder, as it is rendered."""
    run = save([[1.0, 2.0, 0.5], [float("nan"), 3.0, 1.0]])
    own = "import numpy as np\n\n\ndef fifth(phase):\n    return np.sin(9 * phase) ** 3\n"
    Path("mine.py").write_text(own)
    with server.recording() as recording:
        subprocess.run([*GRADSOUND, "play", run, "--voice", "mine:fifth"], check=True)
    options = ["--voice", "mine:fifth", "--subtype", "FLOAT"]
    subprocess.run([*GRADSOUND, "render", run, "-o", "run.wav", *options], check=True)

    assert same_ears(recording, "run.wav")


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_live_it_is_on_two_channels(server, spread: float) -> None:
    """Equal ones, unless the preset spreads the layers from left to right."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    preset = replace(PLAIN, spread=spread, voice="bell")
    with server.recording() as recording:
        attachment = gradsound.listen(model, optimizer, preset=preset)
        until(server.playing, "nothing plays")
        slowly(model, optimizer, 2)
        attachment.close()
    left, right = recording.both().T

    assert np.abs(left).max() > 0.1
    assert np.array_equal(left, right) == (not spread)
    assert np.array_equal(left != 0, right != 0) == (not spread)


@pytest.mark.parametrize("latency", ["safe", "low"])
def test_each_slow_step_sounds_when_it_comes(server, latency: str) -> None:
    """In order, with the training's own rhythm, and exactly as it is rendered."""
    with server.recording() as recording:
        model, optimizer, attachment = listened(server, latency=latency, wav="run.wav")
        slowly(model, optimizer, 5)
        attachment.close()
    heard, steps = sounds(recording.heard()), steps_of()
    _, first, *others = begins(recording.heard())  # before, processes are beginning

    assert len(heard) == len(steps) == 5
    for sound, step in zip(heard, steps):
        wanted = sound_of(step)
        assert latency == "low" or same(sound, wanted)  # a busy machine may lose a block
    assert np.abs(np.subtract(others, first) - 0.5 * np.arange(1, 4)).max() < 0.2


def test_a_spike_is_never_lost(server) -> None:
    """One step of thousands has a norm above all others, one has none that is finite."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with server.recording() as recording:
        attachment = gradsound.listen(model, optimizer, preset=PLAIN)
        until(server.playing, "nothing plays")
        for number in range(6000):
            size = {3000: 100.0, 4000: float("nan")}.get(number, 0.01)
            optimizer.zero_grad()
            model(torch.full((1, 1), size)).sum().backward()
            optimizer.step()
            time.sleep(0.0002)
        attachment.close()
    heard = [sound for sound in sounds(recording.heard()) if len(sound) > 2000]
    marked = [step for step in steps_of() if not abs(step.norms[0] - 0.01) < 1e-6]
    spike, clang = map(sound_of, marked)

    assert len(steps_of()) == 6000
    assert 8 < len(heard) < 100  # each 70 ms, then silence of 140 ms
    for wanted in spike, clang:
        # The samples of a sound may begin late by a zero.
        size = [len(sound) for sound in heard]
        part = wanted[1000:2000]
        found = [
            any(np.array_equal(sound[k : k + 1000], part) for k in range(990, 1001))
            for sound in heard
        ]
        assert sum(found) == 1, size


def test_what_came_last_is_heard_to_its_end(server) -> None:
    """Though the training is over while the sound before it still lasts."""
    with server.recording() as recording:
        model, optimizer, attachment = listened(server)
        slowly(model, optimizer, 1)  # what plays begins with it
        train(model, optimizer, 1)
        time.sleep(0.15)
        train(model, optimizer, 1)
        attachment.close()
    heard = sounds(recording.heard())

    assert len(heard) == 3
    assert same(heard[2], sound_of(steps_of()[2]))


def test_volume_and_silence(server) -> None:
    """What is set while it plays is heard from the next step on."""
    with server.recording() as recording:
        model, optimizer, attachment = listened(server, volume=0.5)
        assert attachment.volume == 0.5
        slowly(model, optimizer, 1)
        for volume in 0.0, 1.0:
            attachment.volume = volume
            slowly(model, optimizer, 1)
        with pytest.raises(ValueError, match="volume must be 0 to 1, got 2"):
            attachment.volume = 2
        attachment.close()
    # What begins while the volume falls is heard for a block.
    quiet, loud = (part for part in sounds(recording.heard()) if len(part) > FADE_IN)

    assert abs(np.abs(quiet[FADE_IN:]).max() * 2 - np.abs(loud).max()) < 1e-3


def test_the_device_is_lost_and_comes_back(server) -> None:
    """Training goes on, one warning says so, no step is lost, and it sounds again."""
    model, optimizer, attachment = listened(server)
    server.stop()
    with pytest.warns(
        GradsoundWarning, match=r"no live sound: .*so does run\.jsonl"
    ) as told:
        steadily(model, optimizer, 20)
    server.start()
    until(server.playing, "it does not come back")
    with server.recording() as recording:
        slowly(model, optimizer, 2)
    attachment.close()

    assert len(told) == 1
    assert len(sounds(recording.heard())) >= 2
    assert len(steps_of()) == 22


@pytest.mark.usefixtures("server")
def test_there_is_no_device(monkeypatch) -> None:
    """One warning; the run is recorded."""
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer)
    with pytest.warns(GradsoundWarning, match="no live sound: .*training goes on") as told:
        steadily(model, optimizer, 15)
    attachment.close()

    assert len(told) == 1
    assert len(steps_of()) == 15


@pytest.mark.usefixtures("server")
def test_a_device_that_is_not_there_is_named() -> None:
    """With those that are."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, device="tuba")
    with pytest.warns(
        GradsoundWarning, match="no output device is called 'tuba'; there are"
    ):
        steadily(model, optimizer, 15)
    attachment.close()


def test_a_frozen_server_is_given_up(server) -> None:
    """Training does not notice, and closing takes no longer than two seconds."""
    model, optimizer, attachment = listened(server, wav="run.wav")
    train(model, optimizer, 3)
    server.freeze()
    try:
        with warnings.catch_warnings(record=True):
            steadily(model, optimizer, 20)
            begin = time.monotonic()
            player = attachment._recorder.player
            assert player.close() is not None
            assert time.monotonic() - begin < 2.0
            attachment._recorder.player = None
            attachment.close()
    finally:
        server.thaw()

    assert len(steps_of()) == 23
    assert soundfile.info("run.wav").frames > 0


def test_a_player_that_is_stopped_holds_nothing_up(server) -> None:
    """Its pipe is full, the run file is whole."""
    model, optimizer, attachment = listened(server)
    attachment._recorder._looked = float("inf")
    for process in processes("gradsound.workers.play_device"):
        os.kill(process, signal.SIGSTOP)
    attachment._recorder.player._process.tell("x" * 4000)
    while attachment._recorder.player._process.tell("x" * 4000):
        pass
    train(model, optimizer, 100)
    begin = time.monotonic()
    attachment.close()

    assert time.monotonic() - begin < 2.0
    assert len(steps_of()) == 100


@pytest.mark.parametrize("steps", [15, 1], ids=["meanwhile", "at the end"])
def test_a_player_that_is_killed_is_told_of_once(server, steps: int) -> None:
    """And leaves nothing behind: no process, dead or alive."""
    model, optimizer, attachment = listened(server)
    for process in processes("gradsound.workers.play_device"):
        os.kill(process, signal.SIGKILL)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        steadily(model, optimizer, steps)
        attachment.close()

    (told,) = [str(each.message) for each in warned]
    assert "no live sound: the sound process ended with status -9; training" in told
    assert not zombies()
    assert len(steps_of()) == steps


def test_a_player_that_ends_says_why_once(server) -> None:
    """Also to somebody who asks between its words and its end."""
    model, optimizer, attachment = listened(server)
    player = attachment._recorder.player
    with Path("run.jsonl").open("a") as other:
        other.write("what " * 1000 + "\n")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        steadily(model, optimizer, 1)
        until(lambda: attachment._recorder._look() or player.ended, "it does not end")
        attachment._recorder._look()
        attachment.close()

    (told,) = [str(each.message) for each in warned]
    assert "run.jsonl, line " in told
    assert not zombies()


SCRIPT = f"""
import os, signal, sys, time
sys.path.insert(0, {str(TESTS)!r})
import gradsound
from helpers.models import *
model = small()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
attachment = gradsound.listen(model, optimizer, wav="run.wav")
for step in range(12):
    train(model, optimizer, 1)
    time.sleep(0.11)
"""
ENDS = {
    "end": ("", 0),
    "close": ("attachment.close()", 0),
    "exception": ("raise KeyError", 1),
    "os._exit": ("os._exit(3)", 3),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "Ctrl-C": ("os.kill(0, signal.SIGINT); time.sleep(5)", -signal.SIGINT),
    "SIGKILL with a worker that holds the pipe": (
        "os.fork() or (time.sleep(20), os._exit(0)); os.kill(os.getpid(), signal.SIGKILL)",
        -signal.SIGKILL,
    ),
}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_however_the_program_ends(end: str) -> None:
    """A script without a guard: its sound file is whole, and no process of ours remains."""
    last, status = ENDS[end]
    Path("script.py").write_text(f"{SCRIPT}\n{last}\n")
    done = subprocess.run(
        [sys.executable, "script.py"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if end in ("end", "close") else subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for its group, not for ours
        check=False,
    )
    until(Path("run.wav").exists, "the sound file is not finished")
    until(lambda: not processes("gradsound."), "a process is left")

    assert done.returncode == status
    assert not done.stderr
    assert len(steps_of()) == 12
    assert soundfile.info("run.wav").frames == 12 * len(sound_of(steps_of()[0])) + END


@pytest.mark.usefixtures("server")
def test_a_program_without_a_file_is_heard_too() -> None:
    """As in a notebook: nothing that another process could run again."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=f"{SCRIPT}\nattachment.close()\n".encode(),
        capture_output=True,
        check=True,
    )

    assert not done.stderr
    assert len(steps_of()) == 12


def test_workers_of_a_loader_change_nothing(server) -> None:
    """Forked while it plays, and alive after it was closed."""
    model, optimizer, attachment = listened(server)
    data = torch.utils.data.DataLoader(torch.randn(12, 3), 2, num_workers=2)
    for x in data:
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    worker = os.fork()
    if not worker:
        time.sleep(30)
        os._exit(0)
    begin = time.monotonic()
    attachment.close()
    took = time.monotonic() - begin
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)

    assert took < 2.0
    assert len(steps_of()) == 6


def test_without_pyaudio_the_extra_is_named(monkeypatch, tmp_path) -> None:
    """At once, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradsound.output.sound_device.find_spec", lambda _: None)
    for act in gradsound.listen, partial(gradsound.attach, live=True):
        with pytest.raises(MissingExtraError, match=r"pip install 'gradsound\[live\]'"):
            act(small())
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"latency": "none"}, "latency must be 'safe' or 'low', got 'none'"),
        ({"volume": -0.1}, "volume must be 0 to 1, got -0.1"),
    ],
)
def test_what_is_out_of_range_is_refused(option: dict, message: str) -> None:
    """With the value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        gradsound.listen(small(), **option)


def test_that_it_is_live_need_not_be_said() -> None:
    """It is refused in words, not in Python's."""
    with pytest.raises(TypeError, match=r"live is what listen\(\) does: leave it out"):
        gradsound.listen(small(), live=True)


def test_without_a_log_nothing_is_kept(server) -> None:
    """What is heard goes through a file that has no name."""
    with server.recording() as recording:
        model, optimizer, attachment = listened(server, log=None)
        slowly(model, optimizer, 1)
        attachment.close()

    assert len(sounds(recording.heard())) == 1
    assert not [*Path().iterdir()]
    assert not [*Path(tempfile.gettempdir()).glob("gradsound.*.jsonl")]


def test_a_stream_from_standard_input(server, save) -> None:
    """Each step in its turn; while more is waited for, the others are heard."""
    run = save([[1.0], [2.0], [3.0]])
    lines = run.read_bytes().splitlines(keepends=True)
    with server.recording() as recording:
        play = subprocess.Popen([*GRADSOUND, "play", "-"], stdin=subprocess.PIPE)
        play.stdin.write(b"".join(lines[:3]))
        play.stdin.flush()
        until(lambda: len(sounds(recording.heard())) == 2, "two steps are not heard")
        play.stdin.write(lines[3])
        play.stdin.close()
        assert play.wait() == 0

    assert len(sounds(recording.heard())) == 6  # three are the end's


def test_following_a_file_that_grows(server, save) -> None:
    """What was there is left out, what comes is heard at once; Ctrl-C ends it."""
    run = save([[1.0]] * 50)
    with server.recording() as recording:
        command = [*GRADSOUND, "play", "--follow", run, "--preset", "perone2019"]
        play = subprocess.Popen(command)
        until(server.playing, "nothing plays")
        time.sleep(0.3)
        with run.open("ab", buffering=0) as file:
            file.write(b'{"step": 50, "time": 9.0, "norms": [100]}\n{"step": 51, "time"')
            until(lambda: len(sounds(recording.heard())) == 1, "it is not heard")
            file.write(b': 9.5, "norms": [0.01]}\n')
            until(lambda: len(sounds(recording.heard())) == 2, "it is not heard")
        time.sleep(0.5)
        play.send_signal(signal.SIGINT)
        assert play.wait() == 130
    steps = steps_of(run)[-2:]

    first, second = sounds(recording.heard())
    original = PRESETS["perone2019"]
    assert same(first, sound_of(steps[0], run, original))
    assert same(second, sound_of(steps[1], run, original))


@pytest.mark.usefixtures("server")
def test_bad_input_is_one_line(save, monkeypatch) -> None:
    """What a person can do wrong is said, with what to do."""
    run = save([[1.0]])
    Path("bad.jsonl").write_text("what\n")
    empty = save([], name="empty.jsonl")
    cases = {
        ("nowhere.jsonl",): "nowhere.jsonl: No such file or directory",
        (".",): "gradsound: .: Is a directory",
        ("bad.jsonl",): "bad.jsonl, line 1: expected a run",
        (str(empty),): f"{empty}: has no steps, so there is nothing to hear",
        (str(run), "--device", "tuba"): "no output device is called 'tuba'; there are: ",
        (str(run), "--latency", "no"): "latency must be 'safe' or 'low', got 'no'",
        (str(run), "--volume", "3"): "volume must be 0 to 1, got 3.0",
        (str(run), "--preset", "nots"): "no preset 'nots'; did you mean 'notes'?",
        (str(run), "--layers", "x"): "'x'",
    }
    for arguments, message in cases.items():
        done = subprocess.run(
            [*GRADSOUND, "play", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done
        assert message in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    done = subprocess.run(
        [*GRADSOUND, "play", run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'gradsound render' writes a file instead" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("server")
def test_devices_are_listed_without_noise() -> None:
    """The default one is marked."""
    done = subprocess.run(
        [*GRADSOUND, "devices"], capture_output=True, text=True, check=True
    )
    assert re.search(r"^\* +\d+ default$", done.stdout, re.MULTILINE)
    assert not done.stderr


@pytest.mark.usefixtures("server")
def test_no_device_to_list(monkeypatch) -> None:
    """Is said in a line."""
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    done = subprocess.run(
        [*GRADSOUND, "devices"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "gradsound: there is no output device\n"


def test_keys(server, save) -> None:
    """In a terminal: softer, mute and back, and an early end."""
    run = save([[1.0]] * 200)
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [*GRADSOUND, "play", str(run)])  # noqa: S606
    shown = b""

    def wait_for(text: str) -> None:
        nonlocal shown

        def seen() -> bool:
            nonlocal shown
            if select.select([terminal], [], [], 0)[0]:
                shown += os.read(terminal, 4096)
            return text.encode() in shown

        until(seen, f"{text} is not shown: {shown!r}")
        shown = b""

    wait_for("q quit")
    with server.recording() as recording:
        for key, text in {"-": "volume 71%", "m": "muted", "+": "muted"}.items():
            os.write(terminal, key.encode())
            if key != "+":
                wait_for(text)
        time.sleep(0.5)
        os.write(terminal, b"m")
        wait_for("volume 100%")
        time.sleep(0.5)
        os.write(terminal, b"q")
        _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert status == 0
    levels = np.abs(recording.samples())
    peaks = [levels[k : k + 4410].max() for k in range(0, len(levels) - 4410, 4410)]
    assert min(peaks) == 0
    assert max(peaks) > 0.1
