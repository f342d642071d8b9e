"""Trains by real libraries with gradsound, and prints what was right as a Markdown table.

    python tests/engines/run.py                  # all of them: half an hour, 2 GB
    python tests/engines/run.py fastai keras     # only these

Each library gets an environment under build/engines, with pinned packages on top of the
packages of the running Python. A script for each trains every case with and without
gradsound, compares the run with the oracle of the tests, and prints one line of JSON a
case.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tables import ENGINES, Engine

ENGINES_FOLDER = Path(__file__).parent
CHECKOUT = ENGINES_FOLDER.parents[1]
ENVIRONMENTS = CHECKOUT / "build" / "engines"
_SCRIPT_SECONDS = 900  # the slowest compiles operators for minutes
_COLUMNS = ("library", "version", "case", "norms", "raw", "steps", "weights", "message")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a command printed that failed: its last line."""

    message: str


def main(names: list[str]) -> None:
    """Prints the rows of the named engines, or of all."""
    known = {engine.name: engine for engine in ENGINES}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"there is no engine {unknown[0]!r}; there are: {', '.join(known)}")
    torch = _version_of(Path(sys.executable), "torch")
    day = datetime.now(timezone.utc).date().isoformat()
    print(f"{day}, Python {platform.python_version()}, torch {torch}:\n")
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}", flush=True)
    for engine in [known[name] for name in names] or ENGINES:
        for row in _rows(engine):
            cells = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in row]
            print(f"| {' | '.join(cells)} |", flush=True)


def _rows(engine: Engine) -> list[list[str]]:
    """Returns the cells of an engine's rows, one row for each case."""
    python = _environment(engine)
    if isinstance(python, Failure):
        return [[engine.name, "-", "installation", *["-"] * 4, python.message]]
    version = _version_of(python, engine.package)
    with tempfile.TemporaryDirectory() as folder:
        output = _run(
            [str(python), str(ENGINES_FOLDER / engine.script), *engine.arguments],
            folder=folder,
            environment={
                "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")]),
                "PYTHONWARNINGS": "ignore",
                **engine.variables,
            },
        )
    if isinstance(output, Failure):
        return [[engine.name, version, "all", *["-"] * 4, output.message]]
    cases = [json.loads(line) for line in output.splitlines() if line.startswith('{"case"')]
    return [
        [
            engine.name,
            version,
            case["case"],
            *(_WORDS[case.get(key)] for key in ("norms", "raw", "steps", "weights")),
            case["message"],
        ]
        for case in cases
    ]


_WORDS = {True: "yes", False: "**no**", None: ""}


def _environment(engine: Engine) -> Path | Failure:
    """Returns the Python of an engine's environment, which it makes if it is not there."""
    folder = ENVIRONMENTS / engine.name
    python, ready = folder / "bin" / "python", folder / "ready"
    wanted = "\n".join([sys.prefix, *engine.requirements])
    if ready.exists() and ready.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    made = _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    if isinstance(made, Failure):
        return made
    if not engine.own_torch:
        (packages,) = folder.glob("lib/python*/site-packages")
        paths = [path for path in sys.path if path.endswith("-packages")]
        (packages / "running.pth").write_text("\n".join(paths))
    if engine.requirements:
        # Without dependencies, no package brings another torch.
        options = [] if engine.own_torch else ["--no-deps"]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        command = [*pip, "--python", str(python), "install", *options]
        installed = _run([*command, *engine.requirements])
        if isinstance(installed, Failure):
            return installed
    ready.write_text(wanted)
    return python


def _version_of(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    output = _run([str(python), "-c", code])
    return "-" if isinstance(output, Failure) else output.strip()


def _run(
    command: list[str],
    folder: str | None = None,
    environment: dict[str, str] | None = None,
) -> str | Failure:
    """Runs a command to its end; returns its output, or the last line of its errors."""
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            capture_output=True,
            text=True,
            timeout=_SCRIPT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Failure(f"no end after {_SCRIPT_SECONDS} s")
    if process.returncode == 0 or '\n{"case"' in f"\n{process.stdout}":
        return process.stdout  # a script may end with an error if a case is wrong
    lines = process.stderr.strip().splitlines() or [f"status {process.returncode}"]
    errors = [line for line in lines if "rror" in line]
    sys.stderr.write(process.stderr)
    return Failure((errors or lines)[-1])


if __name__ == "__main__":
    main(sys.argv[1:])
