"""The sound device: its process plays every block, and a failure is reported and retried.

A fake PyAudio of the process's own writes the blocks to a file in place of a device.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gradsound.errors import GradsoundWarning, NoDeviceError
from gradsound.output import sound_device
from gradsound.output.sound_device_process import SoundDevice, find_devices

FRAMES = 64  # of a block
LATENCY = 3  # blocks
# The file `fake.json` has the faults to come; each happens once.
FAKE_PYAUDIO = f"""
import json, os, pathlib, sys, time

here = pathlib.Path(__file__).parent
paFloat32 = 1


def fault(name):
    faults = json.loads((here / "fake.json").read_text())
    value = faults.pop(name, None)
    (here / "fake.json").write_text(json.dumps(faults))
    return value


print("a library's noise")
print("more noise", file=sys.stderr)
os.write(1, b"noise")
if fault("import"):
    raise ImportError("libportaudio.so is missing")
if fault("exit"):
    os._exit(1)


class Stream:
    def write(self, block):
        if fault("hang"):
            time.sleep(60)
        if fault("write"):
            raise OSError(-9988, "Stream closed")
        with (here / "played").open("ab") as file:
            file.write(block)

    def get_output_latency(self):
        return {LATENCY * FRAMES} / 44_100

    def stop_stream(self):
        (here / "stopped").touch()


class PyAudio:
    devices = json.loads((here / "devices.json").read_text())

    def __init__(self):
        if (reason := fault("start")) is not None:
            raise OSError(-9979, reason)

    def get_default_output_device_info(self):
        if fault("no default"):
            raise OSError("No Default Output Device Available")
        return {{"index": 2}}

    def get_device_count(self):
        return len(self.devices)

    def get_device_info_by_index(self, index):
        name, channels = self.devices[index]
        return {{"name": name, "maxOutputChannels": channels}}

    def open(self, **options):
        if (reason := fault("open")) is not None:
            raise OSError(-9985, reason)
        with (here / "opened").open("a") as file:
            file.write(json.dumps(options) + "\\n")
        return Stream()
"""


class Fake:
    """The folder of a fake PyAudio."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyaudio.py").write_text(FAKE_PYAUDIO)
        self.devices(("Microphone", 0), ("Mono 2", 1), ("Default", 2), ("Studio", 32))
        self.fail()

    def devices(self, *devices: tuple[str, int]) -> None:
        """Sets the devices' names and numbers of output channels."""
        (self.folder / "devices.json").write_text(json.dumps(devices))

    def fail(self, **faults: object) -> None:
        """Makes each of these faults happen once."""
        messages = {name.replace("_", " "): value for name, value in faults.items()}
        (self.folder / "fake.json").write_text(json.dumps(messages))

    def played(self, channels: int = 2) -> np.ndarray:
        """Returns the samples that were played, shape (frames, channels)."""
        played = np.frombuffer((self.folder / "played").read_bytes(), np.float32)
        return played.reshape(-1, channels)

    def opened(self) -> list[dict[str, int]]:
        """Returns the options of each stream that was opened."""
        text = (self.folder / "opened").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    return Fake(tmp_path)


Open = Callable[..., SoundDevice]


@pytest.fixture
def open_device(fake: Fake) -> Iterator[Open]:  # noqa: ARG001 (devices need it)
    devices = []

    def opened(
        device: int | str | None = None, on_loss: Callable[[str], None] = pytest.fail
    ) -> SoundDevice:
        devices.append(SoundDevice(device, FRAMES, 44_100, on_loss))
        return devices[-1]

    yield opened
    for device in devices:
        device.close()


def wait(condition: Callable[[], object], device: SoundDevice | None = None) -> None:
    """Waits for a condition for 20 s; polls the device meanwhile."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        if device is None:
            time.sleep(0.01)
        elif device.wait_for_request(0.01):
            device.write(np.zeros((FRAMES, 2), np.float32))


def play(device: SoundDevice, blocks: list[np.ndarray]) -> None:
    """Plays blocks, one for each request, and closes the device."""
    for block in blocks:
        wait(lambda: device.wait_for_request(0.01))
        device.write(block)
    wait(lambda: device.wait_for_request(0.01))  # the last block is written by then
    device.close()


def test_outputs_are_listed(fake: Fake, capfd) -> None:
    """Devices without output are left out, and no more than two channels are used.

    The messages of PortAudio's libraries do not reach the terminal.
    """
    devices = [
        {"index": 1, "name": "Mono 2", "channels": 1, "default": False},
        {"index": 2, "name": "Default", "channels": 2, "default": True},
        {"index": 3, "name": "Studio", "channels": 2, "default": False},
    ]
    assert find_devices() == devices
    fake.fail(no_default=True)
    assert not any(device["default"] for device in find_devices())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("import", "PyAudio cannot be loaded: libportaudio.so is missing"),
        ("exit", "the process that lists devices died"),
        (None, "there is no output device"),
    ],
)
def test_no_devices_have_a_reason(fake: Fake, fault: str | None, reason: str) -> None:
    """`find_devices` raises an error that says why it found none."""
    fake.devices(("Microphone", 0))
    if fault is not None:
        fake.fail(**{fault: True})
    with pytest.raises(NoDeviceError) as raised:
        find_devices()

    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (None, "Default"),
        (3, "Studio"),
        ("3", "Studio"),
        ("studio", "Studio"),
        ("TUDI", "Studio"),
        (2, "Default"),  # an index comes before a part of a name, as in "Mono 2"
        ("mono 2", "Mono 2"),
    ],
)
def test_a_device_is_selected(open_device: Open, key: object, name: str) -> None:
    """An index or a part of the name, in any case, selects a device; None the default."""
    device = open_device(key)
    assert device.name is None
    wait(lambda: device.name, device)

    assert device.name == name


def test_without_a_default_the_first_is_selected(fake: Fake, open_device: Open) -> None:
    """Some systems have outputs, but none of them is the default."""
    fake.fail(no_default=True)
    device = open_device()
    wait(lambda: device.name, device)

    assert device.name == "Mono 2"


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        (
            [("Microphone", 0), ("Speaker", 2)],
            "no output device is called 'tuba'; there are: 1 Speaker",
        ),
        ([("Microphone", 0)], "there is no output device"),
    ],
)
def test_an_unknown_device_is_a_loss(
    fake: Fake, open_device: Open, devices: list[tuple[str, int]], reason: str
) -> None:
    """`on_loss` gets the reason, with the devices that exist."""
    fake.devices(*devices)
    reasons: list[str] = []
    device = open_device("tuba", reasons.append)
    wait(lambda: reasons, device)

    assert reasons == [reason]


def test_blocks_are_played_in_order(fake: Fake, open_device: Open) -> None:
    """The device gets every sample, then silence for as long as it delays sound."""
    blocks = [*np.random.default_rng(0).uniform(-1, 1, (9, FRAMES, 2)).astype(np.float32)]
    play(open_device(), blocks)
    played = fake.played()

    np.testing.assert_array_equal(played[: 9 * FRAMES], np.concatenate(blocks))
    assert len(played) == (9 + 2 + LATENCY) * FRAMES
    assert not played[9 * FRAMES :].any()
    assert (fake.folder / "stopped").exists()
    assert fake.opened() == [
        {
            "format": 1,
            "channels": 2,
            "rate": 44_100,
            "output": True,
            "output_device_index": 2,
            "frames_per_buffer": FRAMES,
        }
    ]


def test_a_request_may_get_several_blocks(fake: Fake, open_device: Open) -> None:
    """All of them are played in one piece, and the device requests the next ones after."""
    device = open_device()
    blocks = np.random.default_rng(0).uniform(-1, 1, (7 * FRAMES, 2)).astype(np.float32)
    play(device, [blocks, blocks[:FRAMES], blocks])

    expected = np.concatenate([blocks, blocks[:FRAMES], blocks])
    np.testing.assert_array_equal(fake.played()[: len(expected)], expected)


def test_many_gaps_are_a_warning_with_a_remedy(open_device: Open) -> None:
    """Blocks that come when the device has run out of sound are counted; one tells."""
    device = open_device()
    device.frames = 512  # as for latency="safe"

    def play_late(count: int) -> None:
        for _ in range(count):
            wait(lambda: device.wait_for_request(0.01))
            time.sleep(0.05)  # the device holds 4 ms of sound
            device.write(np.zeros((FRAMES, 2), np.float32))

    play_late(5)  # the first block is not late, and the fifth is not heard of yet
    with pytest.warns(GradsoundWarning, match="busy: choose the latency 'high'") as caught:
        play_late(8)
    assert len(caught) == 1


def test_a_finished_run_has_a_larger_buffer(fake: Fake) -> None:
    """The device buffers more blocks, but it requests them one by one."""
    device = SoundDevice(None, FRAMES, 44_100, pytest.fail, buffer_blocks=4)
    block = np.linspace(-1, 1, 2 * FRAMES, dtype=np.float32).reshape(FRAMES, 2)
    play(device, [block])

    assert fake.opened()[0]["frames_per_buffer"] == 4 * FRAMES
    np.testing.assert_array_equal(fake.played()[:FRAMES], block)


@pytest.mark.parametrize(("key", "channels"), [("mono", 1), ("default", 2)])
def test_channels_are_converted(
    fake: Fake, open_device: Open, key: str, channels: int
) -> None:
    """One channel plays on all of the device's; two are averaged on a device with one."""
    ramp = np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None]
    stereo = np.hstack([ramp, -ramp / 2])
    play(open_device(key), [ramp, stereo])
    played = fake.played(channels)[: 2 * FRAMES]
    second = ramp / 4 if channels == 1 else stereo

    np.testing.assert_array_equal(played[:FRAMES], ramp.repeat(channels, axis=1))
    np.testing.assert_array_equal(played[FRAMES:], second)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (
            {"open": "Invalid sample rate"},
            "the sound device Default does not open (invalid sample rate)",
        ),
        ({"start": "Host API not found"}, "the sound system does not start"),
        ({"import": True}, "PyAudio cannot be loaded: libportaudio.so is missing"),
        ({"exit": True}, "the process of the sound device died"),
        (
            {"write": True},
            "the sound device Default is gone: it was unplugged, or its sound server ended",
        ),
        ({"hang": True}, "the sound device does not answer"),
    ],
)
def test_a_failure_is_reported_and_retried(
    fake: Fake, open_device: Open, fault: dict[str, object], reason: str
) -> None:
    """The device plays again half a second after its failure; one call reports that."""
    fake.fail(**fault)
    reasons: list[str] = []
    device = open_device(None, reasons.append)
    wait(lambda: reasons, device)
    failure_time = time.monotonic()
    assert device.name is None
    device.write(np.ones((FRAMES, 2), np.float32))  # is dropped
    wait(lambda: device.name, device)

    assert time.monotonic() - failure_time >= 0.5
    assert reasons == [reason]
    block = np.full((FRAMES, 2), 1 / 3, np.float32)
    play(device, [block])
    assert (fake.played() == block[0, 0]).all(axis=1).sum() == FRAMES
    assert not (fake.played() == 1.0).any()


def test_a_device_that_hangs_is_given_up_after_a_second(
    fake: Fake, open_device: Open
) -> None:
    """A device must play a block within a second."""
    fake.fail(hang=True)
    reasons: list[str] = []
    device = open_device(None, reasons.append)
    wait(lambda: device.wait_for_request(0.01))
    begin = time.monotonic()
    device.write(np.zeros((FRAMES, 2), np.float32))
    wait(lambda: reasons, device)

    assert 1.0 <= time.monotonic() - begin < 3.0
    assert reasons == ["the sound device does not answer"]


def test_a_block_may_come_in_pieces(fake: Fake) -> None:
    """The process waits for a whole block; it drops an incomplete one at the end."""
    job = {"device": None, "frames": FRAMES, "buffer": FRAMES, "rate": 44_100}
    process = subprocess.Popen(
        [sys.executable, sound_device.__file__, json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # a buffer would take requests that communicate() does not see
    )
    assert json.loads(process.stdout.readline())["name"] == "Default"
    block = np.linspace(-1, 1, 2 * FRAMES, dtype=np.float32)
    for piece in np.array_split(block, 3):
        process.stdin.write(piece.tobytes())
        time.sleep(0.05)  # or the pipe would join the pieces
    process.stdin.write(block[:-1].tobytes())
    requests, _ = process.communicate(timeout=20)

    assert requests == b".."
    np.testing.assert_array_equal(fake.played()[:FRAMES].ravel(), block)
    assert len(fake.played()) == (1 + 2 + LATENCY) * FRAMES


def test_only_the_first_of_several_failures_is_reported(
    fake: Fake, open_device: Open
) -> None:
    """Until the device has played, the failures of further attempts are the same loss.

    The pause before an attempt doubles.
    """
    fake.fail(open="one")
    reasons: list[str] = []
    device = open_device(None, reasons.append)
    wait(lambda: reasons, device)
    first = time.monotonic()
    fake.fail(open="two")
    wait(lambda: (fake.folder / "opened").exists(), device)
    second = time.monotonic()
    wait(lambda: device.wait_for_request(0.01))
    assert reasons == ["the sound device Default does not open (one)"]
    assert second - first >= 0.5 + 1.0

    fake.fail(write=True)
    device.write(np.zeros((FRAMES, 2), np.float32))
    wait(lambda: len(reasons) == 2, device)
    assert reasons[1].startswith("the sound device Default is gone:")


def test_a_killed_process_is_replaced(open_device: Open) -> None:
    """A process that dies between two blocks is a failure like others."""
    reasons: list[str] = []
    device = open_device(None, reasons.append)
    wait(lambda: device.wait_for_request(0.01))
    os.kill(device._process.pid, signal.SIGKILL)
    device._process.wait()
    device.write(np.zeros((FRAMES, 2), np.float32))  # does not raise
    wait(lambda: reasons, device)
    wait(lambda: device.name, device)

    assert reasons == ["the process of the sound device died"]


def test_close_is_quick_and_repeatable(fake: Fake, open_device: Open) -> None:
    """A device that hangs is closed within two seconds; a closed one stays closed."""
    fake.fail(hang=True)
    device = open_device()
    wait(lambda: device.wait_for_request(0.01))
    device.write(np.zeros((FRAMES, 2), np.float32))
    begin = time.monotonic()
    device.close()
    device.close()

    assert 1.0 < time.monotonic() - begin < 2.0
    assert device.name is None


def test_the_process_ends_with_its_parent(fake: Fake) -> None:
    """Even if it hangs, the process checks once a second that its parent lives."""
    fake.fail(hang=True)
    code = """if True:
        import sys, time
        import numpy as np
        from gradsound.output.sound_device_process import SoundDevice
        device = SoundDevice(None, 64, 44_100, sys.exit)
        while not device.wait_for_request(0.1):
            pass
        device.write(np.zeros((64, 2), np.float32))
        print(device._process.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    def ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait(ended)


def test_the_process_imports_nothing_of_ours() -> None:
    """It opens its device before numpy could be loaded."""
    code = f"""if True:
        import runpy, sys
        runpy.run_path({sound_device.__file__!r})
        print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
    """
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"gradsound", "numpy"} & {*process.stdout.split()}
