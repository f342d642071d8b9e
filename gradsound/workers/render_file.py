"""The worker process that renders a run file to a sound file while the run file grows."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gradsound.errors import without_warnings
from gradsound.music.anchor import AnchorFit
from gradsound.music.preset_json import from_data
from gradsound.output.formats import FORMATS, default_rate
from gradsound.output.webvtt import VTT_SUFFIX
from gradsound.rendering.sound import Sound
from gradsound.runs.file_locks import lock_folders
from gradsound.runs.file_names import number_of, numbered
from gradsound.runs.lines import read_lines
from gradsound.runs.opened_file import take_name
from gradsound.runs.run_file import find_restarts, parse_run
from gradsound.runs.step_stream import StepSource, StepStream
from gradsound.workers.process import ParentLink, run_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock

_NICE = 19  # lowest priority: training comes first, and nobody hears a file before its end
_DRAFT_SUFFIX = ".part"  # of a folder with an unfinished sound


def main() -> None:
    """Runs the process."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    run_job(_render)


def _render(job: dict[str, Any]) -> None:
    parent = ParentLink(job["parent"])
    log, sound = Path(job["run"]), Path(job["wav"])
    with (
        open(job["run_descriptor"], "rb") as file,  # noqa: PTH123 (a descriptor, no path)
        _draft_folder(sound) as folder,
    ):
        draft, restarts = folder / sound.name, find_restarts(job["run"], file)
        lines = read_lines(file, parent.poll)
        run = parse_run(job["run"], lines, restarts, until_restart=True)
        try:
            _write(run, _FinishedSteps(job["run"], file, restarts), job["preset"], draft)
        except OSError as error:
            if error.filename == str(draft):
                error.filename = str(sound)
            raise
        with lock_folders([log, sound]):
            number = number_of(log, file.fileno())
            if log.with_suffix("") == sound.with_suffix("") or _is_taken(sound, folder):
                sound = numbered(sound, number)
            goes_on = len(find_restarts(job["run"], file)) > len(restarts)
            _publish(draft, sound, replaces=job["resumed"] and not goes_on, yields=goes_on)
    if job["discard_run"]:
        log.unlink()


def _write(
    run: Run, finished: Iterable[Step], preset_data: dict[str, Any], draft: Path
) -> None:
    """Renders a run while it grows; again at its end if its pitches have to move.

    So the sound is that of `render`, which knows the whole run.
    """
    preset = from_data(preset_data)
    fit = AnchorFit(preset)
    steps = StepStream(_observe(run, fit, preset))
    rate = default_rate(draft)
    sound = Sound([replace(run, steps=steps)], preset, sample_rate=rate)
    sound.write(draft)
    if fit.preset() != preset or any(one.kind == "pitch" for one in sound.captions):
        with without_warnings():  # the first reading gave them
            Sound([replace(run, steps=finished)], preset, sample_rate=rate).write(draft)


def _observe(run: Run, fit: AnchorFit, preset: Preset) -> Iterator[StepBlock]:
    """Yields the blocks of a run, and fits the anchor to them."""
    bands = preset.bands_of(run.header.layers)
    for block in run.blocks():
        fit.add(block, bands)
        yield block


@dataclass(frozen=True, slots=True)
class _FinishedSteps(StepSource):
    """The steps of a run file that has ended, read anew at each iteration."""

    source: str
    file: BinaryIO
    restarts: Sequence[int]

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        self.file.seek(0)
        lines = read_lines(self.file)
        return parse_run(self.source, lines, self.restarts, until_restart=True).blocks()


def _is_taken(sound: Path, own_folder: Path) -> bool:
    """Returns whether another run has a sound of this name, or renders one now."""
    drafts = sound.parent.glob(f"{escape(sound.name)}.*{_DRAFT_SUFFIX}")
    return sound.exists() or any(draft != own_folder for draft in drafts)


@contextmanager
def _draft_folder(sound: Path) -> Iterator[Path]:
    """Makes a folder for the unfinished files of a sound, and removes it at the end."""
    try:
        draft = TemporaryDirectory(
            prefix=f"{sound.name}.", suffix=_DRAFT_SUFFIX, dir=sound.parent
        )
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(sound)) from error
    with draft as folder:
        yield Path(folder)


def _publish(draft: Path, sound: Path, *, replaces: bool, yields: bool) -> None:
    """Gives a finished sound and its captions their names.

    Args:
        draft: The finished sound; its captions are beside it.
        sound: The name of the sound.
        replaces: Whether to replace an existing sound, instead of keeping it under another
            name.
        yields: Whether an existing sound stays, and this one is dropped.
    """
    captions = draft.with_suffix(VTT_SUFFIX), sound.with_suffix(VTT_SUFFIX)

    def find_older() -> list[Path]:
        return [path for path in (sound, captions[1]) if path.is_file()]

    if yields and find_older():
        return
    if not replaces:
        take_name(draft, sound, find_older, (*FORMATS, VTT_SUFFIX))
    else:
        draft.replace(sound)
    captions[0].replace(captions[1])
