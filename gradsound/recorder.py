"""Recorder of a training: supervises its run file and the workers that make its sound."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.alarm_listener import AlarmListener
from gradsound.errors import warn
from gradsound.output.formats import check_path
from gradsound.run_file import RunFile
from gradsound.training_alarms import TrainingAlarms
from gradsound.workers.renderer import start_renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Header
    from gradsound.runs.step_block import StepBlock
    from gradsound.workers.page_or_notebook import LiveSink
    from gradsound.workers.process import WorkerProcess
    from gradsound.workers.sinks import Player

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
        on_alarm: As for `gradsound.attach`.

    Attributes:
        alarms: The alarms of the training.
        listener: Calls ``on_alarm``; None if there is none.
        player: Controls the live sound; None if there is none, or after it ended.
        start_step: Number of the first step.

    Raises:
        ValueError: If log, wav, sink and on_alarm are all None, log and wav are the same
            file, or the training cannot go on in the run file.
        OSError: If a file cannot be written.
    """

    def __init__(
        self,
        header: Header,
        log: str | Path | None,
        wav: str | Path | None,
        preset: Preset,
        sink: LiveSink | None = None,
        *,
        start_step: int | None = None,
        resume: bool = False,
        on_alarm: Callable[[Alarm], object] | None = None,
    ) -> None:
        sound = None if wav is None else Path(wav)
        if sound is not None:
            check_path(sound)
        # Without a reader, nothing is written: a file that nobody sees would fill the disk.
        self._is_read = (log, sound, sink) != (None, None, None)
        if not self._is_read and on_alarm is None:
            raise ValueError("log and wav are both None, so nothing is kept: give one")
        readers = (sound is not None) + (sink is not None)
        self._file = RunFile(
            log, header, sound, readers, start_step=start_step, resume=resume
        )
        self._place = self._file.place
        self.start_step, self._wav = self._file.start_step, sound
        self.listener = None if on_alarm is None else AlarmListener(on_alarm)
        self.alarms = TrainingAlarms(
            header,
            preset.thresholds,
            self._file.time_shift,
            lambda: self.log_file,
            self.listener,
        )
        self.player: Player | None = None
        self._renderer: WorkerProcess | None = None
        self._pid, self._step_count = os.getpid(), 0
        self._budget, self._last_poll = header.budget, 0.0
        try:
            self._start_workers(preset, sink)
        except BaseException:
            self._file.discard()
            raise

    def _start_workers(self, preset: Preset, sink: LiveSink | None) -> None:
        """Starts the processes that play and render the run file."""
        file = self._file
        if sink is not None:
            first_step = file.start_step if file.resumed else 0
            self.player = sink.start(file.path, file.descriptors.pop(), preset, first_step)
        if self._wav is not None:
            self._renderer = start_renderer(
                file.path,
                file.descriptors.pop(),
                self._wav,
                preset,
                discard_run=not file.kept,
                resumed=file.resumed,
            )
        elif not file.kept:
            file.path.unlink()  # the player has it open

    @property
    def log_file(self) -> tuple[Path, int] | None:
        """Path and inode number of the run file; None if the recorder keeps no run file.

        The inode number finds the file after a later run has taken its name.
        """
        return self._file.place or self._place

    def record(self, block: StepBlock) -> None:
        """Writes steps and wakes the player.

        Never raises: an error ends the recording, with one warning, and not the training.
        """
        if os.getpid() != self._pid:  # a forked process has copies of the last steps
            return
        self._step_count += len(block)
        if not self._file.open:
            return
        if self._is_read:
            self._file.write(block)
        self.alarms.add(block)
        if self.player is not None:
            self.player.wake()
        now = time.monotonic()
        if now - self._last_poll >= _POLL_SECONDS:
            self._last_poll = now
            self.poll()

    def poll(self) -> None:
        """Restores a removed run file and reports what the worker processes report."""
        self._file.restore()
        if self.player is not None and (errors := self.player.poll_messages()):
            self._warn_no_sound(errors)
            if self.player.ended:
                self.player.close()
                self.player = None
        if self._renderer is not None and self._renderer.exit_status() is not None:
            self._close_renderer()

    def _close_renderer(self) -> None:
        """Waits until the sound file is ready; warns if it failed."""
        renderer, self._renderer = self._renderer, None
        error = "" if renderer is None else renderer.close()
        if error and self._step_count:
            log = self._file.path
            warn(
                f"{self._wav}: {error}; the steps are in {log}; to make the sound again: "
                f"gradsound render {log} -o {self._wav}"
            )

    def _warn_no_sound(self, reason: str) -> None:
        log = f" and so does {self._file.path}" if self._file.kept else ""
        remedy = ""
        if self._file.kept and self.player is not None and self.player.ended:
            command = "serve" if self.player.is_page else "play"
            remedy = f"; to hear it again: gradsound {command} --follow {self._file.path}"
        warn(f"no live sound: {reason}; training goes on{log}{remedy}")

    def end_listener(self) -> None:
        """Calls ``on_alarm`` with the alarms that no step followed, for the last time."""
        if self.listener is not None and os.getpid() == self._pid:
            self.listener.end()

    def discard(self) -> None:
        """Ends the processes and removes the run file, before the first step."""
        for process in (self.player, self._renderer):
            if process is not None:
                process.close()
        self._file.discard()

    def close(self, next_step: int = 0, why_no_step: str = "") -> None:
        """Finishes the files.

        Args:
            next_step: Number of the step that would come next. The training made all steps
                before it, recorded or not.
            why_no_step: Why no step was seen, as the end of a sentence.
        """
        if os.getpid() != self._pid:  # a forked process ends; its parent owns the files
            return
        self._place = self._file.place
        self.alarms.end()
        self._file.close(next_step)
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
            warn(f"{self._file.path}: {reason}, so there is nothing to hear{why_no_step}")
            if not self._file.kept:
                self._file.path.unlink(missing_ok=True)
