"""The run file of a training that is under way, and what goes wrong with it."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.formats import FORMATS
from gradsound.output.webvtt import VTT_SUFFIX
from gradsound.runs.compressed_file import COMPRESSED_SUFFIXES
from gradsound.runs.writer import RunWriter

if TYPE_CHECKING:
    from gradsound.runs.model import Header
    from gradsound.runs.step_block import StepBlock


class RunFile:
    """Writes steps to a run file, returns the file if somebody removes it, and warns.

    Args:
        path: The run file. If None, a temporary file exists until its sound is ready.
        header: Header of the run file.
        wav: The sound file that a process will make of the run; None for no sound file.
        readers: How many processes read the file while it grows.
        start_step: As for `gradsound.attach`.
        resume: As for `gradsound.attach`.

    Attributes:
        path: The run file.
        kept: Whether the file stays after the training.
        start_step: Number of the first step.
        resumed: Whether the file had steps before.
        time_shift: Moves the times of written steps to those that they have in the run.
        descriptors: An open file of the operating system for each process that reads.

    Raises:
        ValueError: If the file cannot be such a file, or the training cannot go on in it.
        OSError: If the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path | None,
        header: Header,
        wav: Path | None,
        readers: int,
        *,
        start_step: int | None,
        resume: bool,
    ) -> None:
        if path is None and resume:
            raise ValueError("log is None, so there is no run file to resume: give one")
        if path is not None and Path(path).suffix in COMPRESSED_SUFFIXES:
            raise ValueError(
                f"log={str(path)!r}: a run file grows by plain lines, of which a kill "
                "loses none; compress it after the training, gradsound reads it then, too"
            )
        self.kept = path is not None
        self.path = _temporary_path(wav) if path is None else Path(path)
        if wav is not None:
            sounds = (wav.absolute(), wav.with_suffix(VTT_SUFFIX).absolute())
            if self.path.absolute() in sounds:
                raise ValueError(f"log must not be {wav} or its captions, got {path}")
        self._writer: RunWriter | None = RunWriter(
            self.path,
            header,
            readers,
            sound=wav,
            sound_suffixes=(*FORMATS, VTT_SUFFIX),
            start_step=start_step,
            resume=resume,
        )
        self.start_step, self.resumed = self._writer.start_step, self._writer.resumed
        self.time_shift = self._writer.time_shift
        self.descriptors = [reading.fileno() for reading in self._writer.reader_files]
        self._error = ""  # the first error; each file warns once

    @property
    def open(self) -> bool:
        """Whether steps can still be written."""
        return self._writer is not None

    @property
    def place(self) -> tuple[Path, int] | None:
        """Path and inode number of the file; None if it does not stay.

        The inode number finds the file after a later run has taken its name.
        """
        if not self.kept or self._writer is None:
            return None
        return self.path.absolute(), self._writer.inode

    def write(self, block: StepBlock) -> None:
        """Writes steps; while the disk is full, they wait in memory."""
        if self._writer is None:
            return
        try:
            self._writer.write(block)
        except OSError as error:
            self._warn(
                error, f"steps from {self._writer.unwritten[0]} on wait until there is room"
            )

    def restore(self) -> None:
        """Returns the file if somebody has removed it."""
        if self._writer is None or not self.kept:
            return
        try:
            if self._writer.restore_if_removed():
                warn(f"{self.path} was removed while it was written; it is there again")
        except OSError as error:
            self._warn(error, "it was removed; it returns when that works")

    def close(self, next_step: int) -> None:
        """Closes the file and warns of the steps that it lacks.

        Args:
            next_step: As for `Recorder.close`.
        """
        self.restore()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self.path = writer.current_path
        with suppress(OSError):  # write() warned of it
            writer.close(next_step)
        if writer.unwritten:
            missing = f"steps from {writer.unwritten[0]} on"
        elif writer.dropped:
            missing = f"{writer.dropped} steps that neither disk nor memory had room for"
        else:
            return
        warn(f"{self.path}: {self._error}; {missing} are lost")

    def discard(self) -> None:
        """Removes the file before its first step."""
        if self._writer is not None:
            self._writer.discard()

    def _warn(self, error: OSError, consequence: str) -> None:
        """Warns of the first error."""
        if not self._error:
            self._error = error.strerror or str(error)
            warn(f"{self.path}: {self._error}; {consequence}, training goes on")


def _temporary_path(wav: Path | None) -> Path:
    """Returns a path for a temporary run file, next to the sound file if there is one."""
    name = f"{secrets.token_hex(8)}.jsonl"
    if wav is None:
        return Path(tempfile.gettempdir(), f"gradsound.{name}")
    wav = wav.absolute()  # still valid after a chdir
    return wav.with_name(f"{wav.name}.{name}")
