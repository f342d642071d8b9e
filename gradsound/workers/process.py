"""Processes of our own beside the training: how they begin, and what they are told.

The two ends of one pipe. The trainer's end starts the process and writes one line, its job;
more lines may follow, and ``end``, or the end of the pipe, means that the run is over. A
trainer that is killed therefore still leaves a finished sound file, and no process behind.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from gradsound.errors import WARNS, show_plainly, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.music.captions import Caption

# The trainer's folder must not shadow the standard library (a user's wave.py would), so it
# leaves the path; the package's own folder comes last.
_START = (
    "import sys; sys.path[:1] = [] if sys.path[:1] == [''] else sys.path[:1]; "
    "sys.path.append(sys.argv[1]); from gradsound.workers.{} import main; main()"
)
# How captions begin that a process prints: of an alarm, and others.
_ALARM, _CAPTION = "gradsound! ", "gradsound. "
_SAID = 1  # the exit status of a process that has said why
_log = logging.getLogger("gradsound")
_POLL_SECONDS = 0.1  # seconds between looks at a file of which nobody tells that it grew
_MOST = 1 << 16  # bytes read in one go


class WorkerProcess:
    """The trainer's end.

    Args:
        module: The module of this package whose ``main`` the process runs.
        job: What it is to do, fit for JSON.
        reading: A descriptor that it is given open, so that a file may be renamed.
        more: Further ones that it is given.

    Raises:
        OSError: If the process cannot be started.
    """

    def __init__(self, module: str, job: dict[str, Any], reading: int, *more: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own code, no shell)
            [sys.executable, "-c", _START.format(module), str(Path(__file__).parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the trainer alone
            pass_fds=[reading, *more],
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)  # both are pipes
        self._stderr = cast("IO[bytes]", self._process.stderr)
        line = json.dumps({**job, "reading": reading, "trainer": os.getpid()})
        with suppress(BrokenPipeError):  # it cannot run; close() says why
            self._stdin.write(line.encode() + b"\n")
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stderr.fileno(), False)

    def tell(self, line: str = "") -> bool:
        """Tells it something without ever waiting; returns whether it went."""
        try:  # so short a line goes whole or not at all, which is None
            return self._stdin.write(line.encode() + b"\n") is not None
        except BrokenPipeError:
            return False

    def said(self) -> str:
        """What went wrong since the last call; does not wait.

        Warnings are passed on, and captions logged.
        """
        return self._words() or self._end()

    def _words(self) -> str:
        wrong = []
        for line in (self._stderr.read() or b"").decode(errors="replace").splitlines():
            if line.startswith(WARNS):
                warn(line.removeprefix(WARNS))
            elif line.startswith(_ALARM):
                _log.warning(line.removeprefix(_ALARM))
            elif line.startswith(_CAPTION):
                _log.info(line.removeprefix(_CAPTION))
            else:
                wrong.append(line)
        return "\n".join(wrong).strip()

    def _end(self) -> str:
        """How it ended, if badly and without a word."""
        status = self.status()
        if status in (None, 0, _SAID):
            return ""
        return f"the sound process ended with status {status}"

    def status(self) -> int | None:
        """Its exit status if it has ended."""
        return self._process.poll()

    def close(self, seconds: float | None = None) -> str:
        """Ends it; returns what went wrong since `said` was called, or nothing.

        Args:
            seconds: How long to wait for its end before it is killed; as long as it takes
                if None.
        """
        with self._stdin:
            self.tell("end")  # a forked worker may keep the pipe open
        with self._stderr:
            if seconds is None:
                os.set_blocking(self._stderr.fileno(), True)
            else:
                try:
                    self._process.wait(seconds)
                except subprocess.TimeoutExpired:  # a frozen sound server, or it is stopped
                    self._process.kill()
                    self._process.wait()
                    return self._words()
            said = self._words()
        self._process.wait()
        return said or self._end()


class ParentLink:
    """The process's end: what the trainer says.

    Args:
        pid: The trainer's.
        told: Called with every line but the job, ``end`` and empty ones.
    """

    def __init__(self, pid: int, told: Callable[[str], None] | None = None) -> None:
        self._pid, self._told, self._over, self._line = pid, told, False, b""

    def may_write(self) -> bool:
        """Waits a moment for more; when the run is over, True once more, then False."""
        if self._over:
            return False
        if select.select([0], [], [], _POLL_SECONDS)[0]:
            more = os.read(0, _MOST)
            *lines, self._line = (self._line + more).split(b"\n")
            self._over = not more or b"end" in lines
            for line in lines:
                if line not in (b"", b"end") and self._told is not None:
                    self._told(line.decode())
        # A worker that the trainer forked may hold the pipe open when the trainer is dead.
        self._over |= os.getppid() != self._pid
        return True


def serve(work: Callable[[dict[str, Any]], None]) -> None:
    """Does the job that the trainer gave; says in one line what went wrong."""
    show_plainly()
    try:
        with open(0, "rb", buffering=0, closefd=False) as stdin:
            line = stdin.readline()
        work(json.loads(line))
    except (OSError, ValueError, ImportError, MemoryError) as error:
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        sys.exit(_SAID)


def tell(caption: Caption) -> None:
    """Tells the trainer of a caption, which logs it."""
    say(f"{_ALARM if caption.warns else _CAPTION}{caption}")


def say(line: str) -> None:
    """Says something to the trainer, if there still is one."""
    with suppress(BrokenPipeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
