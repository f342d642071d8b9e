"""The lateness of a busy machine, as a control for tests of sound that must be in time."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

_INTERVAL_SECONDS = 0.02  # between two round trips
_BUSY_SHARE = 0.5  # of the time in which some process waits for a core; quiet: under 0.1
_PRESSURE = Path("/proc/pressure/cpu")  # of Linux 4.20, unless its build leaves it out


class Pressure:
    """Measures how often some process waits for a core.

    Attributes:
        busy: Whether processes waited for a core for more than half of the time; False if
            the kernel does not tell.
    """

    def __init__(self) -> None:
        self.busy = False

    def __enter__(self) -> Pressure:
        self._begin, self._before = time.monotonic(), _waited_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        share = (_waited_seconds() - self._before) / (time.monotonic() - self._begin)
        self.busy = share > _BUSY_SHARE


class Lateness:
    """Sends bytes through a chain of idle processes and measures how late they return.

    A live sound passes the trainer, the player, the process of the sound device and the
    sound server. On a quiet machine a round trip through as many processes takes about
    1 ms.

    Args:
        processes: Length of the chain.

    Attributes:
        worst: The longest round trip in seconds, with the lateness of its timer.
    """

    def __init__(self, processes: int = 4) -> None:
        self.worst = 0.0
        self._chain: list[subprocess.Popen[bytes]] = []
        source: int | IO[bytes] = subprocess.PIPE
        for _ in range(processes):
            process = subprocess.Popen(
                ["/bin/cat"], stdin=source, stdout=subprocess.PIPE, bufsize=0
            )
            if self._chain:
                source.close()  # this process has it now
            self._chain.append(process)
            source = process.stdout
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._chain[0].stdin.close()
        for process in self._chain:
            process.wait()
        self._chain[-1].stdout.close()

    def _measure(self) -> None:
        first, last = self._chain[0].stdin, self._chain[-1].stdout
        while not self._ended.is_set():
            start = time.monotonic()
            self._ended.wait(_INTERVAL_SECONDS)
            first.write(b".")
            last.read(1)
            self.worst = max(self.worst, time.monotonic() - start - _INTERVAL_SECONDS)


def _waited_seconds() -> float:
    """Returns how long some process has waited for a core since the machine started."""
    if not _PRESSURE.exists():
        return 0.0
    return int(re.search(r"^some .*total=(\d+)", _PRESSURE.read_text())[1]) / 1e6
