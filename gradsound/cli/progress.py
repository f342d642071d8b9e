"""Progress: how far a command is that lasts over a second, on the terminal alone."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.cli.status_line import StatusLine
from gradsound.logs.detect import find
from gradsound.music.captions import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gradsound.runs.model import Run, Step

_AFTER = 1.0  # seconds; what is done by then needs no word
_EVERY = 0.2  # seconds
_BLOCK = 1 << 20  # bytes


class Progress:
    """Shows how many steps were read, and for how long it lasts, while it is open."""

    def __init__(self) -> None:
        self._line, self._over = StatusLine(), threading.Event()
        self._runs: list[_Counted] = []
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Progress:
        self._line.__enter__()
        if self._line.visible:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._line.visible:
            self._thread.join()
        self._line.__exit__()

    def counted(self, run: Run) -> Run:
        """The run, whose steps are counted as they are read."""
        counted = _Counted(run.steps, Path(run.name))
        self._runs.append(counted)
        return replace(run, steps=counted)

    def _show(self) -> None:
        begun, pause = time.monotonic(), _AFTER
        while not self._over.wait(pause):
            read = sum(run.read for run in self._runs)
            doing = f"{read:,}{self._of()} steps" if read else "reading"
            self._line.show(f"{doing}, {clock(time.monotonic() - begun)}")
            pause = _EVERY

    def _of(self) -> str:
        totals = [run.total for run in self._runs]
        return f" of {sum(totals):,}" if all(totals) else ""


class _Counted:
    """The steps of a run.

    Attributes:
        read: How many were read, of late.
    """

    def __init__(self, steps: Iterable[Step], path: Path) -> None:
        self._steps, self._path = steps, path
        self.read = 0

    def __iter__(self) -> Iterator[Step]:
        for self.read, step in enumerate(self._steps, 1):  # noqa: B020 (counts)
            yield step

    @cached_property
    def total(self) -> int:
        """How many there are in a run file; 0 where that is not known at once."""
        try:
            if find(self._path) is not None:
                return 0
            with self._path.open("rb") as file:
                blocks = iter(partial(file.read, _BLOCK), b"")
                return sum(block.count(b"\n") for block in blocks) - 1
        except (OSError, ValueError):
            return 0
