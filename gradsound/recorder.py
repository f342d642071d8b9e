"""Recorder of a training: writes the run file, starts the workers that make its sound."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.formats import FORMATS, check_path
from gradsound.output.webvtt import VTT_SUFFIX
from gradsound.runs.compressed_file import COMPRESSED_SUFFIXES
from gradsound.runs.writer import RunWriter
from gradsound.workers.render_file import start_renderer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Header
    from gradsound.runs.step import Step
    from gradsound.workers.process import WorkerProcess
    from gradsound.workers.sinks import DeviceSink, PageSink, Player

_POLL_SECONDS = 0.5  # seconds between two polls; a poll costs a few system calls


class Recorder:
    """Writes steps to a run file, and has worker processes render or play that file.

    Args:
        header: Header of the run file.
        log: The run file. If None, a temporary file exists until the sound is ready.
        wav: The sound file; None for no sound file.
        preset: How steps sound.
        sink: Where to play steps live; None for no live sound.
        start_step: As for `gradsound.attach`.
        resume: As for `gradsound.attach`.

    Attributes:
        player: Controls the live sound; None if there is none, or after it ended.
        start_step: Number of the first step.

    Raises:
        ValueError: If log, wav and sink are all None, log and wav are the same file, or the
            training cannot go on in the run file.
        OSError: If a file cannot be written.
    """

    def __init__(
        self,
        header: Header,
        log: str | Path | None,
        wav: str | Path | None,
        preset: Preset,
        sink: DeviceSink | PageSink | None = None,
        *,
        start_step: int | None = None,
        resume: bool = False,
    ) -> None:
        if wav is not None:
            check_path(Path(wav))
        if log is None and wav is None and sink is None:
            raise ValueError("log and wav are both None, so nothing is kept: give one")
        if log is None and resume:
            raise ValueError("log is None, so there is no run file to resume: give one")
        if log is not None and Path(log).suffix in COMPRESSED_SUFFIXES:
            raise ValueError(
                f"log={str(log)!r}: a run file grows by plain lines, of which a kill loses "
                "none; compress it after the training, gradsound reads it then, too"
            )
        self._keeps_log, self._wav = log is not None, wav
        self._log = _temporary_log(wav) if log is None else Path(log)
        if wav is not None:
            outputs = (Path(wav).absolute(), Path(wav).with_suffix(VTT_SUFFIX).absolute())
            if self._log.absolute() in outputs:
                raise ValueError(f"log must not be {wav} or its captions, got {log}")
        reader_count = (wav is not None) + (sink is not None)
        self._writer: RunWriter | None = RunWriter(
            self._log,
            header,
            reader_count,
            sound=None if wav is None else Path(wav),
            sound_suffixes=(*FORMATS, VTT_SUFFIX),
            start_step=start_step,
            resume=resume,
        )
        self.start_step = self._writer.start_step
        descriptors = [reading.fileno() for reading in self._writer.reader_files]
        self._renderer: WorkerProcess | None = None
        self.player: Player | None = None
        self._pid, self._step_count = os.getpid(), 0
        self._budget, self._last_poll = header.budget, 0.0
        self._log_error = ""  # the first error of the run file; each recorder warns once
        try:
            if sink is not None:
                first_step = self.start_step if self._writer.resumed else 0
                self.player = sink.start(self._log, descriptors.pop(), preset, first_step)
            if wav is not None:
                self._renderer = start_renderer(
                    self._log,
                    descriptors.pop(),
                    Path(wav),
                    preset,
                    discard_run=not self._keeps_log,
                    resumed=self._writer.resumed,
                )
            elif not self._keeps_log:
                self._log.unlink()  # the player has it open
        except BaseException:
            self._writer.discard()
            raise

    @property
    def log_file(self) -> tuple[Path, int] | None:
        """Path and inode number of the run file; None if the recorder keeps no run file.

        The inode number finds the file after a later run has taken its name.
        """
        if not self._keeps_log or self._writer is None:
            return None
        return self._log.absolute(), self._writer.inode

    def record(self, steps: Sequence[Step]) -> None:
        """Writes steps and wakes the player.

        Never raises: an error ends the recording, with one warning, and not the training.
        """
        if os.getpid() != self._pid:  # a forked process has copies of the last steps
            return
        self._step_count += len(steps)
        if self._writer is None:
            return
        try:
            self._writer.write(steps)
        except OSError as error:
            self._warn_log_error(
                error, f"steps from {self._writer.unwritten[0]} on wait until there is room"
            )
        if self.player is not None:
            self.player.wake()
        now = time.monotonic()
        if now - self._last_poll >= _POLL_SECONDS:
            self._last_poll = now
            self.poll()

    def poll(self) -> None:
        """Restores a removed run file and reports what the worker processes report."""
        self._restore_log()
        if self.player is not None and (errors := self.player.poll_messages()):
            self._warn_no_sound(errors)
            if self.player.ended:
                self.player.close()
                self.player = None
        if self._renderer is not None and self._renderer.exit_status() is not None:
            self._close_renderer()

    def _restore_log(self) -> None:
        if self._writer is None or not self._keeps_log:
            return
        try:
            if self._writer.restore_if_removed():
                warn(f"{self._log} was removed while it was written; it is there again")
        except OSError as error:
            self._warn_log_error(error, "it was removed; it returns when that works")

    def _warn_log_error(self, error: OSError, consequence: str) -> None:
        """Warns of the first error of the run file."""
        if not self._log_error:
            self._log_error = error.strerror or str(error)
            warn(f"{self._log}: {self._log_error}; {consequence}, training goes on")

    def _close_log(self, writer: RunWriter, next_step: int) -> None:
        """Closes the run file and warns of the steps that it lacks."""
        self._restore_log()
        with suppress(OSError):  # record() warned of it
            writer.close(0 if self._budget is None else next_step)
        if writer.unwritten:
            missing = f"steps from {writer.unwritten[0]} on"
        elif writer.dropped:
            missing = f"{writer.dropped} steps that neither disk nor memory had room for"
        else:
            return
        warn(f"{self._log}: {self._log_error}; {missing} are lost")

    def _close_renderer(self) -> None:
        """Waits until the sound file is ready; warns if it failed."""
        renderer, self._renderer = self._renderer, None
        error = "" if renderer is None else renderer.close()
        if error and self._step_count:
            warn(
                f"{self._wav}: {error}; the steps are in {self._log}; to make the sound "
                f"again: gradsound render {self._log} -o {self._wav}"
            )

    def _warn_no_sound(self, reason: str) -> None:
        log = f" and so does {self._log}" if self._keeps_log else ""
        remedy = ""
        if self._keeps_log and self.player is not None and self.player.ended:
            command = "play" if self.player.url is None else "serve"
            remedy = f"; to hear it again: gradsound {command} --follow {self._log}"
        warn(f"no live sound: {reason}; training goes on{log}{remedy}")

    def discard(self) -> None:
        """Ends the processes and removes the run file, before the first step."""
        for process in (self.player, self._renderer):
            if process is not None:
                process.close()
        if self._writer is not None:
            self._writer.discard()

    def close(self, next_step: int = 0) -> None:
        """Finishes the files.

        Args:
            next_step: Number of the step that would come next. The training made all steps
                before it, recorded or not.
        """
        if os.getpid() != self._pid:  # a forked process ends; its parent owns the files
            return
        if self._writer is not None:
            self._close_log(self._writer, next_step)
            self._writer = None
        if self.player is not None:
            if errors := self.player.close():
                self._warn_no_sound(errors)
            self.player = None
        self._close_renderer()
        if not self._step_count:
            reason = "no optimizer step was seen"
            if (step_count := next_step - self.start_step) > 0:
                reason = f"none of {step_count} steps was measured"
                if self._budget is not None:
                    reason += f" within the budget of {self._budget:g}"
            warn(f"{self._log}: {reason}, so there is nothing to hear")
            if not self._keeps_log:
                self._log.unlink(missing_ok=True)


def _temporary_log(wav: str | Path | None) -> Path:
    """Returns a path for a temporary run file, next to the sound file if there is one."""
    name = f"{secrets.token_hex(8)}.jsonl"
    if wav is None:
        return Path(tempfile.gettempdir(), f"gradsound.{name}")
    wav = Path(wav).absolute()  # still valid after a chdir
    return wav.with_name(f"{wav.name}.{name}")
