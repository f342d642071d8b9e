"""Names of a run's files: a number keeps older files, and each sound stays with its run.

The files of a run have one stem: run.jsonl, run.wav, run.vtt. When a later run takes that
stem, they become run.1.jsonl, run.1.wav, run.1.vtt: the first number that is free.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from gradsound.runs.json_lines import FORMAT

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

RUN_SUFFIX = ".jsonl"
_HEAD_BYTES = 64  # bytes; the format is the first key of a run file


@contextmanager
def lock_folders(paths: Iterable[Path]) -> Iterator[None]:
    """Keeps other processes and threads from choosing names in the folders of paths.

    Folders that are missing, and network file systems without locks, stay unlocked.
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
    with suppress(OSError):
        if fcntl is not None:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


def numbered(path: Path, number: int) -> Path:
    """Returns run.1.jsonl for run.jsonl and 1; the path itself for 0."""
    return path.with_suffix(f".{number}{path.suffix}") if number else path


def rank_path(path: Path, rank: int) -> Path:
    """Returns the path of a rank's own file: run.jsonl becomes run.rank1.jsonl."""
    return path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def older_files(log: Path, sound: Path | None, suffixes: Sequence[str]) -> list[Path]:
    """Returns the existing files of older runs whose names a new run takes.

    Args:
        log: The run file of the new run.
        sound: Its sound file; None if it has none.
        suffixes: Those of sounds, then that of captions.
    """
    files, captions = [], suffixes[-1]
    if log.is_file() and log.stat().st_size > 0:
        files.append(log)
        files += _sounds_with_captions(log, suffixes)
    if sound is not None:
        files += [sound, sound.with_suffix(captions)]
        files += _sounds_with_captions(sound, suffixes)
        if is_run(run := sound.with_suffix(RUN_SUFFIX)):
            files.append(run)
    return [path for path in dict.fromkeys(files) if path.is_file()]


def _sounds_with_captions(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Returns the sounds of a stem and their captions.

    A sound without captions may be a user's own, such as the data of the training.
    """
    has_captions = path.with_suffix(suffixes[-1]).is_file()
    return _with_suffixes(path, suffixes) if has_captions else []


def keep(files: Sequence[Path], suffixes: Sequence[str]) -> list[tuple[Path, Path]]:
    """Renames files to the first number that is free for all files of their stems.

    Args:
        files: Existing files.
        suffixes: As for `older_files`.

    Returns:
        The new and the old path of each file.
    """
    family = {*files}
    for path in files:
        family.update(_with_suffixes(path, (*suffixes, RUN_SUFFIX)))
    number = next(
        k for k in count(1) if not any(numbered(one, k).exists() for one in family)
    )
    kept: list[tuple[Path, Path]] = []
    try:
        kept.extend((path.rename(numbered(path, number)), path) for path in files)
    except OSError:
        give_back(kept)
        raise
    return kept


def give_back(kept: Iterable[tuple[Path, Path]]) -> None:
    """Gives files that `keep` renamed their names back, unless others have them."""
    for new, old in kept:
        if not old.exists():
            with suppress(OSError):
                new.rename(old)


def number_of(log: Path, descriptor: int) -> int:
    """Returns the number that a later run gave an open run file; 0 if none did.

    Args:
        log: The path with which it was opened.
        descriptor: The open file.
    """
    pattern = re.compile(rf"{re.escape(log.stem)}\.([0-9]+){re.escape(log.suffix)}")
    own = os.fstat(descriptor)
    with suppress(OSError), os.scandir(log.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match and os.path.samestat(entry.stat(), own):
                return int(match[1])
    return 0


def _with_suffixes(path: Path, suffixes: Sequence[str]) -> list[Path]:
    return [path.with_suffix(suffix) for suffix in suffixes]


def is_run(path: Path) -> bool:
    """Returns whether a file begins as a run file.

    Raises:
        OSError: If it cannot be read.
    """
    if not path.is_file():  # to open a pipe would wait
        return False
    with path.open("rb") as file:
        return FORMAT.encode() in file.read(_HEAD_BYTES)
