"""A run file that is open for writing: a new one, or one in which a training goes on.

A new file gets its name once it has its header. So nobody sees it without its header, no
two trainings write one file, and its readers have it open before a later run can take its
name.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.runs.file_locks import lock_file
from gradsound.runs.file_names import give_back, keep, number_of, numbered, place
from gradsound.runs.resume_point import find_resume_point

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gradsound.runs.model import Header
    from gradsound.runs.resume_point import ResumePoint

_DRAFT_SUFFIX = ".part"  # of a file that has no name yet


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A run file that this process has locked.

    Attributes:
        file: The file, to read and to write.
        readers: The same file, opened once for each reader, at its start.
        kept: New and old paths of the older files that had its name.
    """

    file: io.FileIO
    readers: list[io.FileIO]
    kept: list[tuple[Path, Path]]


def make_file(
    path: Path,
    content: bytes,
    find_older: Callable[[], Sequence[Path]],
    suffixes: Sequence[str],
    readers: int = 0,
) -> OpenedFile:
    """Makes a run file, and gives a number to the older files of its name.

    Args:
        path: Its path; a device is opened, and keeps its name.
        content: Its first bytes.
        find_older: Returns the older files, such as `older_files`.
        suffixes: As for `older_files`.
        readers: How many processes read the file while it grows.

    Raises:
        OSError: If the file cannot be made or written; then nothing has changed.
    """
    if _is_no_file(path):
        return _write(path, path.open("w+b", buffering=0), content, readers)
    draft = path.with_name(f"gradsound.{os.urandom(8).hex()}{_DRAFT_SUFFIX}")
    try:
        new = _write(draft, draft.open("x+b", buffering=0), content, readers)
        try:
            new.kept.extend(take_name(draft, path, find_older, suffixes))
        except OSError:
            _close(new)
            raise
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return new


def open_to_resume(
    path: Path, header: Header, start_step: int | None, readers: int
) -> tuple[OpenedFile, ResumePoint]:
    """Opens a run file in which a training goes on, and finds the place.

    Arguments and errors are those of `find_resume_point`, and of `make_file`.

    Raises:
        ValueError: Also if another process writes the file.
    """
    opened = OpenedFile(path.open("r+b", buffering=0), [], [])
    try:
        if not lock_file(opened.file):
            raise ValueError(
                f"{path}: another training writes it, so this one cannot go on in it: end "
                "the other one, or give another log"
            )
        opened.readers.extend(path.open("rb", buffering=0) for _ in range(readers))
        return opened, find_resume_point(path, header, start_step)
    except (OSError, ValueError):
        _close(opened)
        raise


@contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Names the run file, not its draft, in errors of the file system."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def find_path(path: Path, file: io.FileIO) -> Path | None:
    """Returns the present path of an open run file; None for a device or a removed file.

    Args:
        path: The path with which it was opened; a later run may have renamed it.
        file: The open file.
    """
    with suppress(OSError):
        path = numbered(path, number_of(path, file.fileno()))
        if path.is_file() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return path
    return None


def _write(path: Path, file: io.FileIO, content: bytes, readers: int) -> OpenedFile:
    new = OpenedFile(file, [], [])
    try:
        lock_file(file)
        new.readers.extend(path.open("rb", buffering=0) for _ in range(readers))
        while content:  # one call may write a part only
            content = content[file.write(content) :]
    except OSError:
        _close(new)
        raise
    return new


def _close(new: OpenedFile) -> None:
    for file in (new.file, *new.readers):
        file.close()


def take_name(
    draft: Path,
    log: Path,
    find_older: Callable[[], Sequence[Path]],
    suffixes: Sequence[str],
) -> list[tuple[Path, Path]]:
    """Gives a draft the name of a run file, and the older files of that name a number.

    Args:
        draft: The new run file, which has its header.
        log: Its name.
        find_older: Returns the older files, such as `older_files`.
        suffixes: As for `older_files`.

    Returns:
        As `keep`.

    Raises:
        OSError: If a file cannot be renamed, or the name is that of a folder.
    """
    kept: list[tuple[Path, Path]] = []
    try:
        while True:  # once more whenever another training has just taken the name
            kept += keep(find_older(), suffixes)
            if place(draft, log):
                return kept
            if _is_no_file(log):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(log))
    except OSError:
        give_back(kept)
        raise


def _is_no_file(path: Path) -> bool:
    """Returns whether a name is that of a folder, a device or a link that leads nowhere."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return path.is_symlink()
