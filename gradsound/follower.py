"""The sound process: renders a run file while it grows, beside the training.

The two ends of one pipe. The trainer's end starts the process and writes one line, what to
do; whatever follows, and be it only the end of the pipe, means that the run is over. A
trainer that is killed therefore still leaves a finished sound file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, Any, cast

from gradsound.errors import show_plainly
from gradsound.music.preset import from_data, to_data
from gradsound.out.sound_file import write_sound
from gradsound.rendering import sound
from gradsound.run_file import lines, parse

if TYPE_CHECKING:
    from gradsound.music.preset import Preset

SAMPLE_RATE = 44_100  # Hz; a finished run can be rendered at any other
_LOOK = 0.1  # seconds between looks at the file; a file is not heard before it is whole
_NICE = 19  # training comes first
# The trainer's folder must not shadow the standard library (a user's wave.py would), so it
# leaves the path; the package's own folder comes last.
_START = (
    "import sys; sys.path[:1] = [] if sys.path[:1] == [''] else sys.path[:1]; "
    "sys.path.append(sys.argv[1]); from gradsound.follower import main; main()"
)


class Follower:
    """The trainer's end.

    Args:
        run: The run file, its header written, and open for reading from its start. It is
            given to the process open, so it may be renamed meanwhile.
        path: The sound file to write.
        preset: How steps sound.
        discard: Whether to remove the run file once it has been rendered.

    Raises:
        OSError: If the process cannot be started.
    """

    def __init__(
        self, run: Path, reading: int, path: Path, preset: Preset, *, discard: bool
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own code, no shell)
            [sys.executable, "-c", _START, str(Path(__file__).parent.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the trainer alone
            pass_fds=[reading],
        )
        job = {
            "run": str(run.absolute()),
            "reading": reading,
            "path": str(path.absolute()),
            "preset": to_data(preset),
            "discard": discard,
            "trainer": os.getpid(),
        }
        self._stdin = cast("IO[bytes]", self._process.stdin)  # both are pipes
        self._stderr = cast("IO[bytes]", self._process.stderr)
        with suppress(BrokenPipeError):  # it cannot run; close() says why
            self._stdin.write(json.dumps(job).encode() + b"\n")

    def close(self) -> str:
        """Waits until the sound file is whole; returns what went wrong, or nothing."""
        with self._stdin, suppress(BrokenPipeError):  # it ended early, and says why
            self._stdin.write(b"\n")  # a forked worker may keep the pipe open
        with self._stderr:
            said = self._stderr.read().decode(errors="replace").strip()
        status = self._process.wait()
        return said or (f"the sound process ended with status {status}" if status else "")


def main() -> None:
    """The sound process's end; says in one line what went wrong."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    show_plainly()
    try:
        with open(0, "rb", buffering=0, closefd=False) as stdin:
            _follow(json.loads(stdin.readline()))
    except (OSError, ValueError, ImportError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def _follow(job: dict[str, Any]) -> None:
    trainer = _Trainer(job["trainer"])
    with open(job["reading"], "rb") as file:  # noqa: PTH123 (a descriptor, no path)
        run = parse(job["run"], lines(file, trainer.may_write))
        blocks = sound(run, from_data(job["preset"]), 1.0, SAMPLE_RATE)
        write_sound(Path(job["path"]), blocks, SAMPLE_RATE)
    if job["discard"]:
        Path(job["run"]).unlink()


class _Trainer:
    """Whether the trainer may still write to the run file."""

    def __init__(self, pid: int) -> None:
        self._pid, self._over = pid, False
        self._said = Event()
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        os.read(0, 1)  # unbuffered, so that the process may end meanwhile
        self._said.set()

    def may_write(self) -> bool:
        """Waits a moment for more; when the run is over, True once more, then False."""
        if self._over:
            return False
        # A worker that the trainer forked may hold the pipe open when the trainer is dead.
        self._over = self._said.wait(_LOOK) or os.getppid() != self._pid
        return True
