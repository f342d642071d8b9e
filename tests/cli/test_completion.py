"""Completion, in real shells: what they put or show where a tab is typed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from gradsound import PRESETS
from gradsound.cli.main import main
from gradsound.synth.voices.builtin import VOICES

BIN = Path(sys.executable).parent
# What is typed, and what the last word of it may become; one is put there at once.
LINES = {
    "gradsound ren": ["render"],
    "gradsound ": [
        *("completion", "devices", "info", "legend", "locate"),
        *("play", "plot", "render", "serve", "voices"),
    ],
    "gradsound render --diff": ["--difference"],
    "gradsound render run.jsonl --preset ": [*PRESETS],
    "gradsound play run.jsonl --voice ": [*VOICES],
    "gradsound voices pl": ["pluck"],
    "gradsound legend run.jsonl --preset per": ["perone2019"],
    "gradsound render run.jsonl --scale penta": ["pentatonic"],
    "gradsound play run.jsonl --latency ": ["low", "safe"],
    "gradsound render run.jsonl --subtype ": ["PCM_16", "PCM_24", "FLOAT", "VORBIS"],
    "gradsound info zet": ["zeta.jsonl"],
    "gradsound info --json zet": ["zeta.jsonl"],
    "gradsound info the": [r"the\ run.jsonl"],
    "gradsound render run.jsonl zet": ["zeta.jsonl"],
    "gradsound render run.jsonl -o fol": ["folder/"],
    "gradsound completion ": ["bash", "zsh", "fish"],
}
LOADS = {
    "bash": "source <(gradsound completion bash)",
    "zsh": (
        "mkdir .f; gradsound completion zsh > .f/_gradsound; fpath=($PWD/.f $fpath); "
        "autoload -Uz compinit; compinit -u -D"
    ),
}
PLAINLY = {
    "bash": "bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'",
    "zsh": "unsetopt beep prompt_cr prompt_sp; setopt no_always_last_prompt",
}
STARTS = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
PROMPT = "ready> "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where shells start, and find the command."""
    for name in ("run.jsonl", "the run.jsonl", "zeta.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path


def path_of(shell: str) -> str:
    """Where a shell is, if there is one."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell}")
    return found


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("shell", LOADS)
def test_a_tab_completes(shell: str) -> None:
    """Commands, options, names and files, as in a terminal."""
    started = [path_of(shell), STARTS[shell]]
    child = pexpect.spawn(*started, encoding="utf-8", dimensions=(60, 200), timeout=20)
    child.sendline(f"{LOADS[shell]}; {PLAINLY[shell]}; PS1='rea''dy> '")
    child.expect_exact(PROMPT)
    for line, wanted in LINES.items():
        child.send(f"{line}\t")
        if len(wanted) == 1:
            child.expect_exact(f"{line.rpartition(' ')[0]} {wanted[0]}")
        else:
            child.expect_exact(f"{PROMPT}{line}")  # once more, below the list
            listed = child.before.partition(line)[2]
            words = [re.split("  +", row)[0] for row in listed.splitlines() if "--" in row]
            assert {*(words or listed.split())} == {*wanted}
        child.send("\x03")
        child.expect_exact(PROMPT)
    child.close()


@pytest.mark.parametrize("line", LINES)
def test_fish_completes(folder: Path, line: str) -> None:
    """What it says itself that a tab would offer."""
    script = folder / "ask.fish"
    script.write_text(f"gradsound completion fish | source\ncomplete -C '{line}'\n")
    done = subprocess.run(
        [path_of("fish"), "--no-config", script], capture_output=True, text=True, check=True
    )
    offered = [row.partition("\t")[0] for row in done.stdout.splitlines()]

    assert {*offered} == {word.replace("\\", "") for word in LINES[line]}


@pytest.mark.usefixtures("folder")
def test_zsh_may_evaluate_it() -> None:
    """As the page has it for a start file, after compinit."""
    script = (
        "autoload -Uz compinit; compinit -u -D; "
        'eval "$(gradsound completion zsh)"; print $_comps[gradsound]'
    )
    done = subprocess.run(
        [path_of("zsh"), "-f", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "_shtab_gradsound\n"


def test_without_shtab_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        main(["completion", "bash"])

    assert ended.value.code == 2
    wanted = "gradsound: shtab is not installed: pip install 'gradsound[completion]'\n"
    assert capsys.readouterr().err == wanted
