"""What the command line does to those who started it: its status, streams and terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradsound
from gradsound.cli.main import main

COMMAND = [sys.executable, "-m", "gradsound"]
STEPS = 300_000  # which take several seconds to read
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """The command, as a process; what it said, where it is not sent elsewhere."""
    ends = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    line = [*COMMAND, *map(str, arguments)]
    return subprocess.run(line, text=True, check=False, **ends)


def in_shell(line: str, **names: object) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which ``$G`` is the command, with names for the rest."""
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
    """A run that takes several seconds to read, and whose last line is torn."""
    path = tmp_path / "long.jsonl"
    header = {"format": "gradsound-run", "version": "1.2", "layers": ["a"]}
    with path.open("w") as file:
        file.write(json.dumps(header | {"parameters": [1]}) + "\n")
        for number in range(STEPS):
            file.write(f'{{"step": {number}, "time": {number}.5, "norms": [1.5]}}\n')
        file.write('{"step": 3')
    return path


def test_done_is_0_and_bad_input_is_2(tmp_path: Path, save) -> None:
    """For whoever started the process."""
    path = save([[1.0]] * 3)
    assert command("render", path, "-o", tmp_path / "x.wav").returncode == 0
    assert command("info", tmp_path / "no").returncode == 2
    assert command("info").returncode == 2


def test_a_fault_is_1_and_has_its_traceback(save) -> None:
    """What is nobody's input must be found, not hidden."""
    code = (
        "import sys; from gradsound.cli import info, main; info.lines = None; "
        "main.main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "info", save([[1.0]])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "TypeError" in done.stderr


@pytest.mark.parametrize(("ends", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_render_that_is_ended_leaves_nothing(
    tmp_path: Path, save, ends: signal.Signals, status: int
) -> None:
    """SIGTERM, as schedulers send it, and Ctrl-C: both clear up first, in silence."""
    path = save([[1.0] * 50] * 3000)
    line = [*COMMAND, "render", path, "-o", tmp_path / "x.wav"]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob("*.part")):
            assert process.poll() is None
        process.send_signal(ends)
        said = process.stderr.read()

    assert (process.returncode, said) == (status, b"")
    assert [found.name for found in tmp_path.iterdir()] == ["run.jsonl"]


def test_output_that_nobody_reads_is_no_error(save) -> None:
    """A reader that has seen enough, such as head, gets no traceback into its terminal."""
    path = save([[1.0] * 20_000], layers=tuple(f"layer{k}" for k in range(20_000)))
    for options in ([], ["--json"]):
        with subprocess.Popen(
            [*COMMAND, "info", path, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.read(10)
            process.stdout.close()
            said = process.stderr.read()

        assert (process.returncode, said) == (0, b"")


WRITES = ("info {run}", "info {run} --json", "--help", "render --help", "--version")
WRITES += ("voices", "locate {run} 0", "completion bash")


@needs_full
@pytest.mark.parametrize("line", WRITES)
def test_output_that_cannot_be_written_is_an_error(save, line: str) -> None:
    """Because a disk is full, or a shell closed it."""
    words = line.format(run=save([[1.0]] * 3)).split()
    with FULL.open("w") as full:
        done = command(*words, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "gradsound: standard output: No space left on device\n"

    done = in_shell(f"$G {' '.join(words)} >&-")
    assert done.returncode == 2
    assert done.stderr == "gradsound: standard output: Bad file descriptor\n"


@needs_full
def test_complaints_that_cannot_be_written_change_nothing(tmp_path: Path, save) -> None:
    """The status is the same, and a sound is written."""
    for ends in ("2>&-", "2>/dev/full", ">&- 2>&- <&-"):
        done = in_shell(f"$G info missing {ends}")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
        assert in_shell(f"$G frobnicate {ends}").returncode == 2

        out = tmp_path / "x.wav"
        done = in_shell(f'$G render "$RUN" -o "$OUT" {ends}', RUN=save([[1.0]]), OUT=out)
        assert done.returncode == 0
        out.unlink()


def as_shown(written: str) -> list[str]:
    """The lines that a terminal has then, which knows no escape codes."""
    lines, place = [""], 0
    for character in written.replace("\r\n", "\n"):
        if character == "\n":
            lines.append("")
            place = 0
        elif character in "\r\b":
            place = 0 if character == "\r" else place - 1
        else:
            assert character.isprintable(), repr(character)
            line = lines[-1].ljust(place)
            lines[-1] = line[:place] + character + line[place + 1 :]
            place += 1
    return [line.rstrip() for line in lines]


def in_terminal(*arguments: object, **names: str) -> tuple[str, str, int]:
    """What it printed, what it wrote to a terminal as standard error, and its status."""
    ours, theirs = pty.openpty()
    line = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | names
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                select.select([ours], [], [])
                written += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        out = process.stdout.read()
    os.close(ours)
    return out.decode(), written.decode(), process.returncode


@pytest.mark.parametrize("line", ["info {run}", "render {run} -o {folder}/x.vtt"])
def test_progress_is_shown_in_a_terminal(tmp_path: Path, long: Path, line: str) -> None:
    """How many steps of how many, and for how long; gone when done. Warnings stay."""
    words = line.format(run=long, folder=tmp_path).split()
    out, written, status = in_terminal(*words)
    warning = (
        f"gradsound: {long}: line {STEPS + 2} is torn and left out; the run ends there"
    )

    assert status == 0
    seen = re.findall(r"([\d,]+) of 300,000 steps, 0:0\d", written)
    counts = [int(count.replace(",", "")) for count in seen]
    assert len(counts) > 5  # not once, when all is over
    assert counts == sorted(counts)
    assert as_shown(written) == [warning, ""]
    assert "of 300,000" not in out
    assert "\x1b" not in written


def test_progress_is_in_no_pipe(long: Path) -> None:
    """Nor in a file."""
    done = command("info", long)
    assert done.stderr.count("\n") == 1
    assert "torn" in done.stderr
    assert done.stdout.count("\n") == 5
    assert "\r" not in done.stdout + done.stderr


def test_what_is_done_at_once_needs_no_progress(save) -> None:
    """Under a second, nothing is shown."""
    assert in_terminal("info", save([[1.0]]))[1:] == ("", 0)


def test_an_error_ends_progress(long: Path) -> None:
    """Its line is on its own."""
    with long.open("a") as file:
        file.write("}\n")
    _, written, status = in_terminal("info", long)

    assert status == 2
    assert "steps, 0:0" in written
    (shown, rest) = as_shown(written)
    assert shown.startswith(f"gradsound: {long}, line {STEPS + 2}: ")
    assert rest == ""


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("preset", ["notes", "perone2019"])
def test_captions_of_play_stay(save, preset: str) -> None:
    """Above the line that changes, as they are in the file of captions, to the last."""
    norms = [[1.0, 2.0]] * 30
    norms[10] = norms[11] = [np.nan, 1.0]
    path = save(norms)
    gradsound.render(path, path.with_suffix(".vtt"), preset=preset)
    cues = path.with_suffix(".vtt").read_text().split("\n\n")[1:]
    told = [line for cue in cues for line in cue.strip().split("\n")[2:]]
    _, written, status = in_terminal("play", path, "--preset", preset)
    *shown, rest = as_shown(written)

    assert status == 0
    assert len(told) == 3
    assert [line.partition(" ")[2] for line in shown] == told
    assert "step 29  volume 100%" in written
    assert rest == ""


def test_there_are_no_colours(tmp_path: Path, save) -> None:
    """No escape code, in a pipe or in a terminal, whatever the terminal can."""
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
        done = command(*line, env=os.environ | {"TERM": "xterm-256color"})
        assert "\x1b" not in done.stdout + done.stderr
    for names in ({"TERM": "dumb"}, {"TERM": "xterm-256color", "NO_COLOR": "1"}):
        assert "\x1b" not in "".join(in_terminal("info", "missing", **names)[:2])


# Where a file is to be written, and what is said. The folder is made by the test.
PLACES = {
    "render run.jsonl -o no/x.wav": "no/x.wav: No such file or directory",
    "render run.jsonl -o file/x.wav": "file/x.wav: Not a directory",
    "plot run.jsonl -o folder.png": "folder.png: Is a directory",
    "legend run.jsonl -o locked/x.wav": "locked/x.wav: Permission denied",
    "render run.jsonl -o locked/x.wav": "locked/x.wav: Permission denied",
    "plot run.jsonl -o locked/x.png": "locked/x.png: Permission denied",
    "voices bell -o locked/x.wav": "locked/x.wav: Permission denied",
    "info secret.jsonl": "secret.jsonl: Permission denied",
    "play secret.jsonl": "secret.jsonl: Permission denied",
}


@pytest.mark.skipif(
    os.getuid() == 0 and not hasattr(os, "setresuid"), reason="needs a user"
)
@pytest.mark.parametrize("line", PLACES)
def test_places_that_are_closed(tmp_path: Path, save, line: str) -> None:
    """One line each, and nothing is left there."""
    secret = save([[1.0]], name="secret.jsonl")
    save([[1.0]] * 3)
    (tmp_path / "file").touch()
    for name in ("folder.png", "locked"):
        (tmp_path / name).mkdir()
    secret.chmod(0)
    (tmp_path / "locked").chmod(0o500)
    # Nothing is closed to root, but to one without these rights.
    plain = "setpriv --bounding-set -dac_override,-dac_read_search --"
    before = plain.split() if os.getuid() == 0 else []
    done = subprocess.run(
        [*before, *COMMAND, *line.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"gradsound: {PLACES[line]}\n"


def test_a_file_that_is_read_only_is_replaced(tmp_path: Path, save) -> None:
    """As mv and other tools that write beside do: it is the folder that says no."""
    path = save([[1.0]] * 3)
    (tmp_path / "x.wav").write_text("old")
    (tmp_path / "x.wav").chmod(0o400)
    with pytest.raises(SystemExit) as ended:
        main(["render", str(path), "-o", str(tmp_path / "x.wav")])

    assert ended.value.code == 0
    assert (tmp_path / "x.wav").read_bytes()[:4] == b"RIFF"


def test_names_may_be_any(tmp_path: Path, save) -> None:
    """Of other alphabets, or with spaces; of bytes that are no text, for what reads."""
    for name in ("Übung 実験.jsonl", "-x.jsonl"):
        path = save([[1.0]] * 3, name=name)
        out = path.with_suffix(".wav")
        done = command("render", path, "-o", out, env=os.environ | {"LC_ALL": "C"})
        assert (done.returncode, done.stderr) == (0, "")
        gradsound.render(path, tmp_path / "same.wav")
        assert out.read_bytes() == (tmp_path / "same.wav").read_bytes()
    path = save([[1.0]] * 3, name=os.fsdecode(b"\xff.jsonl"))
    done = command("info", path, env=os.environ | {"LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\udcff.jsonl" in done.stdout
