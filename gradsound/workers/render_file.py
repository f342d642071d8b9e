"""The worker process that renders a run file to a sound file while the run file grows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.music.preset_json import from_data, to_data
from gradsound.rendering.sound import Sound
from gradsound.runs.reader import parse_run, read_lines
from gradsound.workers.process import ParentLink, WorkerProcess, run_job

if TYPE_CHECKING:
    from gradsound.music.presets import Preset

_NICE = 19  # lowest priority: training comes first, and nobody hears a file before its end


def start_renderer(
    run: Path, run_descriptor: int, wav: Path, preset: Preset, *, discard_run: bool
) -> WorkerProcess:
    """Starts the process.

    Args:
        run: The run file, which already has its header.
        run_descriptor: The same file, open for reading from its start.
        wav: The sound file to write.
        preset: How steps sound.
        discard_run: Whether the process removes the run file after rendering.

    Raises:
        OSError: If the process cannot start.
    """
    job = {
        "run": str(run.absolute()),
        "wav": str(wav.absolute()),
        "preset": to_data(preset),
        "discard_run": discard_run,
    }
    return WorkerProcess("render_file", job, run_descriptor)


def main() -> None:
    """Runs the process."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    run_job(_render)


def _render(job: dict[str, Any]) -> None:
    parent = ParentLink(job["parent"])
    with open(job["run_descriptor"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        run = parse_run(job["run"], read_lines(file, parent.poll))
        Sound([run], from_data(job["preset"])).write(Path(job["wav"]))
    if job["discard_run"]:
        Path(job["run"]).unlink()
