"""A file that is written beside its place, and gets its name when it is complete."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gradsound.output.formats import part_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a path to write to, which replaces ``path`` at the end of the context.

    After an error, an existing file is as it was, and no part of a new one is left.

    Raises:
        OSError: If the file cannot be written; the error names ``path``.
    """
    part = part_path(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if error.filename not in {None, str(part)}:  # of another file
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:  # also after a signal, which may raise at any line
        with suppress(OSError):
            part.unlink()
