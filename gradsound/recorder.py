"""What becomes of the steps of a training: a run file, and its sound beside it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.follower import follow
from gradsound.out.captions import ENDING
from gradsound.out.sound_file import check_path
from gradsound.run_file import RunWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.beside import Beside
    from gradsound.music.preset import Preset
    from gradsound.player import Live, Player, Web
    from gradsound.run import Header, Step

_LISTEN = 0.5  # seconds between looks at whether the player has something to say


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
        live: Live | Web | None = None,
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
        self._follower: Beside | None = None
        self.player: Player | None = None
        self._process, self._count = os.getpid(), 0
        self._budget, self._listened = header.budget, 0.0
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

    def record(self, steps: Sequence[Step]) -> None:
        """Adds steps; what goes wrong is told once, and ends the recording alone."""
        if os.getpid() != self._process:  # a forked worker has copies of the last ones
            return
        self._count += len(steps)
        if self._writer is None:
            return
        before = self._writer.steps
        try:
            self._writer.write(steps)
        except OSError as error:
            lost = steps[self._writer.steps - before].number
            self._writer.close()
            self._writer = None
            warn(
                f"{self._log}: {error.strerror}; steps from {lost} on are lost, "
                "training goes on"
            )
        if self.player is not None:
            self.player.ring()
            self._listen()

    def _listen(self) -> None:
        """Passes on what the player has to say, from time to time."""
        now = time.monotonic()
        if self.player is None or now - self._listened < _LISTEN:
            return
        self._listened = now
        if said := self.player.said():
            self._tell_silence(said)
            if self.player.ended:
                self.player.close()
                self.player = None

    def _tell_silence(self, reason: str) -> None:
        kept = f" and so does {self._log}" if self._keep else ""
        warn(f"no live sound: {reason}; training goes on{kept}")

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
            self._writer.close()
            self._writer = None
        if self.player is not None:
            if said := self.player.close():
                self._tell_silence(said)
            self.player = None
        if self._follower is not None:
            wrong = self._follower.close()
            self._follower = None
            if wrong and self._count:
                warn(f"{self._wav}: {wrong}; the steps are in {self._log}")
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
