"""Writes run files so that a kill costs one line at most, and a full disk none.

It also goes on in the file of an earlier part of the training, restores a run file that
somebody removes, and never overwrites an older run.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gradsound.runs.file_locks import lock_folders
from gradsound.runs.file_names import give_back, number_of, numbered, older_files
from gradsound.runs.header_line import encode_header
from gradsound.runs.opened_file import (
    find_path,
    make_file,
    name_in_errors,
    open_to_resume,
)
from gradsound.runs.restarts import TimeShift, encode_restart, encode_total
from gradsound.runs.resume_point import has_run
from gradsound.runs.step_line import encode_block

if TYPE_CHECKING:
    import io
    from collections.abc import Sequence
    from pathlib import Path

    from gradsound.runs.model import Header
    from gradsound.runs.opened_file import OpenedFile
    from gradsound.runs.resume_point import ResumePoint
    from gradsound.runs.step_block import StepBlock

_UNWRITTEN_MAX = 1 << 26  # bytes; a longer backlog would take the training's memory
_COPY_BYTES = 1 << 20  # bytes per copy; one takes a millisecond of the training


class RunWriter:
    """Writes a run file, whole lines per system call, without a buffer of Python's.

    A run file that exists at ``path`` is not overwritten: the writer renames it to the
    first free name of ``run.1.jsonl``, ``run.2.jsonl`` ..., and its sounds with it. A
    resumed training goes on in the file instead.

    Args:
        path: The run file.
        header: The header, which becomes the first line.
        readers: How many processes read the file while it grows.
        sound: The sound file that a process will make of the run; None for no sound.
        sound_suffixes: Suffixes of sounds, and then that of captions.
        start_step: Number of the first step; if None, 0 or the one after the last step.
        resume: Whether to go on in the file if it is a run.
        unwritten_max: Bytes that may wait in memory while the disk is full. The writer
            drops steps that arrive beyond that.

    Attributes:
        start_step: Number of the first step.
        resumed: Whether the file had a run, in which this training goes on.
        time_shift: Moves the times of steps to those that they have in the run.
        reader_files: The run file, opened once for each reader at its start. They stay
            valid if the file is renamed or removed.
        unwritten: Numbers of the steps that wait in memory because the disk is full. A
            part of the first may be in the file.
        dropped: How many steps were dropped because too many bytes waited.

    Raises:
        OSError: If the file cannot be made or written.
        ValueError: If the training cannot go on in the file, because it has other layers
            or another process writes it.
        RunFormatError: If the training cannot go on in the file, because it is no run.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        readers: int = 0,
        *,
        sound: Path | None = None,
        sound_suffixes: Sequence[str] = (".wav", ".vtt"),
        start_step: int | None = None,
        resume: bool = False,
        unwritten_max: int = _UNWRITTEN_MAX,
    ) -> None:
        self.unwritten: list[int] = []
        self.dropped = 0
        self._backlog, self._backlog_max = bytearray(), unwritten_max
        self._path, self._suffixes = path, sound_suffixes
        # Once somebody removes the file, a copy takes its name; readers keep the old one.
        self._copy: io.FileIO | None = None
        self._copied = 0  # bytes
        self.time_shift = TimeShift(None)
        self._size = 0  # bytes; of the file before the training goes on in it
        self.start_step = self._next_step = start_step or 0
        with lock_folders([path] if sound is None else [path, sound]), name_in_errors(path):
            self.resumed = resume and has_run(path)
            if self.resumed:
                opened, point = open_to_resume(path, header, start_step, readers)
            else:
                opened = self._open_new(header, sound, readers)
        self._file, self.reader_files, self._kept = opened.file, opened.readers, opened.kept
        _open_writers.add(self)
        if self.resumed:
            self._go_on(header, point)

    @property
    def inode(self) -> int:
        """Inode number of the run file, which finds it after a later run took its name."""
        return os.fstat(self._descriptor).st_ino

    @property
    def current_path(self) -> Path:
        """Path of the run file, which has another name once a later run took its own."""
        number = number_of(self._path, self._descriptor)
        return numbered(self._path, number) if number else self._path

    @property
    def _descriptor(self) -> int:
        return (self._copy or self._file).fileno()

    def _open_new(self, header: Header, sound: Path | None, readers: int) -> OpenedFile:
        return make_file(
            self._path,
            encode_header(replace(header, first_step=self.start_step)),
            lambda: older_files(self._path, sound, self._suffixes, header.training),
            self._suffixes,
            readers,
        )

    def _go_on(self, header: Header, point: ResumePoint) -> None:
        """Cuts a torn line, and marks the place at which the training goes on."""
        self.start_step = self._next_step = point.step
        self.time_shift = TimeShift(point.time)
        self._size = self._file.seek(0, os.SEEK_END)
        self._backlog += b"" if point.ends_line else b"\n"
        self._backlog += encode_restart(point.step, header.start, header.comment)
        try:
            with name_in_errors(self._path):
                self._size = self._file.truncate(point.size)
                self._file.seek(0, os.SEEK_END)
                self._write_backlog()
        except OSError:
            self.discard()
            raise

    def write(self, block: StepBlock) -> None:
        """Appends one step or more with one system call.

        Raises:
            OSError: If the steps cannot be written, for example because the disk is full.
                They wait in memory, and the next call tries again. Until then, the last
                line of the file may be torn.
        """
        numbers = block.numbers.tolist()
        self._next_step = numbers[-1] + 1
        if len(self._backlog) < self._backlog_max:
            self.unwritten += numbers
            self._backlog += encode_block(self.time_shift.apply_to(block))
        else:
            self.dropped += len(numbers)
        self._write_backlog()
        with suppress(OSError):  # later calls try again, and close() reports
            self._copy_more()

    def restore_if_removed(self) -> bool:
        """Makes the file anew if somebody removed it; returns whether that was so.

        Each later call of `write` copies a part of the removed file, `close` the rest.

        Raises:
            OSError: If the file cannot be made.
        """
        if os.fstat((self._copy or self._file).fileno()).st_nlink:
            return False
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        begin = os.pread(self._file.fileno(), _COPY_BYTES, 0)
        with lock_folders([self._path]):
            self._copy = make_file(
                self._path,
                begin,
                lambda: [self._path] if self._path.is_file() else [],
                self._suffixes,
            ).file
        self._copied = len(begin)
        return True

    def discard(self) -> None:
        """Undoes what the constructor did to the file, and to older files."""
        with lock_folders([self._path]):
            own = None if self.resumed else find_path(self._path, self._file)
            with suppress(OSError):
                if self.resumed:
                    self._backlog.clear()
                    self._file.truncate(self._size)
            with suppress(OSError):
                self.close()
            if own is not None:
                own.unlink()
            give_back(self._kept)

    def close(self, step_count: int = 0) -> None:
        """Tries once more to write the steps in memory, and closes the file.

        A second call does nothing.

        Args:
            step_count: Number of the step that would come next. If a budget left the last
                steps out, the file's last line has this count.

        Raises:
            OSError: If the disk is still full.
        """
        try:
            if step_count > self._next_step:
                self._next_step = step_count
                self._backlog += encode_total(step_count)
            self._write_backlog()
            while self._copy_more():
                pass
        finally:
            for file in (self._file, self._copy, *self.reader_files):
                if file is not None:
                    file.close()
            self._backlog.clear()
            self._copy = None

    def _write_backlog(self) -> None:
        while self._backlog:  # one call may write a part only
            written = self._file.write(self._backlog)
            del self.unwritten[: self._backlog.count(b"\n", 0, written)]
            del self._backlog[:written]

    def _copy_more(self) -> bool:
        """Copies a part of the removed file; returns whether there was any left."""
        if self._copy is None:
            return False
        part = os.pread(self._file.fileno(), _COPY_BYTES, self._copied)
        self._copied += self._copy.write(part)
        return bool(part)


_open_writers: weakref.WeakSet[RunWriter] = weakref.WeakSet()


def _close_in_child() -> None:
    """Closes the copies of files in a forked process, which would keep their locks."""
    for writer in _open_writers:
        for file in (writer._file, writer._copy):
            if file is not None:
                file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
