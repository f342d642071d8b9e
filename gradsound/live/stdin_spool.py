"""A run from standard input, kept in a file, so that it can be read again and again."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.live.run_source import RunSource
from gradsound.runs.model import Run
from gradsound.runs.reader import lines, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from gradsound.runs.model import Step

_POLL_SECONDS = 0.05  # seconds between looks at whether there is more
_AT_ONCE = 1 << 16  # bytes


def kept(stack: ExitStack) -> Run:
    """The run on standard input, in a file that goes when the stack is unwound.

    Raises:
        RunFormatError: If it is no run.
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradsound.")))
    source, path, whole = RunSource(Path("-")), folder / "run.jsonl", threading.Event()

    def keep() -> None:
        with source, path.open("wb", buffering=0) as file:
            while more := source.read(_AT_ONCE):
                file.write(more)
        whole.set()

    path.touch()
    threading.Thread(target=keep, daemon=True).start()
    steps = _Kept(path, whole)
    return Run(parse(source.name, steps.numbered()).header, steps, source.name)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The steps in a file that may not be whole yet, read anew at each iteration."""

    path: Path
    whole: threading.Event

    def __iter__(self) -> Iterator[Step]:
        yield from parse("standard input", self.numbered()).steps

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """Yields its lines, as they come."""
        whole = False

        def more() -> bool:
            nonlocal whole
            before, whole = whole, self.whole.wait(_POLL_SECONDS)
            return not before  # what came last is looked for once more

        with self.path.open("rb") as file:
            yield from lines(file, more)
