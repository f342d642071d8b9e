"""The spool of a pipe: a temporary file, which several readers may read while it grows."""

from __future__ import annotations

import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import io
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
        self.path = Path(self._folder.name, "spool")
        self._complete = threading.Event()
        self._failure: OSError | None = None  # of the thread
        file = self.path.open("wb", buffering=0)  # now, so that no reader misses it
        threading.Thread(target=self._copy, args=(read, file), daemon=True).start()

    def make_wait(self) -> Callable[[], bool]:
        """Returns a function for one reader, to call at the end of what is there.

        It waits a moment, and returns whether to read the file again. It raises OSError if
        the pipe cannot be read, or the file cannot be written.
        """
        ended = False

        def wait_for_more() -> bool:
            nonlocal ended
            # The pipe may have ended since the last read: one more read.
            before, ended = ended, self._complete.wait(_POLL_SECONDS)
            if before and self._failure is not None:
                raise self._failure
            return not before

        return wait_for_more

    def close(self) -> None:
        """Removes the file."""
        self._folder.cleanup()

    def _copy(self, read: Callable[[int], bytes | None], file: io.FileIO) -> None:
        try:
            with file, suppress(ValueError):  # another thread has closed the pipe
                while data := read(_READ_BYTES):
                    file.write(data)
        except OSError as error:
            self._failure = error
        self._complete.set()
