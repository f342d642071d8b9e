"""The process that has the sound device: asks for a block, plays it, asks for the next.

It is run as a file, and imports nothing but PyAudio, so that it starts fast and waits for
nobody: not for Python code of others, nor for memory. What it is asked for is in its
arguments, as JSON; what it answers, on its standard output, is

- with ``{"list": true}``, one line: a list of output devices;
- otherwise one line that says which device it has, then a ``.`` for each block that it
  wants on its standard input, until that ends;
- instead of any of these a line with "error".

PortAudio may wait for ever for a sound server that does not answer. Then nothing comes any
more, and whoever started this ends it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

# The folder of this file must not shadow anything, as it would for a script.
sys.path[:] = [path for path in sys.path if path != os.path.dirname(__file__)]  # noqa: PTH120

_BYTES = 4  # a sample, float32
_POLL_SECONDS = 1.0  # seconds between looks at whether anybody is there


def main() -> None:
    """Does what the arguments say."""
    wanted = json.loads(sys.argv[1])
    answers = os.dup(1)
    for descriptor in (1, 2):  # PortAudio's libraries print what they miss, to either
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    # Whoever started this ends it when it hangs, unless that was killed.
    watch = threading.Thread(target=_watch, args=(os.getppid(),), daemon=True)
    watch.start()
    try:
        import pyaudio

        audio = pyaudio.PyAudio()
        if wanted.get("list"):
            _answer(answers, _outputs(audio))
            return
        device = _find(_outputs(audio), wanted["device"])
        stream = _open(pyaudio, audio, device, wanted)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is to be told)
        _answer(answers, {"error": _reason(error)})
        return
    _answer(answers, device)
    try:
        _play(stream, answers, wanted["frames"] * device["channels"] * _BYTES)
        # Stopping drops what the device has not yet played: let that be silence.
        latency = stream.get_output_latency() * wanted["rate"] / wanted["frames"]
        for _ in range(2 + int(latency)):
            stream.write(bytes(wanted["frames"] * device["channels"] * _BYTES))
        stream.stop_stream()
    except OSError as error:
        _answer(answers, {"error": _reason(error)})


def _play(stream: Any, answers: int, size: int) -> None:
    """Plays blocks of that many bytes until there are no more."""
    while True:
        os.write(answers, b".")
        block = os.read(0, size)
        while 0 < len(block) < size and (more := os.read(0, size - len(block))):
            block += more
        if len(block) < size:
            return
        stream.write(block)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(0)


def _outputs(audio: Any) -> list[dict[str, Any]]:
    """All output devices."""
    try:
        default = audio.get_default_output_device_info()["index"]
    except OSError:
        default = -1
    found = []
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        if info["maxOutputChannels"] > 0:
            found.append(
                {
                    "index": index,
                    "name": info["name"],
                    "channels": min(2, info["maxOutputChannels"]),
                    "default": index == default,
                }
            )
    return found


def _find(outputs: list[dict[str, Any]], wanted: int | str | None) -> dict[str, Any]:
    """The device of that index, or of a name that has that in it; the default if None."""
    if not outputs:
        raise LookupError("there is no output device")
    if wanted is None:
        return next((one for one in outputs if one["default"]), outputs[0])
    for one in outputs:
        if str(wanted) == str(one["index"]):
            return one
    for one in outputs:
        if str(wanted).lower() in one["name"].lower():
            return one
    names = ", ".join(f"{one['index']} {one['name']}" for one in outputs)
    raise LookupError(f"no output device is called {wanted!r}; there are: {names}")


def _open(pyaudio: Any, audio: Any, device: dict[str, Any], wanted: dict[str, Any]) -> Any:
    return audio.open(
        format=pyaudio.paFloat32,
        channels=device["channels"],
        rate=wanted["rate"],
        output=True,
        output_device_index=device["index"],
        frames_per_buffer=wanted["frames"],
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"PyAudio cannot be loaded: {error}"
    if isinstance(error, OSError) and len(error.args) > 1:  # (number, text) of PortAudio
        return f"the sound device failed: {error.args[1]}"
    return str(error)


def _answer(answers: int, what: object) -> None:
    os.write(answers, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
