"""Completion in real shells: the words that bash, zsh and fish offer at a tab."""

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
# By the typed line: the completions of its last word. A shell inserts a single one.
LINES = {
    "gradsound ren": ["render"],
    "gradsound ": [
        *("attach", "completion", "demo", "detach", "devices", "info", "legend", "list"),
        "locate",
        *("play", "plot", "render", "run", "serve", "voices", "watch"),
    ],
    "gradsound render --diff": ["--difference"],
    "gradsound render run.jsonl --preset ": [*PRESETS],
    "gradsound play run.jsonl --voice ": [*VOICES],
    "gradsound voices pl": ["pluck"],
    "gradsound voices bell --emit ": ["aarch64", "riscv64", "wasm32", "x86_64"],
    "gradsound legend run.jsonl --preset per": ["perone2019"],
    "gradsound render run.jsonl --scale penta": ["pentatonic"],
    "gradsound play run.jsonl --latency ": ["low", "safe", "high"],
    "gradsound render run.jsonl --subtype ": [
        *("PCM_16", "PCM_24", "FLOAT", "VORBIS", "MPEG_LAYER_III", "OPUS")
    ],
    "gradsound info zet": ["zeta.jsonl"],
    "gradsound info --json zet": ["zeta.jsonl"],
    "gradsound info the": [r"the\ run.jsonl"],
    "gradsound render run.jsonl zet": ["zeta.jsonl"],
    "gradsound info run.jsonl run.jsonl run.jsonl zet": ["zeta.jsonl"],
    "gradsound plot run.jsonl run.jsonl --preset per": ["perone2019"],
    "gradsound render run.jsonl -o fol": ["folder/"],
    "gradsound render run.jsonl --ti": ["--title"],
    "gradsound list fol": ["folder/"],
    "gradsound watch --until nonf": ["nonfinite"],
    "gradsound watch --follow zet": ["zeta.jsonl"],
    "gradsound run --lay": ["--layers"],
    "gradsound run --web zet": ["zeta.jsonl"],
    "gradsound attach --wa": ["--wait", "--wav"],
    "gradsound demo -o fol": ["folder/"],
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
    """The working directory of the shells, with the command on their PATH."""
    for name in ("run.jsonl", "the run.jsonl", "zeta.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path


def path_of(shell: str) -> str:
    """Returns the path of a shell; skips the test without it."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs {shell}")
    return path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("shell", LOADS)
def test_a_tab_completes(shell: str) -> None:
    """Bash and zsh complete commands, options, names and files in a terminal."""
    command = [path_of(shell), STARTS[shell]]
    child = pexpect.spawn(*command, encoding="utf-8", dimensions=(60, 200), timeout=20)
    child.sendline(f"{LOADS[shell]}; {PLAINLY[shell]}; PS1='rea''dy> '")
    child.expect_exact(PROMPT)
    for line, completions in LINES.items():
        child.send(f"{line}\t")
        if len(completions) == 1:
            child.expect_exact(f"{line.rpartition(' ')[0]} {completions[0]}")
        else:
            child.expect_exact(f"{PROMPT}{line}")  # again, below the list
            screen = child.before.partition(line)[2]
            # Zsh prints a description after each, bash prints columns.
            rows = [row for row in screen.splitlines() if " -- " in row]
            words = [re.split("  +", row)[0] for row in rows]
            assert {*(words or screen.split())} == {*completions}
        child.send("\x03")
        child.expect_exact(PROMPT)
    child.close()


@pytest.mark.parametrize("line", LINES)
def test_fish_completes(folder: Path, line: str) -> None:
    """Fish offers the same completions, by its own command `complete -C`."""
    script = folder / "ask.fish"
    script.write_text(f"gradsound completion fish | source\ncomplete -C '{line}'\n")
    process = subprocess.run(
        [path_of("fish"), "--no-config", script], capture_output=True, text=True, check=True
    )
    offered = [row.partition("\t")[0] for row in process.stdout.splitlines()]

    assert {*offered} == {word.replace("\\", "") for word in LINES[line]}


@pytest.mark.usefixtures("folder")
def test_zsh_may_evaluate_it() -> None:
    """Zsh registers the completion by `eval`, as docs/command-line.md shows it."""
    script = (
        "autoload -Uz compinit; compinit -u -D; "
        'eval "$(gradsound completion zsh)"; print $_comps[gradsound]'
    )
    process = subprocess.run(
        [path_of("zsh"), "-f", "-c", script], capture_output=True, text=True, check=True
    )
    assert process.stdout == "_shtab_gradsound\n"


def test_without_shtab_the_error_has_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without shtab, the command prints how to install it, in one line."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as exit_info:
        main(["completion", "bash"])

    assert exit_info.value.code == 2
    expected = "gradsound: shtab is not installed: pip install shtab\n"
    assert capsys.readouterr().err == expected
