"""The end of a run that grows: its training writes the run file no more."""

from __future__ import annotations

import os
import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.runs.file_names import is_run
from gradsound.runs.growth import is_growing, is_network

if TYPE_CHECKING:
    from gradsound.live.run_source import RunSource

_CHECK_SECONDS = 0.5  # between checks, each of which locks the file for an instant
# Between steps; a network file system may hide the lock of a training, and then a file that
# did not change for five such pauses has ended: longer than most evaluations.
_PAUSE_SECONDS = 180.0


class TrainingEnd:
    """Closes a source when its training has ended and all that it wrote has been read.

    The log of another tool does not tell whether it grows, so its source stays open.

    Args:
        source: The source of a run that has begun, in a file.
    """

    def __init__(self, source: RunSource) -> None:
        self._source, self._is_over = source, False
        self._next_check, self._is_network = inf, False
        path = Path(source.name)
        if path.is_file() and is_run(path):
            self._next_check = 0.0
            self._is_network = is_network(os.fstat(source.fileno()).st_dev)

    def check(self) -> None:
        """Looks for the end; for `RunSource.on_idle`, so all data so far has been read."""
        if self._is_over:  # since the check before, the last data has been read
            self._source.close()
        elif time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + _CHECK_SECONDS
            self._is_over = not is_growing(
                self._source.fileno(), _PAUSE_SECONDS, network=self._is_network
            )
