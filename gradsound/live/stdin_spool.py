"""The spool of standard input, so that every listener can reread it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.live.pipe_spool import PipeSpool
from gradsound.live.run_source import RunSource
from gradsound.runs.lines import read_lines
from gradsound.runs.model import Run
from gradsound.runs.run_file import parse_run
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from gradsound.runs.lines import LineGroup
    from gradsound.runs.step_block import StepBlock


def spool_stdin(stack: ExitStack) -> Run:
    """Returns the run on standard input, spooled to a temporary file.

    Args:
        stack: Removes the file when it is closed.

    Raises:
        OSError: If standard input cannot be read, or the file cannot be written.
        RunFormatError: If standard input holds no run.
    """
    source = stack.enter_context(RunSource(Path("-")))
    spool = PipeSpool(source.read)
    stack.callback(spool.close)
    steps = _SpooledSteps(spool, source.name)
    return Run(parse_run(source.name, steps.lines()).header, steps, source.name)


@dataclass(frozen=True, slots=True)
class _SpooledSteps(StepSource):
    """The steps in a spool that may still grow; each iteration reads them anew."""

    spool: PipeSpool
    name: str

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        return parse_run(self.name, self.lines()).blocks()

    def lines(self) -> Iterator[LineGroup]:
        """Yields groups of lines, and waits for more until the spool is complete."""
        with self.spool.path.open("rb") as file:
            yield from read_lines(file, self.spool.make_wait())
