"""Whether a run file still grows: by the lock of its writer, or by the time of its change.

A training holds a lock on its run file, which other processes of the machine see. A lock of
another machine may be invisible, on a network file system; there, a file that changed a
short while ago counts as growing.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from gradsound.runs.file_locks import is_locked

_RECENT_SECONDS = 60.0  # longer than network file systems keep the time of a change
_PAUSES = 5  # steps that a training may miss before its file counts as ended
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"nfs|cifs|smb|9p|virtiofs|lustre|gpfs|beegfs|ceph|gluster|afs|ncp|panfs|pvfs|orangefs"
    r"|wekafs|fuse"
)


def is_growing(descriptor: int, pause: float, *, network: bool) -> bool:
    """Returns whether a training still writes a run file.

    Args:
        descriptor: The open file.
        pause: Seconds between its last two steps.
        network: Whether other machines may write it, as `is_network` says.
    """
    if is_locked(descriptor):
        return True
    age = time.time() - os.fstat(descriptor).st_mtime
    return network and age < max(_RECENT_SECONDS, _PAUSES * pause)


@cache
def is_network(device: int) -> bool:
    """Returns whether a file system may be shared with other machines.

    Args:
        device: Number of the file system, as `os.stat` gives it. Systems without a list of
            mounts, such as macOS, have no answer; their locks decide alone.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in _MOUNTS.read_text(errors="replace").splitlines():
            fields, _, kind = line.partition(" - ")
            if fields.split()[2] == number:
                return _NETWORK.match(kind) is not None
    return False
