"""The runs in a folder: run files, ranks of one training, logs of other tools.

A listing reads the first and the last lines of each run file. A later one reads only those
of files that have changed.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradsound.errors import MissingExtraError, RunFormatError
from gradsound.logs.log_folders import find_in_folder
from gradsound.runs.compressed_file import (
    COMPRESSED_SUFFIXES,
    is_compressed,
    open_file,
    without_compression,
)
from gradsound.runs.file_names import RUN_SUFFIX, is_run
from gradsound.runs.growth import is_growing, is_network
from gradsound.runs.listed_run import ListedRun
from gradsound.runs.rank_file_names import split_rank
from gradsound.runs.run_facts import read_facts, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.log import Log
    from gradsound.runs.run_facts import RunFacts

_SUFFIXES = tuple(f"{RUN_SUFFIX}{suffix}" for suffix in ("", *COMPRESSED_SUFFIXES))
_DEPTH_MAX = 8  # levels of folders: PROJECT/SWEEP/TRIAL and the like have three
_ENTRIES_MAX = 1_000_000  # files and folders; a larger tree is no folder of runs


@dataclass(frozen=True, slots=True)
class _RunFile:
    """A run file as the last listing found it; facts are None if it is none.

    Attributes:
        status: Its status at that time.
        facts: What its first and last lines say.
        growing: Whether a training wrote it.
        error: Why it could not be read; empty if it could.
    """

    status: os.stat_result
    facts: RunFacts | None
    growing: bool = False
    error: str = ""


@dataclass(slots=True)
class RunFolder:
    """A folder with runs.

    Attributes:
        path: The folder.
        errors: Files and folders that the last listing could not read, and why.
    """

    path: Path
    errors: dict[str, str] = field(default_factory=dict)
    _files: dict[Path, _RunFile] = field(default_factory=dict)

    def list_runs(self) -> list[ListedRun]:
        """Returns the runs in the folder and the folders below it, the newest first.

        It follows links to folders, each folder once, and skips hidden ones.

        Raises:
            OSError: If the folder cannot be read.
        """
        if not self.path.is_dir():
            code = errno.ENOTDIR if self.path.exists() else errno.ENOENT
            raise OSError(code, os.strerror(code), str(self.path))
        self.errors = {}
        found: dict[Path, os.stat_result] = {}
        runs: list[ListedRun] = []
        for folder, entries, logs in self._walk():
            for entry in entries:
                if entry.name.endswith(_SUFFIXES) and _is_file(entry):
                    with suppress(FileNotFoundError):  # a new run has just taken its name
                        found[folder / entry.name] = entry.stat()
            for log in logs:
                with suppress(FileNotFoundError):  # its tool has just replaced it
                    runs.append(self._list_log(log))
        self._files = {
            path: self._read(path, status) for path, status in _distinct(found).items()
        }
        runs += _group(self.path, self._files)
        return sorted(runs, key=lambda run: (-run.began, run.name))

    def _walk(self) -> Iterator[tuple[Path, list[os.DirEntry[str]], list[Log]]]:
        """Yields the folders with their entries, and with the logs directly in them."""
        seen, count = set[tuple[int, int]](), 0
        waiting = [(self.path, 0, False)]
        while waiting:
            folder, depth, in_log = waiting.pop()
            try:
                status = folder.stat()
                with os.scandir(folder) as scan:
                    entries = [*scan]
            except OSError as error:
                self.errors[str(folder)] = error.strerror or str(error)
                continue
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            # The folders below a log, such as checkpoints, have parts of it.
            names = [] if in_log else [entry.name for entry in entries]
            logs = find_in_folder(folder, names)
            yield folder, entries, logs
            count += len(entries)
            if count > _ENTRIES_MAX:
                self.errors[str(folder)] = f"the listing ends after {count:,} files"
                return
            if depth < _DEPTH_MAX:
                waiting += [
                    (folder / entry.name, depth + 1, in_log or bool(logs))
                    for entry in entries
                    if not entry.name.startswith(".") and _is_folder(entry)
                ]

    def _list_log(self, log: Log) -> ListedRun:
        """Returns a log of another tool as a run."""
        return ListedRun(
            name=_relative(log.path, self.path),
            paths=(log.path,),
            tool=log.tool,
            modified=log.file.stat().st_mtime,
        )

    def _read(self, path: Path, status: os.stat_result) -> _RunFile:
        before = self._files.get(path)
        same = before is not None and _same(before.status, status)
        if before is not None and same and not before.growing:
            if before.error:
                self.errors[str(path)] = before.error
            return before
        try:
            if is_compressed(path):  # finished; its steps are unknown until it is read
                with open_file(path) as text:
                    return _RunFile(status, read_header(text, str(path)))
            if not is_run(path):
                return _RunFile(status, None)
            with path.open("rb") as file:
                facts = before.facts if before and same else read_facts(file, str(path))
                pause = facts.pause if facts else 0.0
                network = is_network(status.st_dev)
                growing = is_growing(file.fileno(), pause, network=network)
        except (OSError, RunFormatError, MissingExtraError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            reason = (reason or str(error)).removeprefix(str(path)).lstrip(",: ")
            self.errors[str(path)] = reason
            return _RunFile(status, None, error=reason)
        return _RunFile(status, facts, growing)


def _group(folder: Path, files: dict[Path, _RunFile]) -> Iterator[ListedRun]:
    """Yields the runs of run files; the ranks of one training are one run."""
    trainings: dict[tuple[Path, str, str], dict[int, Path]] = {}
    for path, file in files.items():
        if file.facts is None:
            continue
        stem, name = split_rank(without_compression(path).stem)
        key = path.parent, stem, file.facts.header.training
        rank = int(name.removeprefix(".rank") or -1)
        # A copy, such as a compressed one, is a run of its own.
        if rank < 0 or trainings.setdefault(key, {}).setdefault(rank, path) != path:
            yield _list_files(folder, path.name, {path: file})
    for (_, stem, training), ranks in trainings.items():
        paths = [ranks[rank] for rank in sorted(ranks)]
        alone = sum(key[:2] == (paths[0].parent, stem) for key in trainings) == 1
        endings = {path.suffix.replace(RUN_SUFFIX, "") for path in paths}
        ending = f"{RUN_SUFFIX}{endings.pop() if len(endings) == 1 else '*'}"
        name = f"{stem}.rank*{ending}" if alone else f"{paths[0].name} ({training})"
        name = paths[0].name if len(paths) == 1 else name
        yield _list_files(folder, name, {path: files[path] for path in paths})


def _list_files(folder: Path, name: str, files: dict[Path, _RunFile]) -> ListedRun:
    paths = tuple(files)
    facts = [file.facts for file in files.values() if file.facts is not None]
    seconds = [one.seconds for one in facts if one.seconds is not None]
    torn = any(one.torn for one in facts)
    growing = any(file.growing for file in files.values())
    return ListedRun(
        name=_relative(paths[0].with_name(name), folder),
        paths=paths,
        comment=facts[0].header.comment,
        start=min(one.header.start for one in facts),
        steps=max((one.steps for one in facts if one.steps is not None), default=None),
        seconds=max(seconds, default=None),
        state="growing" if growing else "cut off" if torn else "ended",
        size=sum(file.status.st_size for file in files.values()),
        modified=max(file.status.st_mtime for file in files.values()),
    )


def _distinct(found: dict[Path, os.stat_result]) -> dict[Path, os.stat_result]:
    """Returns each file once, by its own name rather than by a link to it."""
    names: dict[tuple[int, int], Path] = {}
    for path in sorted(found, key=lambda path: (path.is_symlink(), path)):
        names.setdefault((found[path].st_dev, found[path].st_ino), path)
    return {path: found[path] for path in names.values()}


def _same(before: os.stat_result, now: os.stat_result) -> bool:
    return (before.st_ino, before.st_size, before.st_mtime_ns) == (
        *(now.st_ino, now.st_size, now.st_mtime_ns),
    )


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder) if path != folder else path.name or str(path)
