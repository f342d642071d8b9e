"""The trainer's end of the worker process that renders a growing run file.

The process has the modules that make sound; a training needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.music.preset_json import to_data
from gradsound.workers.process import WorkerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.music.presets import Preset


def start_renderer(
    run: Path,
    run_descriptor: int,
    wav: Path,
    preset: Preset,
    *,
    discard_run: bool,
    resumed: bool,
) -> WorkerProcess:
    """Starts the process of `gradsound.workers.render_file`.

    Args:
        run: The run file, which already has its header.
        run_descriptor: The same file, open for reading from its start.
        wav: The sound file to write.
        preset: How steps sound.
        discard_run: Whether the process removes the run file after rendering.
        resumed: Whether an existing sound file is of an earlier part of this run.

    Raises:
        OSError: If the process cannot start.
    """
    job = {
        "run": str(run.absolute()),
        "wav": str(wav.absolute()),
        "preset": to_data(preset),
        "discard_run": discard_run,
        "resumed": resumed,
    }
    return WorkerProcess("render_file", job, run_descriptor)
