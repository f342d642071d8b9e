"""Locks between the trainings of one machine: of folders and of run files.

A network file system may lock a folder for one machine alone, or not at all. So the names
of files are safe without these locks (`gradsound.runs.file_names`); with them, the files of
one run get one number.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator
    from pathlib import Path


# Seconds before each attempt: a process that asks `is_locked` has a lock for an instant.
_PAUSES = 0.0, 0.02, 0.05


@contextmanager
def lock_folders(paths: Iterable[Path]) -> Iterator[None]:
    """Keeps other processes and threads from choosing names in the folders of paths.

    Folders that are missing, and file systems without locks, stay unlocked.
    """
    with ExitStack() as stack:
        # In one order for all processes, so that no two wait for each other.
        for folder in sorted({os.path.realpath(path.parent) for path in paths}):
            with suppress(OSError):
                if fcntl is not None:
                    handle = os.open(folder, os.O_RDONLY)
                    stack.callback(os.close, handle)  # unlocks
                    fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock_file(file: io.FileIO) -> bool:
    """Locks an open file until its close; returns False if another process has the lock."""
    if fcntl is None:
        return True
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:  # a file system without locks
            pass
        return True
    return False


def is_locked(descriptor: int) -> bool:
    """Returns whether a process of this machine has locked a file, to write it.

    Args:
        descriptor: The file, open for reading.
    """
    with suppress(OSError):
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
