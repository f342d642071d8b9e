"""The sound device: lists devices, chooses one, requests blocks, plays them, and so on.

`gradsound.output.sound_device_process` runs this file as a script. It imports only PyAudio,
so that it starts fast and shares neither the interpreter nor the memory of other code. Its
argument is a job, as JSON. It answers on standard output:

- to ``{"list": true}`` with one line, a list of output devices;
- to any other job with one line, the device that it opened, then with a ``.`` whenever it
  requests blocks, one or more, until its standard input ends; the ``.`` is a ``!`` if the
  blocks before came too late, so that the sound had a gap;
- or, in place of these, with a line that has the key "error".

PortAudio may wait for ever for a sound server that does not answer. Then this process falls
silent, and its parent kills it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

# Python puts the folder of a script first: its modules must not shadow others.
sys.path[:] = [path for path in sys.path if path != os.path.dirname(__file__)]  # noqa: PTH120

_BYTES = 4  # a sample, float32
# What fails, because the words of PortAudio name neither the device nor a cause.
_START = "the sound system does not start"
_OPEN = "the sound device {name} does not open ({reason})"
_PLAY = "the sound device {name} is gone: it was unplugged, or its sound server ended"
_POLL_SECONDS = 1.0  # between checks that the parent lives
_START_SECONDS = 5.0  # in which the first block may come
_READ_BYTES = 1 << 16  # the capacity of a pipe


def main() -> None:
    """Does the job of the argument."""
    job = json.loads(sys.argv[1])
    answers = os.dup(1)
    for descriptor in (1, 2):  # PortAudio's libraries print warnings to both
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    # The parent kills this process when it hangs, unless the parent was killed itself.
    watch = threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True)
    watch.start()
    failure, device = _START, {"name": ""}
    try:
        import pyaudio

        audio = pyaudio.PyAudio()
        if job.get("list"):
            _send(answers, _output_devices(audio))
            return
        device = _select(_output_devices(audio), job["device"])
        failure = _OPEN
        stream = _open(pyaudio, audio, device, job)
    except Exception as error:  # noqa: BLE001 (the parent reports any)
        _send(answers, {"error": _reason(error, failure, device["name"])})
        return
    _send(answers, device)
    size = job["frames"] * device["channels"] * _BYTES
    try:
        latency = stream.get_output_latency()  # seconds
        _play(stream, answers, size, latency)
        # Stopping drops the blocks that have not sounded yet: these must be silence.
        for _ in range(2 + int(latency * job["rate"] / job["frames"])):
            stream.write(bytes(size))
        stream.stop_stream()
    except OSError as error:
        _send(answers, {"error": _reason(error, _PLAY, device["name"])})


def _play(stream: Any, answers: int, size: int, latency: float) -> None:
    """Requests and plays blocks of ``size`` bytes until standard input ends.

    Args:
        stream: The stream of the device.
        answers: Descriptor of the requests.
        size: Bytes of a block.
        latency: Seconds of sound that the device holds after a write.
    """
    request, end = b".", time.monotonic() + _START_SECONDS  # of the sound in the device
    while True:
        os.write(answers, request)
        blocks = os.read(0, _READ_BYTES)
        while len(blocks) % size and (more := os.read(0, size - len(blocks) % size)):
            blocks += more
        if not blocks or len(blocks) % size:
            return
        request = b"." if time.monotonic() < end else b"!"
        stream.write(blocks)
        end = time.monotonic() + latency


def _exit_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(0)


def _output_devices(audio: Any) -> list[dict[str, Any]]:
    try:
        default = audio.get_default_output_device_info()["index"]
    except OSError:
        default = -1
    devices = []
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        if info["maxOutputChannels"] > 0:
            devices.append(
                {
                    "index": index,
                    "name": info["name"],
                    "channels": min(2, info["maxOutputChannels"]),
                    "default": index == default,
                }
            )
    return devices


def _select(devices: list[dict[str, Any]], key: int | str | None) -> dict[str, Any]:
    """Returns the device of an index, or of part of a name; the default one for None."""
    if not devices:
        raise LookupError("there is no output device")
    if key is None:
        return next((one for one in devices if one["default"]), devices[0])
    for one in devices:
        if str(key) == str(one["index"]):
            return one
    for one in devices:
        if str(key).lower() in one["name"].lower():
            return one
    names = ", ".join(f"{one['index']} {one['name']}" for one in devices)
    raise LookupError(f"no output device is called {key!r}; there are: {names}")


def _open(pyaudio: Any, audio: Any, device: dict[str, Any], job: dict[str, Any]) -> Any:
    return audio.open(
        format=pyaudio.paFloat32,
        channels=device["channels"],
        rate=job["rate"],
        output=True,
        output_device_index=device["index"],
        frames_per_buffer=job["buffer"],
    )


def _reason(error: Exception, failure: str, name: str) -> str:
    """Returns the reason of an error in a sentence about what failed."""
    if isinstance(error, ImportError):
        return f"PyAudio cannot be loaded: {error}"
    if isinstance(error, OSError):  # its last argument is the text of PortAudio
        return failure.format(name=name, reason=str(error.args[-1]).lower())
    return str(error)


def _send(answers: int, answer: object) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
