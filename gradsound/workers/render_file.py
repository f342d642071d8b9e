"""The process that renders a run file while it grows, beside the training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.music.preset_json import from_data, to_data
from gradsound.rendering.sound import Sound
from gradsound.runs.reader import lines, parse
from gradsound.workers.process import ParentLink, WorkerProcess, serve

if TYPE_CHECKING:
    from gradsound.music.presets import Preset

_NICE = 19  # training comes first; a file is not heard before it is whole


def follow(
    run: Path, reading: int, path: Path, preset: Preset, *, discard: bool
) -> WorkerProcess:
    """Starts it.

    Args:
        run: The run file, its header written.
        reading: The same, open for reading from its start.
        path: The sound file to write.
        preset: How steps sound.
        discard: Whether to remove the run file once it has been rendered.

    Raises:
        OSError: If the process cannot be started.
    """
    job = {
        "run": str(run.absolute()),
        "path": str(path.absolute()),
        "preset": to_data(preset),
        "discard": discard,
    }
    return WorkerProcess("render_file", job, reading)


def main() -> None:
    """What the process does."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    serve(_follow)


def _follow(job: dict[str, Any]) -> None:
    trainer = ParentLink(job["trainer"])
    with open(job["reading"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        run = parse(job["run"], lines(file, trainer.may_write))
        Sound([run], from_data(job["preset"])).write(Path(job["path"]))
    if job["discard"]:
        Path(job["run"]).unlink()
