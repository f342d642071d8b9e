"""A path to a run: a run file, or the log of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.detect import read_log
from gradsound.runs.model import Run
from gradsound.runs.reader import read_run_file, refuse_norms

if TYPE_CHECKING:
    from collections.abc import Iterable


def open_run(path: str | Path, *, norms: str | Iterable[str] | None = None) -> Run:
    """Opens a run file or another tool's log; raises as `gradsound.read_run`."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise RunFormatError(f"{path}: a pipe or device; save the run to a file first")
    globs = [norms] if isinstance(norms, str) else None if norms is None else [*norms]
    if (logged := read_log(path, globs)) is not None:
        return logged
    refuse_norms(str(path), norms)
    return read_run_file(path)


def run_for(run: Run | str | Path, outputs: Iterable[Path], act: str) -> Run:
    """The run to present in files: read from its own, if it is given by path.

    Args:
        run: A run, or the path of a run file.
        outputs: The files that will be written.
        act: What is done, for the message: "draw it", for one.

    Raises:
        OSError, RunFormatError: As `open_run`.
        ValueError: If one of them is the run file itself, which would then be lost.
    """
    if not isinstance(run, Run):
        run = open_run(run)
    for output in outputs:
        if _same(output, run.name):
            raise ValueError(f"{output}: is the run itself; {act} to another file")
    return run


def _same(path: Path, name: str) -> bool:
    """Whether two paths are of one file, by whatever name or link."""
    try:
        return path.samefile(name)
    except OSError:  # there is not even one
        return False
