"""Reads a file in a zip file, and says when the zip file is damaged."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What zipfile raises when a zip file is damaged, or of a kind that it does not read.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(KeyError, ValueError, IndexError),
)


def read_names(path: Path) -> set[str]:
    """Returns the names of the files in a zip file.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the zip file is damaged.
    """
    with _about_damage(path), zipfile.ZipFile(path) as archive:
        return {*archive.namelist()}


def read_member(path: Path, name: str, size: int) -> Iterator[bytes]:
    """Yields the content of a file in parts of up to ``size`` bytes.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the zip file is damaged.
    """
    with _about_damage(path), zipfile.ZipFile(path) as archive, archive.open(name) as file:
        while data := file.read(size):
            yield data


@contextmanager
def _about_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise RunFormatError(f"{path}: is a damaged zip file") from error
