"""Measures how long commands and the processes of a training take to start, and why.

Each line of the first table is the median over rounds. In a round, this build and another
one (``--base``, the Python of an environment that has it) start in turns, and the other one
a second time as the control. Without ``--base``, this build is its own control. Python
alone and the import of numpy are what no command can go below. A command counts until it
ends, in processor seconds, because a busy machine changes them least; so does the process
that renders. What a training waits for, a page that answers and the first block of sound
count by the clock. "-" is what the other build does not have.

    python benchmarks/startup.py [--base PYTHON] [--rounds 11] [--imports] [CASE ...]

A case is the beginning of a line. ``--imports`` prints what this build imports instead: how
many modules, of which packages, for how many milliseconds, and which module of ours imports
a package first. Python takes longer while it measures that.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from import_times import Module, describe, parse
from machine import machine
from pairs import measure_pairs, surroundings
from runs import write_run
from startup_trainer import MARK

_HERE = Path(__file__).parent
_TRAINER = str(_HERE / "startup_trainer.py")
_PACKAGES = 9  # rows of a process
# A process of a training, in place of Python; its imports go to a file.
_WRAPPER = """#!/bin/sh
exec {python} -X importtime "$@" 2>{folder}/$$.imports
"""


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: What the line says.
        words: Of the command line: RUN, RUNS and OUT stand for paths. The first one is
            python, gradsound, or the part of `startup_trainer`.
        forgets: Whether no code of voices is kept from an earlier process.
    """

    name: str
    words: tuple[str, ...]
    forgets: bool = False

    @property
    def trains(self) -> bool:
        """Whether it is of a training, which prints its seconds."""
        return self.words[0] not in {"python", "gradsound"}


_RENDER = ("gradsound", "render", "RUN", "-o", "OUT.wav")
CASES = (
    Case("Python alone", ("python", "-c", "pass")),
    Case("import numpy", ("python", "-c", "import numpy")),
    Case("import gradsound", ("python", "-c", "import gradsound")),
    Case("gradsound --version", ("gradsound", "--version")),
    Case("gradsound --help", ("gradsound", "--help")),
    Case("gradsound render --help", ("gradsound", "render", "--help")),
    Case("gradsound completion bash", ("gradsound", "completion", "bash")),
    Case("gradsound run -c pass", ("gradsound", "run", "-c", "pass")),
    Case("gradsound info", ("gradsound", "info", "RUN")),
    Case("gradsound watch", ("gradsound", "watch", "RUN")),
    Case("gradsound list", ("gradsound", "list", "RUNS")),
    Case("gradsound locate", ("gradsound", "locate", "RUN", "0:01")),
    Case("gradsound voices", ("gradsound", "voices")),
    Case("gradsound render", _RENDER),
    Case("gradsound render, new voices", _RENDER, forgets=True),
    Case("gradsound plot", ("gradsound", "plot", "RUN", "-o", "OUT.png")),
    Case("training: attach()", ("attach",)),
    Case("training: first step", ("first_step",)),
    Case("process that renders", ("file",)),
    Case("process that serves", ("page",)),
    Case("process that plays", ("sound",)),
    Case("process that plays, new voices", ("sound",), forgets=True),
)


def processor_seconds() -> float:
    """Returns the processor seconds of all processes that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Starts:
    """Starts cases in a folder, which has a short run.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "runs").mkdir()
        self._paths = {"RUN": str(folder / "runs/run.jsonl"), "RUNS": str(folder / "runs")}
        write_run(Path(self._paths["RUN"]), 20, 4)
        self._options = surroundings(folder / "modules")
        path = os.pathsep.join([str(_HERE / "stand_in_device")])
        self._options["env"] |= {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}

    def run(
        self, case: Case, python: str, executable: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a case until it ends.

        Args:
            case: The case.
            python: The Python of a build.
            executable: Runs the worker processes of a training in place of Python.
            **environment: Variables of the process.
        """
        first, *words = case.words
        if first == "gradsound":
            words = [str(Path(python).with_name(first)), *words]
        elif first == "python":
            words = [python, *words]
        else:
            words = [python, _TRAINER, first, str(self._folder), executable]
        out = str(self._folder / "out")
        command = [self._paths.get(one, one.replace("OUT", out)) for one in words if one]
        with tempfile.TemporaryDirectory(dir=self._folder) as empty:
            kept = empty if case.forgets else str(self._folder / "kept")
            environment = {**self._options["env"], **environment, "XDG_CACHE_HOME": kept}
            return subprocess.run(
                command,
                cwd=self._options["cwd"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )

    def measure(self, case: Case, python: str) -> tuple[float, float]:
        """Returns the seconds of a case, and 0 in place of its memory.

        Raises:
            RuntimeError: If it fails.
        """
        begin = processor_seconds()
        process = self.run(case, python)
        seconds = processor_seconds() - begin
        if process.returncode:
            raise RuntimeError(f"{case.name}: {process.stderr}")
        return float(process.stdout.split()[-1]) if case.trains else seconds, 0.0

    def list_imports(self, case: Case) -> list[Module]:
        """Returns the modules that a case imports; of a training, those of its process."""
        wrapper = self._folder / "wrapper"
        wrapper.write_text(_WRAPPER.format(python=sys.executable, folder=self._folder))
        wrapper.chmod(0o700)
        executable = str(wrapper) if case.trains else ""
        process = self.run(case, sys.executable, executable, PYTHONPROFILEIMPORTTIME="1")
        texts = [process.stderr]
        for path in self._folder.glob("*.imports"):
            texts.append(path.read_text())
            path.unlink()
        # The sound device has a process too, which imports nothing of ours.
        texts = [text for text in texts[1:] if " gradsound.workers" in text] or texts[:1]
        return parse(texts[0].rpartition(MARK)[2])


def print_times(starts: Starts, cases: list[Case], base: str, rounds: int) -> None:
    """Prints the table of times."""
    print(f"{'':32} {'base':>7} {'this':>7}    ratio control")
    for case in cases:
        has_base = starts.run(case, base).returncode == 0
        pairs = measure_pairs(
            lambda python, case=case: starts.measure(case, python),
            base if has_base else sys.executable,
            rounds,
        )
        before = f"{pairs.base * 1e3:4.0f} ms" if has_base else "-"
        ratio = f"{pairs.ratio:.2f}" if has_base else "-"
        print(
            f"{case.name:32} {before:>7} {pairs.this * 1e3:4.0f} ms {ratio:>8} "
            f"{pairs.control:7.2f}",
            flush=True,
        )


def print_imports(starts: Starts, cases: list[Case]) -> None:
    """Prints the packages that each case imports, beside those of Python alone."""
    known = {module.name for module in starts.list_imports(CASES[0])}
    for case in cases:
        starts.run(case, sys.executable)  # Python compiles the modules
        first, *others = describe(starts.list_imports(case), known, _PACKAGES)
        print(f"{case.name}: {first}", *others, sep="\n", flush=True)


def main() -> None:
    """Prints one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--base", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--imports", action="store_true")
    options = parser.parse_args()
    cases = [case for case in CASES if case.name.startswith(tuple(options.cases) or "")]
    with tempfile.TemporaryDirectory() as folder:
        starts = Starts(Path(folder))
        if options.imports:
            print(machine())
            print_imports(starts, cases[1:] if cases[:1] == [CASES[0]] else cases)
        else:
            print(machine(f"{options.rounds} rounds"))
            print_times(starts, cases, options.base, options.rounds)


if __name__ == "__main__":
    main()
