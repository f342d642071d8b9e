"""Formats of sound files: suffixes, subtypes, and the check that a path can be written."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# By suffix: libsndfile's format and its subtypes on offer, the default first.
FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    ".wav": ("WAV", ("PCM_16", "PCM_24", "FLOAT")),
    ".flac": ("FLAC", ("PCM_16", "PCM_24")),
    ".ogg": ("OGG", ("VORBIS",)),
}
# What else `gradsound.render` writes, by the ending of the file's name.
OTHER_ENDINGS: Mapping[str, str] = {
    ".vtt": "captions alone",
    ".labels.txt": "labels of Audacity",
}


def find_ending(path: Path, endings: Iterable[str]) -> str | None:
    """Returns the ending, in any case, that a file's name has after its stem; else None."""
    name = path.name.lower()
    return next((one for one in endings if name.endswith(one) and name != one), None)


def check_path(
    path: Path, subtype: str | None = None, *, others: Mapping[str, str] | None = None
) -> str:
    """Checks that a sound file can be written, and returns its subtype.

    Args:
        path: Path of the sound file.
        subtype: Subtype by libsndfile's name; the default of the format if None.
        others: What the caller writes beside sound files, by ending, for the message.

    Raises:
        ValueError: If no format has the suffix of the path, or the format has no such
            subtype.
        OSError: If the path is a folder, or no file can be made there.
    """
    if path.suffix.lower() not in FORMATS:
        rest = "".join(
            f"; {ending} is for {what}" for ending, what in (others or {}).items()
        )
        raise ValueError(f"{path}: a sound file ends in {', '.join(FORMATS)}{rest}")
    name, subtypes = FORMATS[path.suffix.lower()]
    if subtype is not None and subtype not in subtypes:
        raise ValueError(f"{name} has subtype {', '.join(subtypes)}, got {subtype!r}")
    check_folder(path)
    return subtype or subtypes[0]


def check_folder(path: Path) -> None:
    """Checks that a file can be made at a path, and leaves an existing one as it is.

    Raises:
        OSError: If the path is a folder, or no file can be made there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    part = part_path(path)
    try:
        part.touch()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:  # also after a signal, which may raise at any line
        with suppress(OSError):
            part.unlink()


def part_path(path: Path) -> Path:
    """Returns a path in the folder of ``path`` that no other writer uses."""
    return path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
