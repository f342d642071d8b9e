"""Names of a run's files: a number keeps older files, and each sound stays with its run.

The files of a run have one stem: run.jsonl, run.wav, run.vtt. When a later run takes that
stem, they become run.1.jsonl, run.1.wav, run.1.vtt: the first number that is free.

Trainings on several machines may take one name at the same instant, and the locks of a
network file system may not show it. So each change of a name is one request that only one
of them gets: a rename to a name that nobody else has, or a hard link, which replaces no
file. (Linux man-pages, open(2), recommends links for that under O_EXCL.)
"""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from gradsound.runs.header_line import FORMAT
from gradsound.runs.rank_file_names import (
    files_of_ranks,
    has_others,
    split_rank,
    training_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

RUN_SUFFIX = ".jsonl"
HEADER_BYTES = 1 << 20  # of a first line, in which the format may be the last key
_FORMAT = f'"{FORMAT}"'.encode()


def numbered(path: Path, number: int) -> Path:
    """Returns run.1.jsonl for run.jsonl and 1; the path itself for 0.

    The number comes before the rank, run.1.rank0.jsonl, so that run.rank*.jsonl are the
    files of one training.
    """
    return _marked(path, str(number)) if number else path


def _marked(path: Path, mark: str) -> Path:
    stem, rank = split_rank(path.stem)
    return path.with_name(f"{stem}.{mark}{rank}{path.suffix}")


def place(source: Path, target: Path) -> bool:
    """Gives a file another name, unless a file has that name; returns whether it did."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        # A network file system may repeat a request whose first answer was lost.
        if not _is_same(source, target):
            return False
    except OSError:  # no hard links, or not to files of others: the folder's lock must do
        if os.path.lexists(target):
            return False
        source.rename(target)
        return True
    source.unlink()
    return True


def _is_same(one: Path, other: Path) -> bool:
    with suppress(FileNotFoundError):  # another training has just renamed it
        return os.path.samestat(one.lstat(), other.lstat())
    return False


def older_files(
    log: Path, sound: Path | None, suffixes: Sequence[str], training: str = ""
) -> list[Path]:
    """Returns the existing files of older runs whose names a new run takes.

    Args:
        log: The run file of the new run.
        sound: Its sound file; None if it has none.
        suffixes: Those of sounds, then that of captions.
        training: As in the header of the new run.
    """
    files: list[Path] = []
    captions = suffixes[-1]
    if log.is_file():
        for run in files_of_ranks(log, training):
            files.append(run)
            files += _sounds_with_captions(run, suffixes) if _has_content(run) else []
    if sound is not None:
        files += [sound, sound.with_suffix(captions)]
        files += _sounds_with_captions(sound, suffixes)
        run = sound.with_suffix(RUN_SUFFIX)
        with suppress(FileNotFoundError):  # another training has just renamed it
            files += [run] if is_run(run) else []
    return [path for path in dict.fromkeys(files) if path.is_file()]


def _has_content(path: Path) -> bool:
    with suppress(FileNotFoundError):  # another training has just renamed it
        return path.stat().st_size > 0
    return False


def _sounds_with_captions(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Returns the sounds of a stem and their captions.

    A sound without captions may be a user's own, such as the data of the training.
    """
    has_captions = path.with_suffix(suffixes[-1]).is_file()
    return _with_suffixes(path, suffixes) if has_captions else []


def keep(files: Sequence[Path], suffixes: Sequence[str]) -> list[tuple[Path, Path]]:
    """Renames files to the first number that is free for all files of their stems.

    It removes empty files, and ignores files that another training has just renamed.

    Args:
        files: Existing files.
        suffixes: As for `older_files`.

    Returns:
        The new and the old path of each file.

    Raises:
        OSError: If a file cannot be renamed; then all have their names again.
    """
    # A name of our own first: only one process gets a file, and the file stays a run file
    # if this process is killed here.
    own = [(_marked(path, os.urandom(8).hex()), path) for path in files]
    taken: list[tuple[Path, Path]] = []
    try:
        for new, old in own:
            with suppress(FileNotFoundError):
                old.rename(new)
                taken.append((new, old))
        return _number(_drop_empty(taken), suffixes)
    except OSError:
        give_back(taken)
        raise


def _drop_empty(renamed: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    empty = [new for new, _ in renamed if not new.lstat().st_size]
    for new in empty:
        new.unlink()
    return [(new, old) for new, old in renamed if new not in empty]


def _number(
    renamed: Sequence[tuple[Path, Path]], suffixes: Sequence[str]
) -> list[tuple[Path, Path]]:
    """Gives renamed files their old names with a number; returns the new and old paths."""
    family = {old for _, old in renamed}
    for path in [*family]:
        family.update(_with_suffixes(path, (*suffixes, RUN_SUFFIX)))
    trainings = {
        (old.with_name(split_rank(old.stem)[0] + old.suffix), training)
        for new, old in renamed
        if (training := training_of(new))
    }
    for number in count(1):
        if any(os.path.lexists(numbered(one, number)) for one in family):
            continue
        if any(has_others(numbered(path, number), one) for path, one in trainings):
            continue
        kept: list[tuple[Path, Path]] = []
        for new, old in renamed:
            if not place(new, numbered(old, number)):
                break
            kept.append((numbered(old, number), old))
        else:
            return kept
        for (new, _), (placed, _) in zip(renamed, kept):
            placed.rename(new)
    raise AssertionError


def give_back(kept: Iterable[tuple[Path, Path]]) -> None:
    """Gives renamed files their names back, the latest first, unless others have them."""
    for new, old in reversed([*kept]):
        with suppress(OSError):
            place(new, old)


def number_of(log: Path, descriptor: int) -> int:
    """Returns the number that a later run gave an open run file; 0 if none did.

    Args:
        log: The path with which it was opened.
        descriptor: The open file.
    """
    stem, rank = map(re.escape, split_rank(log.stem))
    pattern = re.compile(rf"{stem}\.([0-9]+){rank}{re.escape(log.suffix)}")
    own = os.fstat(descriptor)
    with suppress(OSError), os.scandir(log.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match and os.path.samestat(entry.stat(), own):
                return int(match[1])
    return 0


def find_renamed(log: Path, inode: int) -> Path | None:
    """Returns the path of a run file that later runs may have renamed; None if it is gone.

    Args:
        log: The path that it had.
        inode: Its inode number.
    """
    stem, rank = map(glob.escape, split_rank(log.stem))
    for path in (log, *log.parent.glob(f"{stem}.*{rank}{glob.escape(log.suffix)}")):
        with suppress(FileNotFoundError):  # another training has just renamed it
            if path.stat().st_ino == inode:
                return path
    return None


def _with_suffixes(path: Path, suffixes: Sequence[str]) -> list[Path]:
    return [path.with_suffix(suffix) for suffix in suffixes]


def names_format(head: bytes) -> bool:
    """Returns whether a file with this beginning names the run format in its first line."""
    return _FORMAT in head.split(b"\n", 1)[0]


def is_run(path: Path) -> bool:
    """Returns whether a file begins as a run file.

    Raises:
        OSError: If it cannot be read.
    """
    if not path.is_file():  # to open a pipe would wait
        return False
    with path.open("rb") as file:
        return names_format(file.readline(HEADER_BYTES))
