"""Every example in the help texts and in docs/command-line.md runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import started, until
from helpers.rank_files import write_ranks
from helpers.scripts import LOOP

import gradsound
from gradsound.cli.main import main

BIN = Path(sys.executable).parent
COMMANDS = ("", "render", "play", "serve", "devices", "voices", "plot", "legend", "locate")
COMMANDS += ("info", "list", "watch", "completion", "run", "demo", "attach", "detach")
# Or nearly; they have tests of their own, as those that need a process.
ENDLESS = ("play", "serve", "run", "demo", "attach", "detach")
TELLS = re.compile(r"gradsound: (records .*|no optimizer .*|the script .*)\n")
SAMPLES = Path(__file__).parents[2] / "samples" / "runs"
FIRST, SECOND = (
    SAMPLES / f"{name}-batch10.jsonl" for name in ("1-sgd-lr0.01", "2-sgd-lr0.1")
)
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two runs only, and the command on the PATH."""
    for name, sample, last in (("run.jsonl", SECOND, 21), ("other.jsonl", FIRST, 16)):
        lines = sample.read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[:last]))
    (tmp_path / "train.py").write_text(LOOP)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text(LOOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def examples(command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Returns the example lines in a command's help."""
    with pytest.raises(SystemExit) as exit_info:
        main([*command.split(), "--help"])
    assert exit_info.value.code == 0
    text = capsys.readouterr().out.partition("\nexamples:\n")[2].partition("\n\n")[0]
    return [line.strip() for line in text.splitlines()]


def run_in_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Runs a line in bash; a failure anywhere in a pipe fails the line."""
    return subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        text=True,
        check=False,
    )


def run_until_sigterm(line: str, wait_until_up) -> None:
    """Runs a line until SIGTERM; the line must not end before, nor print an error."""
    with started(
        ["/bin/bash", "-c", line],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until_up(process)
            assert process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGTERM)
        assert "Error" not in process.stderr.read()


def wait_for_address(process: subprocess.Popen[str]) -> None:
    """Reads the address that `gradsound serve` prints."""
    line = process.stdout.readline()
    assert re.match(r"hear it at http://127\.0\.0\.1:\d+/", line), line


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ENDLESS])
def test_examples_run(
    request: pytest.FixtureRequest,
    folder: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each command has two or three examples; each succeeds and writes its files."""
    if command == "devices":
        request.getfixturevalue("server")
    lines = examples(command, capsys)
    assert 2 <= len(lines) <= 3
    for line in lines:
        process = run_in_shell(line)
        assert (process.returncode, TELLS.sub("", process.stderr)) == (0, ""), line
        outputs = re.findall(r"(?:-o|>) (\S+)", line)
        assert all((folder / name).stat().st_size for name in outputs)
        assert outputs or process.stdout or line.startswith(("source", "gradsound run"))
        for path in folder.iterdir():
            if path.is_file() and path.name not in ("run.jsonl", "other.jsonl", "train.py"):
                path.unlink()


@pytest.mark.usefixtures("folder")
def test_examples_of_play_run(server, capsys: pytest.CaptureFixture[str]) -> None:
    """Examples of play sound on a sound server; with --follow, until SIGTERM."""

    def wait_until_playing(_: object) -> None:
        until(server.playing, f"{line} does not play")

    lines = examples("play", capsys)
    assert len(lines) == 3
    for line in lines:
        if "--follow" in line:
            run_until_sigterm(line, wait_until_playing)
            until(lambda: not server.playing(), f"{line} does not end")
        else:
            process = run_in_shell(line)
            assert process.returncode == 0
            assert process.stderr.splitlines()[-1].endswith(
                "end of the run: 20 steps in 0.4 s"
            )


@pytest.mark.usefixtures("folder")
def test_examples_of_serve_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples of serve print the address of the page and serve until SIGTERM."""
    lines = examples("serve", capsys)
    assert len(lines) == 2
    for line in lines:
        run_until_sigterm(line, wait_for_address)


@pytest.mark.usefixtures("folder")
def test_examples_of_run_and_demo_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples of run end with the script; the page of demo is served until SIGTERM."""
    lines = examples("run", capsys)
    assert len(lines) == 3
    for line in lines:
        process = run_in_shell(line)
        assert process.returncode == 0, process.stderr
        assert (
            "gradsound: records Sequential (2 layers, SGD) in run.jsonl" in process.stderr
        )
    assert Path("train.wav").stat().st_size
    for line in examples("demo", capsys):
        if "--web" in line:
            run_until_sigterm(line, lambda process: process.stdout.readline())
        else:
            assert run_in_shell(line).returncode == 0


def test_the_page_has_every_command_and_option() -> None:
    """docs/command-line.md has every command and option, and no other option."""
    from gradsound.cli.parser import build_parser

    text = PAGE.read_text()
    commands = build_parser()._subparsers._group_actions[0].choices
    options = {
        option
        for command in commands.values()
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--")
    } | {"--version"}

    assert all(f"### {name}\n" in text for name in commands)
    found = {*re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", text)}
    assert found - {"--help"} == options - {"--help"}
    assert {*COMMANDS} - {""} == {*commands}
    assert gradsound.__version__ not in text


BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_of_the_page_run(
    request: pytest.FixtureRequest,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: str,
) -> None:
    """Each block of docs/command-line.md runs unchanged; serve runs until SIGTERM."""
    monkeypatch.setenv("HOME", str(folder))
    needs_device = re.search("gradsound (play|devices)", block)
    if needs_device:
        request.getfixturevalue("server")
    gradsound.render("run.jsonl", folder / "run.wav")
    if "run.rank" in block:
        write_ranks(folder, np.full((20, 3), 2 / 3))
    if "gradsound serve" in block:
        for line in block.splitlines():
            run_until_sigterm(line, wait_for_address)
    else:
        process = run_in_shell(f"set -e; {block}")
        assert process.returncode == 0, process.stderr
        assert needs_device or not TELLS.sub("", process.stderr)
