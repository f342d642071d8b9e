"""Processes of running trainings, to which tests attach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gradsound

PACKAGE = Path(gradsound.__file__).parents[1]


@contextmanager
def target(
    code: str,
    folder: Path,
    *words: object,
    options: Sequence[str] = (),
    prefix: Sequence[object] = (),
    **environment: str,
) -> Iterator[subprocess.Popen[str]]:
    """Runs a script, which knows no gradsound, and waits until it prints "ready".

    Args:
        code: The script.
        folder: Its folder.
        *words: Its arguments.
        options: Options of Python, or a launcher.
        prefix: The words of a program that starts Python, such as setpriv.
        **environment: Further environment variables.
    """
    (folder / "train.py").write_text(code)
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(
            [*map(str, prefix), sys.executable, *options, "train.py", *map(str, words)],
            cwd=folder,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line == "ready\n", (line, (folder / "errors").read_text())
            yield process
        finally:
            process.kill()


def command(
    name: str, *words: object, folder: Path, prefix: Sequence[object] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs `gradsound attach` or `gradsound detach`, by a program such as setpriv."""
    return subprocess.run(
        [*map(str, prefix), sys.executable, "-m", "gradsound", name, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refuse(*words: object, folder: Path, prefix: Sequence[object] = ()) -> str:
    """Returns the one line with which `gradsound attach` refuses these words."""
    process = command("attach", *words, folder=folder, prefix=prefix)
    assert (process.returncode, process.stdout) == (2, ""), process.stderr
    *earlier, line = process.stderr.splitlines(keepends=True)
    assert line.startswith("gradsound: ")
    # A busy machine answers late, and the command says so.
    assert all("is in a long call; gradsound attaches" in one for one in earlier)
    return line
