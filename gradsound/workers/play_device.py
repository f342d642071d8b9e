"""The process that plays a run file while it grows, beside the training."""

from __future__ import annotations

import time
from typing import Any

from gradsound.output.sound_device import SoundDevice
from gradsound.workers.process import ParentLink, say, serve, tell

_PLAYS_ON = 1.2  # seconds that the last sounds may take after the end of the training
_POLL_SECONDS = 0.1  # seconds between looks at the file, at most


def main() -> None:
    """What the process does."""
    serve(_play)


def _play(job: dict[str, Any]) -> None:
    rate = job["rate"]
    speaker = SoundDevice(job["device"], job["frames"], rate, say)
    # While the device opens; to load these takes about as long.
    from gradsound.live.device_playback import DevicePlayback
    from gradsound.music.preset_json import from_data
    from gradsound.runs.reader import lines, parse

    def told(line: str) -> None:
        name, _, value = line.partition(" ")
        if name == "volume":
            playing.volume = float(value)

    def more() -> bool:
        playing.conductor.take_in()
        # To wake up for every step, while one sounds, would take time from the training.
        time.sleep(min(playing.spare, _POLL_SECONDS))
        return trainer.may_write()

    with open(job["reading"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        trainer = ParentLink(job["trainer"], told)
        run = parse(job["run"], lines(file, more))
        preset, volume = from_data(job["preset"]), job["volume"]
        playing = DevicePlayback(
            run, preset, speaker, rate, live=True, volume=volume, told=tell
        )
        playing.play(_PLAYS_ON)
    if playing.failure is not None:
        raise playing.failure
