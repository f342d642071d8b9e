"""Reads the scalars in event files of TensorBoard: one file, or those in a folder.

A name of a file begins with the time when the file was made. So the file of a resumed
training comes last, and its scalars count. As TensorBoard does, the reader takes back what
older files have of a name from the step on at which a newer file has it first, and
everything from a step on at which a training starts again (`purge_step`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.scalars import Scalars
from gradsound.logs.tensorboard.event_decoder import EventDecoder
from gradsound.logs.tensorboard.tfrecords import RecordFile, is_record_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import WaitForMore
    from gradsound.logs.tensorboard.event_decoder import EventScalars

TOOL = "TensorBoard"
FILE_PATTERN = "*tfevents*"


def is_event_file(head: bytes) -> bool:
    """Returns whether a file with this beginning is an event file."""
    return is_record_file(head)


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the scalars of one file, or of the files in a folder in the order of names.

    Raises:
        OSError: If a file cannot be read.
    """
    run = _Run(on_damage)
    files: dict[Path, _RunFile | _AddedFile] = {}
    while True:
        for file in _find_files(path, FILE_PATTERN) if path.is_dir() else [path]:
            yield from files.setdefault(file, _RunFile(file, run)).read()
        for file in _find_files(path, f"*/{FILE_PATTERN}"):
            yield from files.setdefault(file, _AddedFile(file, on_damage)).read()
        yield None
        if not wait_for_more():
            break
    for known in files.values():
        known.end()


def _find_files(folder: Path, pattern: str) -> list[Path]:
    """Returns the files in a folder in the order of their names; none if it is a file."""
    return sorted(file for file in folder.glob(pattern) if file.is_file())


class _Run:
    """What the files in a folder have in common."""

    def __init__(self, on_damage: OnDamage) -> None:
        self.on_damage = on_damage
        self.decoder = EventDecoder(on_damage)
        self.latest = np.empty(0)  # step by the index of a name; -1 if there is none


class _RunFile:
    """An event file of a run."""

    def __init__(self, path: Path, run: _Run) -> None:
        self._name, self._run = path.name, run
        self._begun = np.empty(0, bool)  # which names it has had, by index
        self._records = RecordFile(path, run.on_damage)

    def read(self) -> Iterator[Scalars]:
        """Yields the scalars that are there, and were not read before."""
        for piece in self._records.read():
            for scalars in self._run.decoder.decode(self._name, piece):
                discards = self._find_discards(scalars)
                yield _make_scalars(self._run.decoder.names, scalars, discards)

    def end(self) -> None:
        """Reports a last record that was not written whole."""
        self._records.end()

    def _find_discards(self, scalars: EventScalars) -> dict[str, int]:
        """Returns by name the step from which on these scalars replace what was before."""
        names, run = self._run.decoder.names, self._run
        new = len(names) - len(run.latest)
        latest = np.append(run.latest, np.full(new, -1.0))
        begun = np.append(self._begun, np.zeros(len(names) - len(self._begun), bool))
        # Of each name, the step of the first entry here.
        first = np.full(len(names), np.inf)
        first[scalars.places[::-1]] = scalars.steps[::-1]  # numpy keeps the last
        here = np.isfinite(first)
        discards = np.where(here & ~begun & (first <= latest), first, np.inf)
        if scalars.restart is not None:
            discards = np.minimum(discards, scalars.restart)
        discards[discards > latest] = np.inf
        np.maximum.at(latest, scalars.places, scalars.steps)
        run.latest, self._begun = latest, begun | here
        found = np.flatnonzero(np.isfinite(discards)).tolist()
        return {names[place]: int(discards[place]) for place in found}


def _make_scalars(
    names: list[str], scalars: EventScalars, discards: dict[str, int]
) -> Scalars:
    """Returns scalars with their names in the order of the log."""
    places, count = scalars.places, len(scalars.places)
    first = np.full(len(names), count)  # entry of each name
    first[places[::-1]] = np.arange(count)[::-1]  # numpy keeps the last
    order = np.argsort(first)[: np.count_nonzero(first < count)]
    new_places = np.empty(len(names), np.intp)
    new_places[order] = np.arange(len(order))
    columns = (new_places[places], scalars.steps, scalars.times, scalars.values)
    return Scalars([names[place] for place in order.tolist()], *columns, discards)


class _AddedFile:
    """A file of `SummaryWriter.add_scalars`, which makes a folder TAG_NAME for each name.

    Any other folder may be another run, and yields nothing.
    """

    def __init__(self, path: Path, on_damage: OnDamage) -> None:
        self._path, self._decoder = path, EventDecoder(on_damage)
        self._is_other = False
        self._records = RecordFile(path, on_damage)

    def read(self) -> Iterator[Scalars]:
        """Yields the scalars that are there, and were not read before."""
        if self._is_other:
            return
        for piece in self._records.read():
            for scalars in self._decoder.decode(self._path.name, piece):
                names = [*map(self._rename, self._decoder.names)]
                if None in names:
                    self._is_other = True
                    return
                columns = (scalars.places, scalars.steps, scalars.times, scalars.values)
                yield Scalars([name or "" for name in names], *columns)

    def end(self) -> None:
        """Reports a last record that was not written whole, if the file is of the run."""
        if not self._is_other:
            self._records.end()

    def _rename(self, tag: str) -> str | None:
        """Returns the name of a scalar in this folder; None if it is of another run."""
        folder = self._path.parent.name
        name = folder.removeprefix(tag.replace("/", "_") + "_")
        return f"{tag}/{name}" if tag and name != folder else None
