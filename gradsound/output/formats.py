"""Formats of sound files: endings, subtypes, and whether a file can be made there."""

from __future__ import annotations

import errno
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# By the file's ending: libsndfile's format, and the subtypes offered, the default first.
FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    ".wav": ("WAV", ("PCM_16", "PCM_24", "FLOAT")),
    ".flac": ("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": ("OGG", ("VORBIS",)),
}


def check_path(path: Path, subtype: str | None = None) -> str:
    """Returns the subtype to write ``path`` with, once it can be written.

    Raises:
        ValueError: If the ending is not that of a format offered, or the format has no
            such subtype.
        OSError: If no file can be made there.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: a sound file ends in {', '.join(FORMATS)}")
    name, subtypes = FORMATS[path.suffix.lower()]
    if subtype is not None and subtype not in subtypes:
        raise ValueError(f"{name} has subtype {', '.join(subtypes)}, got {subtype!r}")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    part = part_of(path)
    try:
        part.touch()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:  # also if a signal ends us in between
        with suppress(OSError):
            part.unlink()
    return subtype or subtypes[0]


def part_of(path: Path) -> Path:
    """A name beside ``path`` that no other writer of it has."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
