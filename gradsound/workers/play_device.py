"""The worker process that plays a growing run file on the sound device."""

from __future__ import annotations

from typing import Any

from gradsound.output.sound_device_process import SoundDevice
from gradsound.workers.caption_log import log_caption, report
from gradsound.workers.process import ParentLink, run_job

_FINISH_SECONDS = 1.2  # longest time to play the last steps after the training's end


def main() -> None:
    """Runs the process."""
    run_job(_play)


def _play(job: dict[str, Any]) -> None:
    sample_rate = job["sample_rate"]
    device = SoundDevice(job["device"], job["frames"], sample_rate, report)
    # The device takes as long to open as these imports, so both happen at once.
    from gradsound.live.device_playback import DevicePlayback
    from gradsound.music.preset_json import from_data
    from gradsound.runs.lines import read_lines
    from gradsound.runs.run_file import find_restarts, parse_run

    def on_line(line: str) -> None:
        name, _, value = line.partition(" ")
        if name == "volume":
            playback.volume = float(value)

    def poll() -> bool:
        return parent.poll(lambda: playback.spare_seconds)

    with open(job["run_descriptor"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        parent = ParentLink(job["parent"], on_line)
        restarts = find_restarts(job["run"], file)
        lines = read_lines(file, poll)
        run = parse_run(job["run"], lines, restarts, until_restart=True)
        preset, volume = from_data(job["preset"]), job["volume"]
        playback = DevicePlayback(
            run,
            preset,
            device,
            sample_rate,
            live=True,
            volume=volume,
            on_caption=log_caption,
            first_step=job["first_step"],
        )
        playback.play(_FINISH_SECONDS)
    if playback.failure is not None:
        raise playback.failure
