"""The process of a command: exit status, signals, streams, and the terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import started

import gradsound
from gradsound.cli.main import main

COMMAND = [sys.executable, "-m", "gradsound"]
EARLY = [
    sys.executable,
    "-c",
    "from gradsound.cli import main, progress\n"
    "progress._DELAY_SECONDS = progress._REFRESH_SECONDS = 0.01\n"
    "main.main()",
]  # the command, whose progress begins soon: a fast machine reads for no whole second
STEPS = 1_000_000
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command as a process; captures its streams unless options redirect them."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    line = [*COMMAND, *map(str, arguments)]
    return subprocess.run(line, text=True, check=False, **options)


def in_shell(line: str, **names: object) -> subprocess.CompletedProcess[str]:
    """Runs a line in sh; ``$G`` is the command, and each name is a variable."""
    environment = os.environ | {"G": " ".join(COMMAND)}
    environment |= {name: str(value) for name, value in names.items()}
    return subprocess.run(
        ["/bin/sh", "-c", line],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A long run with a torn last line."""
    path = tmp_path / "long.jsonl"
    header = {"format": "gradsound-run", "version": "1.2", "layers": ["a"]}
    with path.open("w") as file:
        file.write(json.dumps(header | {"parameters": [1]}) + "\n")
        for number in range(STEPS):
            file.write(f'{{"step": {number}, "time": {number}.5, "norms": [1.5]}}\n')
        file.write('{"step": 3')
    return path


def test_done_is_0_and_bad_input_is_2(tmp_path: Path, save) -> None:
    """The process exits with 0 on success and with 2 on bad input."""
    path = save([[1.0]] * 3)
    assert command("render", path, "-o", tmp_path / "x.wav").returncode == 0
    assert command("info", tmp_path / "no").returncode == 2
    assert command("info").returncode == 2


def test_a_defect_is_1_and_has_its_traceback(save) -> None:
    """A defect of gradsound itself prints its traceback and exits with 1."""
    code = (
        "import sys; from gradsound.cli import info_lines, main; "
        "info_lines.to_lines = None; main.main(sys.argv[1:])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "info", save([[1.0]])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "TypeError" in process.stderr


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_render_leaves_no_file(
    tmp_path: Path, save, kind: signal.Signals, status: int
) -> None:
    """SIGTERM and Ctrl-C remove the unfinished file, print nothing and set the status."""
    path = save([[1.0] * 50] * 3000)
    line = [*COMMAND, "render", path, "-o", tmp_path / "x.wav"]
    with started(line, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob("*.part")):
            assert process.poll() is None
        process.send_signal(kind)
        errors = process.stderr.read()

    assert (process.returncode, errors) == (status, b"")
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_closed_pipe_is_no_error(save) -> None:
    """If the reader of the output stops early, as head does, the command exits with 0."""
    path = save([[1.0] * 20_000], layers=tuple(f"layer{k}" for k in range(20_000)))
    for options in ([], ["--json"]):
        with started(
            [*COMMAND, "info", path, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.read(10)
            process.stdout.close()
            errors = process.stderr.read()

        assert (process.returncode, errors) == (0, b"")


WRITES = ("info {run}", "info {run} --json", "--help", "render --help", "--version")
WRITES += ("voices", "locate {run} 0", "completion bash", "watch {run} --follow")


@needs_full
@pytest.mark.parametrize("line", WRITES)
def test_output_that_cannot_be_written_is_an_error(save, line: str) -> None:
    """A full disk and a closed standard output exit with 2 and one line."""
    words = line.format(run=save([[1.0]] * 3)).split()
    with FULL.open("w") as full:
        process = command(*words, stdout=full)
    assert process.returncode == 2
    assert process.stderr == "gradsound: standard output: No space left on device\n"

    process = in_shell(f"$G {' '.join(words)} >&-")
    assert process.returncode == 2
    assert process.stderr == "gradsound: standard output: Bad file descriptor\n"


@needs_full
@pytest.mark.parametrize("kind", ["plot {run} -o {out}.png", "plot {run} -o {out}.svg"])
def test_a_picture_on_a_full_disk_is_an_error(tmp_path: Path, save, kind: str) -> None:
    """The error names the picture; the old one stays, and no other file."""
    out = tmp_path / "out"
    words = kind.format(run=save([[1 / 3, np.nan]] * 300), out=out).split()
    Path(words[-1]).write_text("old")
    before = sorted(tmp_path.iterdir())
    code = (
        "import resource, sys; from gradsound.cli.main import main;"
        "import matplotlib.pyplot;"  # it writes a cache of fonts
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); main(sys.argv[1:])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )

    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == f"gradsound: {words[-1]}: File too large\n"
    assert Path(words[-1]).read_text() == "old"
    assert sorted(tmp_path.iterdir()) == before


@needs_full
def test_errors_that_cannot_be_written_change_nothing(tmp_path: Path, save) -> None:
    """Without standard error, the status is the same and the sound is written."""
    for redirection in ("2>&-", "2>/dev/full", ">&- 2>&- <&-"):
        process = in_shell(f"$G info missing {redirection}")
        assert (process.returncode, process.stdout, process.stderr) == (2, "", "")
        assert in_shell(f"$G frobnicate {redirection}").returncode == 2

        out = tmp_path / "x.wav"
        line = f'$G render "$RUN" -o "$OUT" {redirection}'
        process = in_shell(line, RUN=save([[1.0]]), OUT=out)
        assert process.returncode == 0
        out.unlink()


def screen_lines(stderr_text: str) -> list[str]:
    """Returns the lines on the screen of a terminal without escape codes."""
    lines, column = [""], 0
    for character in stderr_text.replace("\r\n", "\n"):
        if character == "\n":
            lines.append("")
            column = 0
        elif character in "\r\b":
            column = 0 if character == "\r" else column - 1
        else:
            assert character.isprintable(), repr(character)
            line = lines[-1].ljust(column)
            lines[-1] = line[:column] + character + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def in_terminal(
    *arguments: object, program: list[str] = COMMAND, **names: str
) -> tuple[str, str, int]:
    """Returns standard output, the terminal's text as standard error, and the status."""
    test_end, command_end = pty.openpty()
    line = [*program, *map(str, arguments)]
    with started(
        line, stdout=subprocess.PIPE, stderr=command_end, env=os.environ | names
    ) as process:
        os.close(command_end)
        stderr_text = b""
        while True:
            try:
                select.select([test_end], [], [])
                stderr_text += os.read(test_end, 4096)
            except OSError:  # the command has closed its end
                break
        out = process.stdout.read()
    os.close(test_end)
    return out.decode(), stderr_text.decode(), process.returncode


@pytest.mark.parametrize("line", ["info {run}", "render {run} -o {folder}/x.vtt"])
def test_progress_is_shown_in_a_terminal(tmp_path: Path, long: Path, line: str) -> None:
    """A terminal shows steps read, their total and the time; then each warning once."""
    words = line.format(run=long, folder=tmp_path).split()
    out, stderr_text, status = in_terminal(*words, program=EARLY)
    warning = (
        f"gradsound: {long}: line {STEPS + 2} is torn and left out; the run ends there"
    )

    assert status == 0
    updates = re.findall(rf"([\d,]+) of {STEPS:,} steps, 0:\d\d", stderr_text)
    counts = [int(count.replace(",", "")) for count in updates]
    assert counts
    assert min(counts) < STEPS  # while it reads, not once at its end
    restarts = sum(later < earlier for earlier, later in pairwise(counts))
    assert restarts <= line.startswith("render")  # rendering reads a run twice
    assert screen_lines(stderr_text) == [warning, ""]
    assert f"of {STEPS:,}" not in out
    assert "\x1b" not in stderr_text


def test_progress_is_in_no_pipe(long: Path) -> None:
    """A pipe gets no progress, only warnings."""
    process = command("info", long)
    assert process.stderr.count("\n") == 1
    assert "torn" in process.stderr
    assert process.stdout.count("\n") == 5
    assert "\r" not in process.stdout + process.stderr


def test_a_short_command_shows_no_progress(save) -> None:
    """A command that takes under a second shows no progress."""
    assert in_terminal("info", save([[1.0]]))[1:] == ("", 0)


def test_an_error_ends_progress(long: Path) -> None:
    """An error erases the progress and stands on a line of its own."""
    with long.open("a") as file:
        file.write("}\n")
    _, stderr_text, status = in_terminal("info", long, program=EARLY)

    assert status == 2
    assert re.search(r"steps, \d+:\d\d", stderr_text)
    (error, last) = screen_lines(stderr_text)
    assert error.startswith(f"gradsound: {long}, line {STEPS + 2}: ")
    assert last == ""


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("preset", ["notes", "perone2019"])
def test_captions_of_play_stay(save, preset: str) -> None:
    """`gradsound play` prints every caption of the WebVTT file above the status line."""
    norms = [[1.0, 2.0]] * 30
    norms[10] = norms[11] = [np.nan, 1.0]
    path = save(norms)
    gradsound.render(path, path.with_suffix(".vtt"), preset=preset)
    cues = path.with_suffix(".vtt").read_text().split("\n\n")[1:]
    captions = [line for cue in cues for line in cue.strip().split("\n")[1:]]
    _, stderr_text, status = in_terminal("play", path, "--preset", preset)
    *lines, last = screen_lines(stderr_text)

    assert status == 0
    assert len(captions) == 3
    assert [line.partition(" ")[2] for line in lines] == captions
    assert "step 29  volume 100%" in stderr_text
    assert last == ""


def test_there_are_no_colours(tmp_path: Path, save) -> None:
    """No command prints an escape code, in a pipe or in any terminal."""
    path = save([[1.0]] * 3)
    (tmp_path / "x").mkdir()
    lines = [
        ["--help"],
        ["info", path],
        ["info", path, "--json"],
        ["info", "missing"],
        ["voices"],
        ["locate", path, "0"],
        ["legend", path, "-o", tmp_path / "x" / "x.flac"],
        ["frobnicate"],
    ]
    for line in lines:
        process = command(*line, env=os.environ | {"TERM": "xterm-256color"})
        assert "\x1b" not in process.stdout + process.stderr
    for names in ({"TERM": "dumb"}, {"TERM": "xterm-256color", "NO_COLOR": "1"}):
        assert "\x1b" not in "".join(in_terminal("info", "missing", **names)[:2])


# By the command: the error of a path that it cannot write or read.
CLOSED_PATHS = {
    "render run.jsonl -o no/x.wav": "no/x.wav: No such file or directory",
    "render run.jsonl -o file/x.wav": "file/x.wav: Not a directory",
    "plot run.jsonl -o folder.png": "folder.png: Is a directory",
    "legend run.jsonl -o locked/x.wav": "locked/x.wav: Permission denied",
    "render run.jsonl -o locked/x.wav": "locked/x.wav: Permission denied",
    "plot run.jsonl -o locked/x.png": "locked/x.png: Permission denied",
    "voices bell -o locked/x.wav": "locked/x.wav: Permission denied",
    "voices bell --emit wasm32 -o locked/x.wasm": "locked/x.wasm: Permission denied",
    "info secret.jsonl": "secret.jsonl: Permission denied",
    "play secret.jsonl": "secret.jsonl: Permission denied",
    "run secret.jsonl": "secret.jsonl: Permission denied",
}


@pytest.mark.skipif(
    os.getuid() == 0 and not hasattr(os, "setresuid"), reason="needs a user"
)
@pytest.mark.parametrize("line", CLOSED_PATHS)
def test_closed_paths(tmp_path: Path, save, line: str) -> None:
    """A path without permission, or in a file, exits with 2 and one line."""
    secret = save([[1.0]], name="secret.jsonl")
    save([[1.0]] * 3)
    (tmp_path / "file").touch()
    for name in ("folder.png", "locked"):
        (tmp_path / name).mkdir()
    secret.chmod(0)
    (tmp_path / "locked").chmod(0o500)
    # Root may open any path, unless it gives up these two capabilities.
    setpriv = "setpriv --bounding-set -dac_override,-dac_read_search --"
    prefix = setpriv.split() if os.getuid() == 0 else []
    process = subprocess.run(
        [*prefix, *COMMAND, *line.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == f"gradsound: {CLOSED_PATHS[line]}\n"


def test_a_file_that_is_read_only_is_replaced(tmp_path: Path, save) -> None:
    """A command replaces a read-only file, as mv does: the folder's permission counts."""
    path = save([[1.0]] * 3)
    (tmp_path / "x.wav").write_text("old")
    (tmp_path / "x.wav").chmod(0o400)
    with pytest.raises(SystemExit) as exit_info:
        main(["render", str(path), "-o", str(tmp_path / "x.wav")])

    assert exit_info.value.code == 0
    assert (tmp_path / "x.wav").read_bytes()[:4] == b"RIFF"


def test_file_names_may_be_any(tmp_path: Path, save) -> None:
    """Names may have spaces, other alphabets, a dash; that of an input, invalid UTF-8."""
    for name in ("Übung 実験.jsonl", "-x.jsonl"):
        path = save([[1.0]] * 3, name=name)
        out = path.with_suffix(".wav")
        process = command("render", path, "-o", out, env=os.environ | {"LC_ALL": "C"})
        assert (process.returncode, process.stderr) == (0, "")
        gradsound.render(path, tmp_path / "same.wav")
        assert out.read_bytes() == (tmp_path / "same.wav").read_bytes()
    path = save([[1.0]] * 3, name=os.fsdecode(b"\xff.jsonl"))
    process = command("info", path, env=os.environ | {"LC_ALL": "C"})
    assert (process.returncode, process.stderr) == (0, "")
    assert r"\udcff.jsonl" in process.stdout
