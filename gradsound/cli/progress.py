"""Progress of a command that reads a run: steps read and seconds passed, on a terminal."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.cli.status_line import StatusLine
from gradsound.runs.compressed_file import open_file
from gradsound.runs.header_line import FORMAT
from gradsound.runs.lines import LINE_MAX
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock

_DELAY_SECONDS = 1.0  # a shorter command shows no progress
_REFRESH_SECONDS = 0.2  # between two updates; the eye follows no faster count
_BLOCK_BYTES = 1 << 20  # read at once to count lines; bounds the memory


class Progress:
    """Shows steps read and seconds passed, from entering to leaving the context."""

    def __init__(self) -> None:
        self._line, self._closed = StatusLine(), threading.Event()
        self._counters: list[_StepCounter] = []
        self._thread = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> Progress:
        self._line.__enter__()
        if self._line.visible:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._line.visible:
            self._thread.join()
        self._line.__exit__()

    def count_steps(self, run: Run) -> Run:
        """Returns the run; reading its steps advances the progress."""
        counter = _StepCounter(run)
        self._counters.append(counter)
        return replace(run, steps=counter)

    def _refresh(self) -> None:
        from gradsound.music.captions import format_time  # a short command shows no time

        start, pause = time.monotonic(), _DELAY_SECONDS
        while not self._closed.wait(pause):
            count = sum(counter.count for counter in self._counters)
            state = f"{count:,}{self._of_total()} steps" if count else "reading"
            self._line.show(f"{state}, {format_time(time.monotonic() - start)}")
            pause = _REFRESH_SECONDS

    def _of_total(self) -> str:
        totals = [counter.total for counter in self._counters]
        return f" of {sum(totals):,}" if all(totals) else ""


class _StepCounter(StepSource):
    """The steps of a run, counted as they are read.

    Attributes:
        count: Steps that the latest iteration has read.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._path = run, Path(run.name)
        self.count = 0

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        self.count = 0
        for block in self._run.blocks():
            self.count += len(block)
            yield block

    @cached_property
    def total(self) -> int:
        """Number of steps in a run file, by its line ends; 0 for another tool's log."""
        try:
            with open_file(self._path) as file:
                if FORMAT.encode() not in file.readline(LINE_MAX):
                    return 0
                blocks = iter(partial(file.read, _BLOCK_BYTES), b"")
                return sum(block.count(b"\n") for block in blocks)
        except (OSError, ValueError):
            return 0
