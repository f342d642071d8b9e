"""The cache of machine code: a voice is compiled once, and then read by each process.

A file of the user's cache folder has an object file that LLVM made. Its name is the digest
of all that the code depends on. It begins with a digest of its contents, because LLVM ends
the process if it loads a damaged object file.

Who can write there can run code as the user. So the folder is used only if it belongs to
the user, and nobody else may write to it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

_DIGEST_BYTES = sha256().digest_size
_FILES_MAX = 256  # of 3 KB for a kernel, to 100 KB for those of a page; the oldest go


def make_key(*parts: object) -> str:
    """Returns the key of an object file, of all that the code depends on."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()


def read_code(key: str) -> bytes | None:
    """Returns the object file of a key; None if the cache has no whole one."""
    folder = _find_folder()
    if folder is None:
        return None
    try:
        data = (folder / key).read_bytes()
    except OSError:
        return None
    digest, code = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return code if sha256(code).digest() == digest else None


def write_code(key: str, code: bytes) -> None:
    """Keeps the object file of a key, if that is possible; no error leaves here."""
    folder = _find_folder()
    if folder is None:
        return
    part = folder / f"{key}.{os.urandom(4).hex()}.part"
    with suppress(OSError):
        try:
            part.write_bytes(sha256(code).digest() + code)
            part.replace(folder / key)  # so that no process reads a part of it
        finally:
            part.unlink(missing_ok=True)
        files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in files[:-_FILES_MAX]:
            file.unlink(missing_ok=True)


def _find_folder() -> Path | None:
    """Makes the folder; returns None if there can be none, or others may write to it."""
    if not hasattr(os, "getuid"):  # not a POSIX system: its files have no such owners
        return None
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        folder = (base if base.is_absolute() else Path.home() / ".cache") / "gradsound"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except (OSError, RuntimeError):  # there may be no home
        return None
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return folder if is_ours and not status.st_mode & 0o022 else None
