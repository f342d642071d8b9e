"""The spool of a pipe: a temporary file, so that every reader of a log reads a pipe."""

from __future__ import annotations

import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.05  # between polls of the spool for more
_READ_BYTES = 1 << 16  # of the pipe at once, at most


class PipeSpool:
    """A temporary file to which a thread copies a pipe until the pipe ends.

    Args:
        read: Reads up to some number of bytes of the pipe; returns none at its end.

    Attributes:
        path: The file.

    Raises:
        OSError: If the file cannot be made.
    """

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gradsound.")
        self.path = Path(self._folder.name, "log")
        self._complete, self._ended = threading.Event(), False
        threading.Thread(target=self._copy, args=(read,), daemon=True).start()

    def wait_for_more(self) -> bool:
        """Waits a moment; returns whether to read the file again."""
        # The pipe may have ended since the last read: one more read.
        before, self._ended = self._ended, self._complete.wait(_POLL_SECONDS)
        return not before

    def close(self) -> None:
        """Removes the file."""
        self._folder.cleanup()

    def _copy(self, read: Callable[[int], bytes | None]) -> None:
        with suppress(OSError, ValueError), self.path.open("wb", buffering=0) as file:
            while data := read(_READ_BYTES):
                file.write(data)
        self._complete.set()
