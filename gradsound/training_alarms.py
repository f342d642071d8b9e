"""The alarms of a training, found in its own process.

Detection costs nothing until somebody asks. Then a look reads the steps so far from the
run file. From there on, new steps wait for the next look, or until there are enough for a
block: a step in a block takes a fraction of the time that it takes alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from gradsound.alarms.run_detector import RunDetector
from gradsound.errors import warn, without_warnings
from gradsound.runs.file_names import find_renamed
from gradsound.runs.run_file import read_run_file
from gradsound.runs.step_block import concatenate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gradsound.alarm_listener import AlarmListener
    from gradsound.alarms.thresholds import Alarm, Thresholds
    from gradsound.runs.model import Header
    from gradsound.runs.restarts import TimeShift
    from gradsound.runs.step_block import StepBlock

    Place = tuple[Path, int]  # path and inode number of a run file

_BLOCK_STEPS = 256  # that wait at most; the norms of a thousand layers take 1 MB
_PATIENCE_SECONDS = 0.5  # for a look in another thread, which may read a long run file


class TrainingAlarms:
    """Finds the alarms of a training.

    Args:
        header: Header of the run.
        thresholds: Limits of the alarms.
        time_shift: Moves the times of steps to those that they have in the run.
        find_file: Returns the place of the run file; None if the training keeps none. Then
            the steps wait from the first one on.
        listener: Hears of each alarm that is found from now on; with one, each emission of
            steps looks at once. None for nobody.
    """

    def __init__(
        self,
        header: Header,
        thresholds: Thresholds,
        time_shift: TimeShift,
        find_file: Callable[[], Place | None],
        listener: AlarmListener | None = None,
    ) -> None:
        self._time_shift, self._find_file = time_shift, find_file
        self._detector = RunDetector(header, thresholds)
        self._found: list[Alarm] = []
        self._waiting: deque[StepBlock] | None = None  # None before the first look
        self._added = 0  # steps since the last look of the training
        self._number = -1  # of the last step that was looked at
        self._arrival = inf  # of the last step, in seconds of time.monotonic()
        self._lock = threading.Lock()  # a user may look in any thread
        self._has_failed = False
        self._listener: AlarmListener | None = None
        if listener is not None or find_file() is None:
            self._look()
        self._listener = listener  # it heard of earlier alarms when they were found

    def add(self, block: StepBlock) -> None:
        """Adds the steps that follow. Never raises, and never waits for another thread."""
        self._arrival = time.monotonic()
        if self._waiting is None or self._has_failed:
            return
        self._waiting.append(self._time_shift.apply_to(block))
        self._added += len(block)
        if self._listener is not None or self._added >= _BLOCK_STEPS:
            self._added = 0
            self._look(patience=0)

    def look(self) -> tuple[Alarm, ...]:
        """Returns the alarms so far, with a stall if the next step is late."""
        self._look(stall=True)
        return tuple(self._found)

    def end(self) -> None:
        """Expects no further step."""
        self._arrival = inf

    def _look(self, patience: float = _PATIENCE_SECONDS, *, stall: bool = False) -> None:
        """Finds the alarms of the steps so far, unless another thread does so."""
        if self._has_failed or not self._lock.acquire(timeout=patience):
            return
        try:
            if self._waiting is None:
                self._waiting = deque()  # before the file is read, so that no step is lost
                self._read_file()
            self._detect_waiting(self._waiting)
            late = time.monotonic() - self._arrival
            if stall and (alarm := self._detector.detect_stall(late)) is not None:
                self._keep([alarm])
        except Exception as error:  # noqa: BLE001 (training must go on after any error)
            self._has_failed = True
            warn(f"an error ended the search for alarms, training goes on: {error!r}")
        finally:
            self._lock.release()

    def _read_file(self) -> None:
        """Finds the alarms of the steps that the run file has."""
        if (place := self._find_file()) is None:
            return
        try:
            for block in _read_blocks(place):
                self._detect(block)
        except (OSError, ValueError) as error:
            warn(f"{error}; so the alarms of earlier steps are unknown")

    def _detect_waiting(self, waiting: deque[StepBlock]) -> None:
        while waiting:
            block = concatenate([waiting.popleft() for _ in range(len(waiting))])
            # The file had some of them already, if they came while it was read.
            new = block.numbers > self._number
            if new.any():
                self._detect(block.take(new))

    def _detect(self, block: StepBlock) -> None:
        self._keep([*chain.from_iterable(self._detector.detect(block))])
        self._number = int(block.numbers[-1])

    def _keep(self, alarms: Sequence[Alarm]) -> None:
        self._found += alarms
        if self._listener is not None:
            self._listener.add(alarms)


def _read_blocks(place: Place) -> Iterator[StepBlock]:
    """Yields the steps of a run file that may grow, and may have another name by now.

    Raises:
        OSError, RunFormatError: If it cannot be read.
    """
    if (path := find_renamed(*place)) is None:
        raise FileNotFoundError(f"{place[0]}: the file no longer exists")
    with without_warnings():  # of a line that is being written
        yield from read_run_file(path, str(path)).blocks()
