"""Live sound on a real sound server: exact, in time, and harmless when it fails."""

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
from helpers.lateness import Lateness
from helpers.models import sgd, small, train
from helpers.processes import processes, until, zombies
from helpers.recordings import FADE_IN, matches_file
from helpers.runs import make_run
from helpers.scores import END, compose_run
from helpers.sound_server import RATE, SoundServer
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning, MissingExtraError
from gradsound.live.device_playback import DevicePlayback
from gradsound.music.captions import Caption
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device_process import SoundDevice
from gradsound.recorder import Recorder
from gradsound.runs.step_block import make_block
from gradsound.synth.mixer import render
from gradsound.workers.sinks import DeviceSink, Player

pytestmark = pytest.mark.realtime

TESTS = Path(__file__).parents[1]
GRADSOUND = [sys.executable, "-m", "gradsound"]
NO_SOUND = "no stream plays"
# The same on both channels, and no alarm sounds.
PLAIN = replace(PRESETS["notes"], spread=0.0, alarms=0.0)


def matches(sound: np.ndarray, expected: np.ndarray) -> bool:
    """Returns whether two sounds are equal after the fade-in of the first."""
    loud = np.flatnonzero(expected)
    expected = expected[loud[0] : loud[-1] + 1]
    cut = len(expected) - len(sound)  # frames; a fade-in may start with zeros
    if not 0 <= cut < FADE_IN:
        return False
    return np.array_equal(sound[FADE_IN:], expected[cut + FADE_IN :])


def split(samples: np.ndarray) -> list[np.ndarray]:
    """Returns the sounds between silences of at least 50 ms."""
    loud = np.flatnonzero(samples)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 20) + 1
    return [samples[part[0] : part[-1] + 1] for part in np.split(loud, cuts) if len(part)]


def onsets(samples: np.ndarray) -> list[float]:
    """Returns the times at which those sounds begin, in seconds."""
    loud = np.flatnonzero(samples)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 20) + 1
    return [loud[0] / RATE, *(loud[cuts] / RATE)]


def steps_of(path: str = "run.jsonl") -> list[gradsound.Step]:
    """Returns the steps in a run file."""
    return [*gradsound.read_run(path).steps]


def sound_of(
    step: gradsound.Step, path: str | Path = "run.jsonl", preset: gradsound.Preset = PLAIN
) -> np.ndarray:
    """Returns the rendered sound of a step, shape (frames,)."""
    header = gradsound.read_run(path).header
    return render(compose_run(gradsound.Run(header, [step]), preset), RATE)[:, 0]


def slowly(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Trains with 0.5 s from step to step, longer than the sound of a step."""
    for _ in range(steps):
        train(model, optimizer, 1)
        time.sleep(0.5)


def steadily(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Trains with 0.1 s from step to step."""
    for _ in range(steps):
        train(model, optimizer, 1)
        time.sleep(0.1)


def listen(server: SoundServer, **options: object) -> tuple:
    """Starts a training with live sound; returns model, optimizer and attachment."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, **{"preset": PLAIN, **options})
    until(server.playing, NO_SOUND)
    return model, optimizer, attachment


class TimedPlayer:
    """Passes all calls to a player and measures its `close`."""

    def __init__(self, player: Player) -> None:
        self._player, self.close_seconds = player, None

    def __getattr__(self, name: str) -> object:
        return getattr(self._player, name)

    def close(self) -> str:
        start = time.monotonic()
        errors = self._player.close()
        self.close_seconds = time.monotonic() - start
        return errors


class TimedSink(DeviceSink):
    """A sound device whose player the test can reach."""

    def start(self, *arguments: object) -> TimedPlayer:
        player = TimedPlayer(super().start(*arguments))
        object.__setattr__(self, "player", player)  # a sink is a frozen dataclass
        return player


def attach(server: SoundServer, **options: object) -> tuple:
    """Starts a training with live sound; returns model, optimizer, attachment, player."""
    model, sink = small(), TimedSink()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer, live=sink, preset=PLAIN, **options)
    until(server.playing, NO_SOUND)
    return model, optimizer, attachment, sink.player


def test_a_finished_run_sounds_as_it_is_rendered(server, save) -> None:
    """`gradsound play` plays what `gradsound render` writes, to the last bit."""
    nan, inf = float("nan"), float("inf")
    run = save([[1.0, 2.0, 0.5], [nan, 3.0, 1.0], [0.1, inf, None], [5.0, 0.0, 1.0]])
    with server.recording() as recording:
        process = subprocess.run(
            [*GRADSOUND, "play", run, "--speed", "1.5"], capture_output=True, check=True
        )
    gradsound.render(run, "run.wav", subtype="FLOAT", speed=1.5)

    captions = [line for line in Path("run.vtt").read_text().splitlines() if "step" in line]
    printed_captions = [
        line.partition(" ")[2] for line in process.stderr.decode().splitlines()
    ]
    assert (process.stdout, printed_captions) == (b"", captions)
    assert matches_file(recording, "run.wav")


class CountingDevice:
    """Passes all calls to a sound device and counts the frames that it gets."""

    def __init__(self, device: SoundDevice) -> None:
        self._device, self.count = device, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._device, name)

    def write(self, samples: np.ndarray) -> None:
        self.count += len(samples)
        self._device.write(samples)


@pytest.mark.usefixtures("server")
def test_a_caption_comes_when_its_sound_begins(save) -> None:
    """A caption is never early and at most a block late, though rendering is ahead."""
    nan = float("nan")
    run = gradsound.read_run(save([[1.0, 2.0]] * 3 + [[nan, 2.0]] + [[1.0, 2.0]] * 4))
    device, delays = CountingDevice(SoundDevice(None, 512, RATE, pytest.fail)), []

    def on_caption(caption: Caption) -> None:
        delays.append(device.count / RATE - caption.time)

    preset = PRESETS["notes"]
    DevicePlayback(run, preset, device, RATE, live=False, on_caption=on_caption).play()

    assert len(delays) == 3  # not finite, finite again, the end
    assert min(delays) >= 0
    assert max(delays) <= 512 / RATE


def test_a_users_voice_plays(server, save) -> None:
    """`--voice` plays a function of a module in the folder, as it is rendered."""
    run = save([[1.0, 2.0, 0.5], [float("nan"), 3.0, 1.0]])
    own = "import numpy as np\n\n\ndef fifth(phase):\n    return np.sin(9 * phase) ** 3\n"
    Path("mine.py").write_text(own)
    with server.recording() as recording:
        subprocess.run([*GRADSOUND, "play", run, "--voice", "mine:fifth"], check=True)
    options = ["--voice", "mine:fifth", "--subtype", "FLOAT"]
    subprocess.run([*GRADSOUND, "render", run, "-o", "run.wav", *options], check=True)

    assert matches_file(recording, "run.wav")


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_live_sound_has_two_channels(server, spread: float) -> None:
    """The channels are equal, unless the preset spreads the bands."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    preset = replace(PLAIN, spread=spread, voice="bell")
    with server.recording() as recording:
        attachment = gradsound.listen(model, optimizer, preset=preset)
        until(server.playing, NO_SOUND)
        slowly(model, optimizer, 2)
        attachment.close()
    left, right = recording.both().T

    assert np.abs(left).max() > 0.1
    assert np.array_equal(left, right) == (not spread)
    assert np.array_equal(left != 0, right != 0) == (not spread)


def record_slow_steps(server: SoundServer, latency: str) -> tuple:
    """Trains five slow steps with live sound; returns recording, steps and lateness."""
    with server.recording() as recording, Lateness() as machine:
        model, optimizer, attachment = listen(server, latency=latency, wav="run.wav")
        train(model, optimizer, 1)
        until(lambda: recording.trimmed().size, "the first step does not sound")
        time.sleep(0.5)  # until it is over; the player is ready then
        slowly(model, optimizer, 4)
        attachment.close()
    return recording.trimmed(), steps_of(), machine


@pytest.mark.parametrize("latency", ["safe", "low"])
def test_each_slow_step_sounds_when_it_comes(server, latency: str) -> None:
    """Steps sound in order, as rendered, and within 0.2 s of the training's own rhythm.

    The rhythm is that of the run file. A busy machine delays any chain of processes: the
    test grants the lateness of idle ones at the same time, a few ms on a quiet machine.
    """
    recording, steps, machine = record_slow_steps(server, latency)
    played, expected = split(recording), [sound_of(step) for step in steps]
    assert len(played) == len(steps) == 5
    # A machine with other work may lose a block at "low".
    assert latency == "low" or all(map(matches, played, expected))
    times = np.array([step.time for step in steps])
    delays = (np.array(onsets(recording)) - times)[1:]
    assert np.abs(delays - delays[0]).max() < 0.2 + machine.worst


def test_a_spike_is_never_lost(server) -> None:
    """Merged steps keep the only large norm, and the only NaN, of thousands of steps."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with server.recording() as recording:
        attachment = gradsound.listen(model, optimizer, preset=PLAIN)
        until(server.playing, NO_SOUND)
        for number in range(6000):
            size = {3000: 100.0, 4000: float("nan")}.get(number, 0.01)
            optimizer.zero_grad()
            model(torch.full((1, 1), size)).sum().backward()
            optimizer.step()
            time.sleep(0.0002)
        attachment.close()
    played = [sound for sound in split(recording.trimmed()) if len(sound) > 2000]
    outliers = [step for step in steps_of() if not abs(step.norms[0] - 0.01) < 1e-6]
    spike, clang = map(sound_of, outliers)

    assert len(steps_of()) == 6000
    assert 8 < len(played) < 100  # each 70 ms, then silence of 140 ms
    for expected in spike, clang:
        # The samples of a sound may begin late by a zero.
        size = [len(sound) for sound in played]
        part = expected[1000:2000]
        hits = [
            any(np.array_equal(sound[k : k + 1000], part) for k in range(990, 1001))
            for sound in played
        ]
        assert sum(hits) == 1, size


def test_the_last_step_sounds_to_its_end(server) -> None:
    """The last step sounds whole, though the training ends before it begins."""
    with server.recording() as recording:
        model, optimizer, attachment = listen(server)
        slowly(model, optimizer, 1)  # the player is ready then
        train(model, optimizer, 1)
        time.sleep(0.15)
        train(model, optimizer, 1)
        attachment.close()
    played = split(recording.trimmed())

    assert len(played) == 3
    assert matches(played[2], sound_of(steps_of()[2]))


def test_the_volume_changes_at_once(server) -> None:
    """A new volume applies from the next step on; 0 is silence."""
    with server.recording() as recording:
        model, optimizer, attachment = listen(server, volume=0.5)
        assert attachment.volume == 0.5
        slowly(model, optimizer, 1)
        for volume in 0.0, 1.0:
            attachment.volume = volume
            slowly(model, optimizer, 1)
        with pytest.raises(ValueError, match="volume must be 0 to 1, got 2"):
            attachment.volume = 2
        attachment.close()
    # A step that begins while the volume falls sounds for a block.
    quiet, loud = (part for part in split(recording.trimmed()) if len(part) > FADE_IN)

    assert abs(np.abs(quiet[FADE_IN:]).max() * 2 - np.abs(loud).max()) < 1e-3


def test_a_lost_device_comes_back(server) -> None:
    """The training goes on with one warning; the run has all steps; the sound returns."""
    model, optimizer, attachment = listen(server)
    server.stop()
    with pytest.warns(
        GradsoundWarning,
        match=r"no live sound: the sound device \w+ (is gone|does not).*so does run\.jsonl",
    ) as warned:
        steadily(model, optimizer, 20)
    server.start()
    until(server.playing, "the sound does not return")
    with server.recording() as recording:
        slowly(model, optimizer, 2)
    attachment.close()

    assert len(warned) == 1
    assert len(split(recording.trimmed())) >= 2
    assert len(steps_of()) == 22


@pytest.mark.usefixtures("server")
def test_without_a_device_the_training_goes_on(monkeypatch) -> None:
    """Without a sound device the run file has all steps, and one warning appears."""
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer)
    with pytest.warns(
        GradsoundWarning, match="no live sound: .*training goes on"
    ) as warned:
        steadily(model, optimizer, 15)
    attachment.close()

    assert len(warned) == 1
    assert len(steps_of()) == 15


@pytest.mark.usefixtures("server")
def test_an_unknown_device_is_named() -> None:
    """The warning names the unknown device and lists the devices."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, device="tuba")
    with pytest.warns(
        GradsoundWarning, match="no output device is called 'tuba'; there are"
    ):
        steadily(model, optimizer, 15)
    attachment.close()


def test_a_frozen_sound_server_is_given_up(server) -> None:
    """The training goes on, and the player closes within two seconds."""
    model, optimizer, attachment, player = attach(server, wav="run.wav")
    train(model, optimizer, 3)
    server.freeze()
    try:
        with warnings.catch_warnings(record=True):
            steadily(model, optimizer, 20)
            attachment.close()
    finally:
        server.thaw()

    assert player.close_seconds < 2.0
    assert len(steps_of()) == 23
    assert soundfile.info("run.wav").frames > 0


def test_a_stopped_player_delays_nothing(server) -> None:
    """With a full pipe to the player, the training goes on and closes within 2 s."""
    model, optimizer, attachment, player = attach(server)
    for process in processes("gradsound.workers.play_device"):
        os.kill(process, signal.SIGSTOP)
    for _ in range(1 << 17):  # twice as many bytes as a pipe holds
        player.wake()
    train(model, optimizer, 100)
    start = time.monotonic()
    attachment.close()

    assert time.monotonic() - start < 2.0
    assert len(steps_of()) == 100


@pytest.mark.parametrize("steps", [15, 1], ids=["meanwhile", "at the end"])
def test_a_killed_player_is_reported_once(server, steps: int) -> None:
    """One warning names its status, and no process remains, dead or alive."""
    model, optimizer, attachment = listen(server)
    for process in processes("gradsound.workers.play_device"):
        os.kill(process, signal.SIGKILL)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        steadily(model, optimizer, steps)
        attachment.close()

    (text,) = [str(each.message) for each in warned]
    assert "no live sound: the sound process ended with status -9; training" in text
    assert not zombies()
    assert len(steps_of()) == steps


def test_a_failed_player_reports_its_error_once(server) -> None:
    """One warning has the error, also if a poll falls between the error and the exit."""
    run = make_run([[1.0, 2.0]])
    recorder = Recorder(run.header, "run.jsonl", None, PLAIN, DeviceSink())
    player = recorder.player
    until(server.playing, NO_SOUND)
    with Path("run.jsonl").open("a") as other:
        other.write("what " * 1000 + "\n")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        recorder.record(make_block([*run.steps]))
        until(lambda: recorder.poll() or player.ended, "the player does not end")
        recorder.poll()
        recorder.close()

    (text,) = [str(each.message) for each in warned]
    assert "run.jsonl, line " in text
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
    "SIGKILL with a forked process": (
        "forked = os.fork() or (time.sleep(60), os._exit(0))\n"
        "open('forked', 'w').write(str(forked))\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        -signal.SIGKILL,
    ),
}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("end", ENDS)
def test_no_process_survives_the_program(end: str) -> None:
    """However a script ends, its sound file is complete and no worker process remains."""
    last, status = ENDS[end]
    Path("script.py").write_text(f"{SCRIPT}\n{last}\n")
    process = subprocess.run(
        [sys.executable, "script.py"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if end in ("end", "close") else subprocess.DEVNULL,
        start_new_session=True,  # so that its Ctrl-C spares the test
        check=False,
    )
    until(Path("run.wav").exists, "the sound file is not complete")
    until(lambda: not processes("gradsound."), "a process still runs")
    if Path("forked").exists():  # it kept the pipe to the workers open until now
        os.kill(int(Path("forked").read_text()), signal.SIGKILL)

    assert process.returncode == status
    assert not process.stderr
    assert len(steps_of()) == 12
    assert soundfile.info("run.wav").frames == 12 * len(sound_of(steps_of()[0])) + END


@pytest.mark.usefixtures("server")
def test_a_program_on_standard_input_can_listen() -> None:
    """A program without a file, as in a notebook, records and plays without errors."""
    process = subprocess.run(
        [sys.executable, "-"],
        input=f"{SCRIPT}\nattachment.close()\n".encode(),
        capture_output=True,
        check=True,
    )

    assert not process.stderr
    assert len(steps_of()) == 12


def test_forked_processes_delay_nothing(server) -> None:
    """Loader workers and a forked process delay neither the run nor its end."""
    model, optimizer, attachment = listen(server)
    data = torch.utils.data.DataLoader(torch.randn(12, 3), 2, num_workers=2)
    for x in data:
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    worker = os.fork()
    if not worker:
        time.sleep(30)
        os._exit(0)
    start = time.monotonic()
    attachment.close()
    seconds = time.monotonic() - start
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)

    assert seconds < 2.0
    assert len(steps_of()) == 6


def test_without_pyaudio(monkeypatch, tmp_path) -> None:
    """The error names the package to install, and no file is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    for listen in gradsound.listen, partial(gradsound.attach, live=True):
        with pytest.raises(
            MissingExtraError, match=r"pip install pyaudio .*portaudio19-dev"
        ):
            listen(small())
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"latency": "none"}, "latency must be one of 'low', 'safe', 'high', got 'none'"),
        ({"volume": -0.1}, "volume must be 0 to 1, got -0.1"),
    ],
)
def test_bad_options_are_refused(option: dict, message: str) -> None:
    """The error names the option, its range and the value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        gradsound.listen(small(), **option)


def test_listen_refuses_live() -> None:
    """`listen(live=...)` is an error that says what to do."""
    with pytest.raises(TypeError, match=r"live is what listen\(\) does: leave it out"):
        gradsound.listen(small(), live=True)


def test_log_none_keeps_no_file(server) -> None:
    """With `log=None` the player reads an unlinked file, and none remains."""
    with server.recording() as recording:
        model, optimizer, attachment = listen(server, log=None)
        slowly(model, optimizer, 1)
        attachment.close()

    assert len(split(recording.trimmed())) == 1
    assert not [*Path().iterdir()]
    assert not [*Path(tempfile.gettempdir()).glob("gradsound.*.jsonl")]


def test_play_reads_standard_input(server, save) -> None:
    """`play -` plays every step in order, before standard input ends."""
    run = save([[1.0], [2.0], [3.0]])
    lines = run.read_bytes().splitlines(keepends=True)
    with server.recording() as recording:
        play = subprocess.Popen([*GRADSOUND, "play", "-"], stdin=subprocess.PIPE)
        play.stdin.write(b"".join(lines[:3]))
        play.stdin.flush()
        until(lambda: len(split(recording.trimmed())) == 2, "two steps do not sound")
        play.stdin.write(lines[3])
        play.stdin.close()
        assert play.wait() == 0

    assert len(split(recording.trimmed())) == 6  # the end alarm has three


def test_play_follows_a_growing_file(server, save) -> None:
    """`play --follow` skips old steps and plays new ones at once; Ctrl-C ends it."""
    run = save([[1.0]] * 50)
    with server.recording() as recording:
        command = [*GRADSOUND, "play", "--follow", run, "--preset", "perone2019"]
        play = subprocess.Popen(command)
        until(server.playing, NO_SOUND)
        time.sleep(0.3)
        with run.open("ab", buffering=0) as file:
            file.write(b'{"step": 50, "time": 9.0, "norms": [100]}\n{"step": 51, "time"')
            until(lambda: len(split(recording.trimmed())) == 1, "the step does not sound")
            file.write(b': 9.5, "norms": [0.01]}\n')
            until(lambda: len(split(recording.trimmed())) == 2, "the step does not sound")
        time.sleep(0.5)
        play.send_signal(signal.SIGINT)
        assert play.wait() == 130
    steps = steps_of(run)[-2:]

    first, second = split(recording.trimmed())
    original = PRESETS["perone2019"]
    assert matches(first, sound_of(steps[0], run, original))
    assert matches(second, sound_of(steps[1], run, original))


@pytest.mark.usefixtures("server")
def test_bad_input_ends_with_one_line(save, monkeypatch) -> None:
    """Each mistake of a user gives one line and exit status 2."""
    run = save([[1.0]])
    Path("bad.jsonl").write_text("what\n")
    empty = save([], name="empty.jsonl")
    cases = {
        ("nowhere.jsonl",): "nowhere.jsonl: No such file or directory",
        (".",): "gradsound: .: has 2 runs, give one: ",
        ("bad.jsonl",): "bad.jsonl: is a text in which no line has a step and the norm",
        (str(empty),): f"{empty}: has no steps, so there is nothing to hear",
        (str(run), "--device", "tuba"): "no output device is called 'tuba'; there are: ",
        (str(run), "--latency", "no"): "one of 'low', 'safe', 'high', got 'no'",
        (str(run), "--volume", "3"): "volume must be 0 to 1, got 3.0",
        (str(run), "--preset", "nots"): "no preset 'nots'; did you mean 'notes'?",
        (str(run), "--layers", "x"): "'x'",
    }
    for arguments, message in cases.items():
        process = subprocess.run(
            [*GRADSOUND, "play", *arguments], capture_output=True, text=True, check=False
        )
        assert process.returncode == 2, process
        assert message in process.stderr
        assert process.stderr.count("\n") == 1, process.stderr
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    process = subprocess.run(
        [*GRADSOUND, "play", run], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "'gradsound render' writes a file instead" in process.stderr
    assert process.stderr.count("\n") == 1


@pytest.mark.usefixtures("server")
def test_devices_are_listed() -> None:
    """`gradsound devices` marks the default device and prints no errors."""
    process = subprocess.run(
        [*GRADSOUND, "devices"], capture_output=True, text=True, check=True
    )
    assert re.search(r"^\* +\d+ default$", process.stdout, re.MULTILINE)
    assert not process.stderr


@pytest.mark.usefixtures("server")
def test_no_devices_is_an_error(monkeypatch) -> None:
    """Without a device the command prints one line and exits with status 2."""
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    process = subprocess.run(
        [*GRADSOUND, "devices"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert process.stderr == "gradsound: there is no output device\n"


def test_keys_control_the_playback(server, save) -> None:
    """Keys in a terminal change the volume, mute, and end the playback."""
    run = save([[1.0]] * 200)
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [*GRADSOUND, "play", str(run)])  # noqa: S606
    screen = b""

    def wait_for(text: str) -> None:
        nonlocal screen

        def is_shown() -> bool:
            nonlocal screen
            if select.select([terminal], [], [], 0)[0]:
                screen += os.read(terminal, 4096)
            return text.encode() in screen

        until(is_shown, f"{text} is not shown: {screen!r}")
        screen = b""

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
