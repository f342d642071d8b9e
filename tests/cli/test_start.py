"""What the commands import: a help text comes at once, and no command loads another's."""

from __future__ import annotations

import gc
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gradsound import PRESETS, SCALES
from gradsound.cli import choices, commands
from gradsound.cli.main import main
from gradsound.cli.parser import build_parser
from gradsound.output.sound_device_process import BLOCK_FRAMES
from gradsound.synth.kernels.native_code import TARGETS
from gradsound.synth.voices.builtin import VOICES


def modules_of(*arguments: object) -> tuple[int, set[str]]:
    """Returns the exit status of a command, and the modules that its process imports."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gradsound", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    names = re.findall(r"^import time: .*\| +(\S+)$", process.stderr, re.MULTILINE)
    assert "gradsound.cli.parser" in names
    return process.returncode, set(names)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("--help", 0),
        ("--version", 0),
        *((f"{command} --help", 0) for command in build_parser()._actions[-1].choices),
        *((f"completion {shell}", 0) for shell in choices.SHELLS),
        ("", 2),
        ("frobnicate", 2),
        ("info", 2),
        ("info run.jsonl --tpo 3", 2),
        ("render run.jsonl -o run.wav --baseline usual", 2),
        ("completion ksh", 2),
    ],
)
def test_help_and_usage_errors_load_no_numpy(line: str, status: int) -> None:
    """Help, version, completion and wrong usage import neither numpy nor torch."""
    code, modules = modules_of(*line.split())

    assert code == status
    assert not {"numpy", "torch", "soundfile", "websockets"} & modules
    assert not any(name.startswith("gradsound.runs") for name in modules)


def test_info_loads_no_picture_page_or_sound(save) -> None:
    """The facts of a run file need no renderer, page, worker or other tool's log.

    The run has a spike, whose detection once loaded numpy's masked arrays.
    """
    path = save([[1.0 + k % 5 / 50, 2.0] for k in range(60)] + [[500.0, 2.0]] * 3)
    code, modules = modules_of("info", path)

    assert code == 0
    assert "gradsound.summary.run_summary" in modules
    for package in ("live", "logs", "rendering", "web", "workers"):
        assert f"gradsound.{package}" not in modules
    assert not {"numpy.ma", "soundfile", "tempfile", "torch"} & modules


def test_watch_loads_no_sound(save) -> None:
    """The alarms of a run file, also of one that grows, need nothing that makes sound."""
    path = save([[1.0 + k % 5 / 50, 2.0] for k in range(60)] + [[500.0, 2.0]] * 3)
    for options in ([], ["--follow", "--until", "loss", "--exec", "true"]):
        code, modules = modules_of("watch", path, *options)

        assert code == 0
        assert "gradsound.alarms.run_detector" in modules
        for package in ("logs", "music", "output", "rendering", "synth", "web", "workers"):
            found = [name for name in modules if name.startswith(f"gradsound.{package}.")]
            assert not found
        assert not {"soundfile", "torch"} & modules


# What only some commands need, with those that need it.
LATE = {
    "asyncio": {"serve"},
    "email": set(),  # importlib.metadata would load it; of the server, websockets does
    "llvmlite": {"legend", "plot", "render", "voices"},
    "logging": {"plot", "serve"},  # of matplotlib, and of asyncio
    "matplotlib": {"plot"},
    "numpy": {"info", "legend", "list", "locate", "plot", "render", "voices", "watch"},
    "numpy.random": set(),  # only a voice with noise needs it
    "soundfile": {"legend", "render"},
    "subprocess": {"legend", "plot", "render"},  # of soundfile and matplotlib
    "tempfile": {"legend", "plot", "render", "voices"},  # of llvmlite
    "torch": set(),
    "websockets": set(),
    "gradsound.live": set(),
    "gradsound.logs": {"list"},
    "gradsound.rendering": {"legend", "locate", "plot", "render", "voices"},
    "gradsound.web": set(),
    "gradsound.workers": set(),
}


@pytest.mark.parametrize(
    "line",
    [
        *("info RUN", "watch RUN", "list .", "locate RUN 0:00", "voices"),
        *("render RUN -o x.wav", "plot RUN -o x.png", "legend RUN -o x.wav"),
        "run -c pass",
    ],
)
def test_each_command_imports_what_it_needs(
    line: str, save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command imports a package, or a part of ours, that only others need."""
    path = save([[1.0 + k % 5 / 50, 2.0] for k in range(20)])
    monkeypatch.chdir(tmp_path)
    code, modules = modules_of(*(path if one == "RUN" else one for one in line.split()))
    command = line.split()[0]

    assert code == 0
    assert {name for name, users in LATE.items() if name in modules} <= {
        name for name, users in LATE.items() if command in users
    }


def test_the_names_on_offer_are_those_of_the_package() -> None:
    """Help and completion have names of their own, in the order of what they name."""
    assert tuple(PRESETS) == choices.PRESETS
    assert tuple(VOICES) == choices.VOICES
    assert tuple(SCALES) == choices.SCALES
    assert tuple(BLOCK_FRAMES) == choices.LATENCIES
    assert tuple(TARGETS) == choices.TARGETS


def test_each_command_is_a_module() -> None:
    """The parser has exactly the commands whose modules run."""
    names = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    assert names == {*build_parser()._actions[-1].choices}
    for name in names:
        module = import_module(f"gradsound.cli.commands.{name}")
        # A script runs once the command has returned, without a frame of ours below it.
        assert callable(module.prepare if name == "run" else module.run)


def test_python_collects_garbage_while_a_command_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the imports of a command run without the garbage collector."""
    states: list[bool] = []
    module = import_module("gradsound.cli.commands.voices")
    monkeypatch.setattr(module, "run", lambda _: states.append(gc.isenabled()))
    frozen = gc.get_freeze_count()
    with pytest.raises(SystemExit):
        main(["voices"])

    assert states == [True]
    assert gc.get_freeze_count() == frozen  # of a caller that gives arguments
