"""The spool of standard input: a temporary file, so that every listener can reread it."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.live.run_source import RunSource
from gradsound.runs.lines import read_lines
from gradsound.runs.model import Run
from gradsound.runs.reader import parse_run
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from gradsound.runs.lines import LineGroup
    from gradsound.runs.step_block import StepBlock

_POLL_SECONDS = 0.05  # between polls of the spool for more lines
_READ_BYTES = 1 << 16  # of standard input at once, at most


def spool_stdin(stack: ExitStack) -> Run:
    """Returns the run on standard input, spooled to a temporary file.

    Args:
        stack: Removes the file when it is closed.

    Raises:
        RunFormatError: If standard input holds no run.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradsound.")))
    source, path, complete = RunSource(Path("-")), folder / "run.jsonl", threading.Event()

    def spool() -> None:
        with source, path.open("wb", buffering=0) as file:
            while data := source.read(_READ_BYTES):
                file.write(data)
        complete.set()

    path.touch()
    threading.Thread(target=spool, daemon=True).start()
    steps = _SpooledSteps(path, complete)
    return Run(parse_run(source.name, steps.lines()).header, steps, source.name)


@dataclass(frozen=True, slots=True)
class _SpooledSteps(StepSource):
    """The steps in a spool that may still grow; each iteration reads them anew."""

    path: Path
    complete: threading.Event

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        return parse_run("standard input", self.lines()).blocks()

    def lines(self) -> Iterator[LineGroup]:
        """Yields groups of lines, and waits for more until the spool is complete."""
        complete = False

        def wait() -> bool:
            nonlocal complete
            # The spool may grow between the last read and its completion: one more read.
            before, complete = complete, self.complete.wait(_POLL_SECONDS)
            return not before

        with self.path.open("rb") as file:
            yield from read_lines(file, wait)
