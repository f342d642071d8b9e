"""A worker process and the pipe between it and the trainer: both ends.

The trainer's end starts the process and writes one line of JSON, its job. More lines may
follow. The line ``end``, or the end of the pipe, says that the run is over. So a killed
trainer still leaves a finished sound file, and no process behind.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from gradsound.errors import print_warnings_plainly
from gradsound.workers.caption_log import pass_on

if TYPE_CHECKING:
    from collections.abc import Callable

# The trainer's folder must not shadow the standard library (a user's wave.py would), so it
# leaves the path. The package's own folder comes last.
_BOOTSTRAP = (
    "import sys; sys.path[:1] = [] if sys.path[:1] == [''] else sys.path[:1]; "
    "sys.path.append(sys.argv[1]); from gradsound.workers.{} import main; main()"
)
_REPORTED_STATUS = 1  # exit status of a worker that wrote its error to stderr
_POLL_SECONDS = 0.1  # longest wait for a message; the file may grow without one
_READ_BYTES_MAX = 1 << 16  # bytes; the capacity of a pipe


class WorkerProcess:
    """The trainer's end of the pipe.

    Args:
        module: The module of ``gradsound.workers`` whose ``main`` the process runs.
        job: What the process needs to know, fit for JSON.
        run_descriptor: Descriptor of the open run file; it stays valid if a user renames
            the file.
        descriptors: Other descriptors that the process inherits.

    Raises:
        OSError: If the process cannot start.
    """

    def __init__(
        self, module: str, job: dict[str, Any], run_descriptor: int, *descriptors: int
    ) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own code, no shell)
            [
                sys.executable,
                "-c",
                _BOOTSTRAP.format(module),
                str(Path(__file__).parents[2]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the trainer alone
            # A thread of OpenBLAS for each processor would take time to start, for nothing.
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
            pass_fds=[run_descriptor, *descriptors],
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)  # both are pipes
        self._stderr = cast("IO[bytes]", self._process.stderr)
        links = {"run_descriptor": run_descriptor, "parent": os.getpid()}
        with suppress(BrokenPipeError):  # the process died; close() returns the reason
            self._stdin.write(json.dumps({**job, **links}).encode() + b"\n")
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stderr.fileno(), False)

    def send(self, line: str = "") -> bool:
        """Sends a line without waiting; returns whether the pipe took it."""
        try:  # a pipe takes so short a line whole, or returns None
            return self._stdin.write(line.encode() + b"\n") is not None
        except BrokenPipeError:
            return False

    def poll_messages(self) -> str:
        """Returns the errors since the last call, without waiting.

        Passes the worker's warnings on and logs its captions.
        """
        return self._read_messages() or self._silent_exit()

    def _read_messages(self) -> str:
        return pass_on((self._stderr.read() or b"").decode(errors="replace"))

    def _silent_exit(self) -> str:
        """Returns an error if the process failed and wrote none itself."""
        status = self.exit_status()
        if status in (None, 0, _REPORTED_STATUS):
            return ""
        return f"the sound process ended with status {status}"

    def exit_status(self) -> int | None:
        """Returns the exit status of the process, or None while it runs."""
        return self._process.poll()

    def close(self, seconds: float | None = None) -> str:
        """Ends the process; returns the errors since `poll_messages`.

        Args:
            seconds: How long to wait for its end before killing it; without limit if None.
        """
        with self._stdin:
            self.send("end")  # a forked worker may keep the pipe open
        with self._stderr:
            if seconds is None:
                os.set_blocking(self._stderr.fileno(), True)
            else:
                try:
                    self._process.wait(seconds)
                except subprocess.TimeoutExpired:  # the sound server or the process hangs
                    self._process.kill()
                    self._process.wait()
                    return self._read_messages()
            errors = self._read_messages()
        self._process.wait()
        return errors or self._silent_exit()


class ParentLink:
    """The worker's end of the pipe.

    Args:
        parent: The trainer's process number.
        on_line: Called with each line except the job, ``end`` and empty lines.
    """

    def __init__(self, parent: int, on_line: Callable[[str], None] | None = None) -> None:
        self._parent, self._on_line = parent, on_line
        self._run_over, self._partial_line = False, b""

    def poll(self, spare_seconds: Callable[[], float] = lambda: 0.0) -> bool:
        """Waits for messages, up to 0.1 s; returns whether to read the run file again.

        Once the run is over it returns True one last time, then False: the trainer may have
        written steps before the message.

        Args:
            spare_seconds: Returns for how long no further step is needed. A wake-up for
                each step that arrives in that time would cost training time.
        """
        if self._run_over:
            return False
        woken = False
        while not self._run_over and (spare := spare_seconds()) > 0:
            time.sleep(min(spare, _POLL_SECONDS))
            woken |= self._receive(0.0)
        if not woken:
            self._receive(_POLL_SECONDS)
        return True

    def _receive(self, seconds: float) -> bool:
        """Waits for messages and handles them; returns whether any came in time."""
        has_messages = bool(select.select([0], [], [], seconds)[0])
        if has_messages:
            received = os.read(0, _READ_BYTES_MAX)
            *lines, self._partial_line = (self._partial_line + received).split(b"\n")
            self._run_over = not received or b"end" in lines
            for line in lines:
                if line not in (b"", b"end") and self._on_line is not None:
                    self._on_line(line.decode())
        # A process that the trainer forked may keep the pipe open after the trainer died.
        self._run_over |= os.getppid() != self._parent
        return has_messages


def run_job(work: Callable[[dict[str, Any]], None]) -> None:
    """Reads the job from stdin and does it; writes an error to stderr as one line."""
    print_warnings_plainly()
    try:
        with open(0, "rb", buffering=0, closefd=False) as stdin:
            line = stdin.readline()
        work(json.loads(line))
    except (OSError, ValueError, ImportError, MemoryError) as error:
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        sys.exit(_REPORTED_STATUS)
