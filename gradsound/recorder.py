"""What becomes of the steps of a training: a run file, and its sound beside it."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.formats import check_path
from gradsound.output.webvtt import ENDING
from gradsound.runs.writer import RunWriter
from gradsound.workers.render_file import follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Header, Step
    from gradsound.workers.process import WorkerProcess
    from gradsound.workers.sinks import DeviceSink, PageSink, Player

_POLL_SECONDS = (
    0.5  # seconds between looks at what has become of the file and the processes
)


class Recorder:
    """Keeps a run: its steps in a file, their sound in another, on a loudspeaker or a page.

    Args:
        header: What to write first.
        log: The run file. If None it is kept as long as its sound is made.
        wav: The sound file, if one is wanted.
        preset: How steps sound.
        live: How to play them as they come, if wanted.

    Raises:
        ValueError: If nothing is to be kept or heard, or both files are the same.
        OSError: If a file cannot be written.
    """

    def __init__(
        self,
        header: Header,
        log: str | Path | None,
        wav: str | Path | None,
        preset: Preset,
        live: DeviceSink | PageSink | None = None,
    ) -> None:
        if wav is not None:
            check_path(Path(wav))
        if log is None and wav is None and live is None:
            raise ValueError("log and wav are both None, so nothing is kept: give one")
        self._keep, self._wav = log is not None, wav
        self._log = _temporary(wav) if log is None else Path(log)
        if wav is not None:
            taken = (Path(wav).absolute(), Path(wav).with_suffix(ENDING).absolute())
            if self._log.absolute() in taken:
                raise ValueError(f"log must not be {wav} or its captions, got {log}")
        readers = (wav is not None) + (live is not None)
        self._writer: RunWriter | None = RunWriter(self._log, header, readers)
        readings = [reading.fileno() for reading in self._writer.readings]
        self._follower: WorkerProcess | None = None
        self.player: Player | None = None
        self._process, self._count = os.getpid(), 0
        self._budget, self._looked = header.budget, 0.0
        self._wrong = ""  # with the run file, as far as that was told
        try:
            if live is not None:
                self.player = live.begin(self._log, readings.pop(), preset)
            if wav is not None:
                self._follower = follow(
                    self._log, readings.pop(), Path(wav), preset, discard=not self._keep
                )
            elif not self._keep:
                self._log.unlink()  # the player has it open
        except BaseException:
            self._writer.discard()
            raise

    @property
    def kept(self) -> tuple[Path, int] | None:
        """The run file and what the system knows it by: a later run may take the name.

        None if none is kept.
        """
        if not self._keep:
            return None
        return self._log.absolute(), self._log.stat().st_ino

    def record(self, steps: Sequence[Step]) -> None:
        """Adds steps; what goes wrong is told once, and ends the recording alone."""
        if os.getpid() != self._process:  # a forked worker has copies of the last ones
            return
        self._count += len(steps)
        if self._writer is None:
            return
        try:
            self._writer.write(steps)
        except OSError as error:
            self._tell_wrong(
                error, f"steps from {self._writer.waiting[0]} on wait until there is room"
            )
        if self.player is not None:
            self.player.ring()
        now = time.monotonic()
        if now - self._looked >= _POLL_SECONDS:
            self._looked = now
            self._look()

    def _look(self) -> None:
        """Sees from time to time what has become of the file and the processes."""
        self._restore()
        if self.player is not None and (said := self.player.said()):
            self._tell_silence(said)
            if self.player.ended:
                self.player.close()
                self.player = None
        if self._follower is not None and self._follower.status() is not None:
            self._end_sound()

    def _restore(self) -> None:
        if self._writer is None or not self._keep:
            return
        try:
            if self._writer.restore():
                warn(f"{self._log} was removed while it was written; it is there again")
        except OSError as error:
            self._tell_wrong(error, "it was removed, and is written again when that works")

    def _tell_wrong(self, error: OSError, what: str) -> None:
        """Tells what is wrong with the run file, once."""
        if not self._wrong:
            self._wrong = error.strerror or str(error)
            warn(f"{self._log}: {self._wrong}; {what}, training goes on")

    def _end_log(self, writer: RunWriter) -> None:
        """Closes the run file, and tells what is lost."""
        self._restore()
        with suppress(OSError):  # which was told
            writer.close()
        if writer.waiting:
            lost = f"steps from {writer.waiting[0]} on"
        elif writer.left_out:
            lost = f"{writer.left_out} steps for which there was no room for long"
        else:
            return
        warn(f"{self._log}: {self._wrong}; {lost} are lost")

    def _end_sound(self) -> None:
        """Waits for the sound file, and tells what went wrong."""
        follower, self._follower = self._follower, None
        wrong = "" if follower is None else follower.close()
        if wrong and self._count:
            warn(
                f"{self._wav}: {wrong}; the steps are in {self._log}, of which gradsound "
                "render makes it again"
            )

    def _tell_silence(self, reason: str) -> None:
        kept = f" and so does {self._log}" if self._keep else ""
        again = ""
        if self._keep and self.player is not None and self.player.ended:
            act = "play" if self.player.url is None else "serve"
            again = f"; gradsound {act} --follow {self._log} has it heard again"
        warn(f"no live sound: {reason}; training goes on{kept}{again}")

    def discard(self) -> None:
        """Gives up before the first step: no file remains."""
        for process in (self.player, self._follower):
            if process is not None:
                process.close()
        if self._writer is not None:
            self._writer.discard()

    def close(self, seen: int = 0) -> None:
        """Finishes the files.

        Args:
            seen: How many steps there were, recorded or not.
        """
        if os.getpid() != self._process:  # a forked worker ends; the files are not its own
            return
        if self._writer is not None:
            self._end_log(self._writer)
            self._writer = None
        if self.player is not None:
            if said := self.player.close():
                self._tell_silence(said)
            self.player = None
        self._end_sound()
        if not self._count:
            why = "no optimizer step was seen"
            if seen:
                why = f"none of {seen} steps was measured"
                if self._budget is not None:
                    why += f" within the budget of {self._budget:g}"
            warn(f"{self._log}: {why}, so there is nothing to hear")
            if not self._keep:
                self._log.unlink(missing_ok=True)


def _temporary(wav: str | Path | None) -> Path:
    """A new file for the steps that a sound is made from, next to that if it is kept."""
    if wav is None:
        handle, name = tempfile.mkstemp(".jsonl", "gradsound.")
    else:
        wav = Path(wav).absolute()  # to find it after a chdir
        handle, name = tempfile.mkstemp(".jsonl", f"{wav.name}.", wav.parent)
    os.close(handle)
    return Path(name)
