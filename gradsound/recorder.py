"""What becomes of the steps of a training: a run file, and its sound beside it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.follower import Follower
from gradsound.out.sound_file import check_path
from gradsound.run_file import RunWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.preset import Preset
    from gradsound.run import Header, Step


class Recorder:
    """Keeps a run: its steps in a file, their sound in another.

    Args:
        header: What to write first.
        log: The run file. If None it is kept beside the sound, as long as that is made.
        wav: The sound file, if one is wanted.
        preset: How steps sound.

    Raises:
        ValueError: If neither is given, or both are the same.
        OSError: If a file cannot be written.
    """

    def __init__(
        self,
        header: Header,
        log: str | Path | None,
        wav: str | Path | None,
        preset: Preset,
    ) -> None:
        if wav is not None:
            check_path(Path(wav))
        if log is not None:
            self._log = Path(log)
        elif wav is not None:
            self._log = _beside(Path(wav).absolute())  # to find it after a chdir
        else:
            raise ValueError("log and wav are both None, so nothing is kept: give one")
        if wav is not None and Path(wav).absolute() == self._log.absolute():
            raise ValueError(f"log and wav must differ, got {wav} twice")
        self._wav, self._discard = wav, log is None
        self._writer: RunWriter | None = RunWriter(self._log, header)
        self._follower: Follower | None = None
        self._process, self._count = os.getpid(), 0
        self._budget = header.budget
        try:
            if wav is not None:
                reading = self._writer.reading.fileno()
                self._follower = Follower(
                    self._log, reading, Path(wav), preset, discard=self._discard
                )
        except BaseException:
            self._writer.close()
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

    def discard(self) -> None:
        """Gives up before the first step: no file remains."""
        if self._follower is not None:
            self._follower.close()
        if self._writer is not None:
            self._writer.close()
        self._log.unlink(missing_ok=True)

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
            if self._discard:
                self._log.unlink(missing_ok=True)


def _beside(wav: Path) -> Path:
    """A new file next to the sound, for the steps that it is rendered from."""
    handle, name = tempfile.mkstemp(".jsonl", f"{wav.name}.", wav.parent)
    os.close(handle)
    return Path(name)
