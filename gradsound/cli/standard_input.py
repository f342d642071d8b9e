"""Standard input as a file, for the commands that read a finished run several times."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "standard input"  # in messages
_READ_BYTES = 1 << 20  # at once


def is_stdin(path: Path | None) -> bool:
    """Returns whether a path on the command line stands for standard input."""
    return str(path) == "-"


@contextmanager
def save_stdin() -> Iterator[Path]:
    """Copies standard input to a temporary file, which is removed at the end.

    Raises:
        OSError: If standard input cannot be read, or the file cannot be written.
    """
    import tempfile  # takes 2 ms to load, and few commands read standard input

    with tempfile.TemporaryDirectory(prefix="gradsound.") as folder:
        path = Path(folder, "run")
        try:
            with path.open("wb") as file:
                file.writelines(_read_stdin())
        except OSError as error:  # that of a full disk names no file
            name = error.filename or str(path)
            raise OSError(error.errno, error.strerror, name) from error
        yield path


def _read_stdin() -> Iterator[bytes]:
    try:
        # Not sys.stdin: a shell may have closed it.
        with open(0, "rb", closefd=False) as source:
            yield from iter(partial(source.read, _READ_BYTES), b"")
    except OSError as error:
        raise OSError(error.errno, error.strerror, NAME) from error
