"""Standard input as the run of a command that reads it several times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import gradsound
from gradsound.runs.restarts import encode_restart

COMMAND = [sys.executable, "-m", "gradsound"]
LOG = "step,grad_norm,loss\n20,0.5,3.5\n40,0.25,3.25\n60,0.75,3\n"


def command(
    folder: Path, *arguments: str, data: bytes | None = None, **options: object
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command in a folder, which is also that of its temporary files."""
    names = os.environ | {"TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [*COMMAND, *arguments],
        input=data,
        capture_output=True,
        check=False,
        cwd=folder,
        env=names,
        **options,
    )


def test_info_of_standard_input_is_that_of_the_file(tmp_path: Path, save) -> None:
    """A run file and a log of another tool; steps that were taken back count once."""
    path = save([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    line = b'{"step": 1, "time": 1.5, "norms": [8.0, 9.0]}\n'
    path.write_bytes(path.read_bytes() + encode_restart(1, "", "") + line)
    (tmp_path / "log.csv").write_text(LOG)
    for name in ("run.jsonl", "log.csv"):
        of_file = command(tmp_path, "info", name)
        data = (tmp_path / name).read_bytes()
        of_input = command(tmp_path, "info", "-", data=data)

        assert (of_input.returncode, of_input.stderr) == (0, b"")
        text = of_input.stdout.decode()
        assert text == of_file.stdout.decode().replace(name, "standard input", 1)
        steps = json.loads(command(tmp_path, "info", "-", "--json", data=data).stdout)
        assert steps["steps"] == (2 if name == "run.jsonl" else 3)
    assert not [*(tmp_path / "tmp").iterdir()]


def test_sounds_and_pictures_of_standard_input(tmp_path: Path, save) -> None:
    """They are those of the file, also as the second run; no temporary file stays."""
    path, other = save([[1.0, 2.0]] * 3), save([[4.0, 3.0]] * 3, name="other.jsonl")
    data, second = path.read_bytes(), other.read_bytes()
    gradsound.render(path, tmp_path / "file.wav")
    gradsound.render(path, tmp_path / "two.wav", other=other)
    for arguments, stdin, expected in (
        (("render", "-"), data, "file.wav"),
        (("render", str(path), "-"), second, "two.wav"),
        (("render", "-", str(other)), data, "two.wav"),
    ):
        process = command(tmp_path, *arguments, "-o", "input.wav", data=stdin)
        assert (process.returncode, process.stderr) == (0, b"")
        # Not the bytes: the markers of a comparison have the names of the runs.
        written, file = (soundfile.read(tmp_path / x)[0] for x in ("input.wav", expected))
        np.testing.assert_array_equal(written, file)
    for arguments in (("plot", "-", "-o", "x.png"), ("legend", "-", "-o", "x.wav")):
        assert command(tmp_path, *arguments, data=data).returncode == 0
        assert (tmp_path / arguments[-1]).stat().st_size > 1000
    located = command(tmp_path, "locate", "-", "--step", "2", data=data)
    assert located.stdout.startswith(b"step 2 is at ")
    assert not [*(tmp_path / "tmp").iterdir()]


@pytest.mark.parametrize(
    ("arguments", "data", "message"),
    [
        ("info -", b"", "standard input: empty, expected a run"),
        ("info -", b"hello\n", "standard input: is a text in which no line has a step"),
        ("plot - -o x.png", b'{"format"', "standard input: is a text in which no line"),
        ("info - --norms x", b"", "standard input: a run file says itself what"),
        (
            "info -",
            b"step,loss\n1,2\n",
            "standard input: nothing in it is called as the norm",
        ),
        ("render - - -o x.wav", b"", "standard input has one run: save the other one"),
        ("info - --then a.jsonl", b"", "neither with --follow nor with standard input"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, arguments: str, data: bytes, message: str
) -> None:
    """The line names standard input, not the temporary file, which does not stay."""
    process = command(tmp_path, *arguments.split(), data=data)
    errors = process.stderr.decode()

    assert (process.returncode, process.stdout) == (2, b"")
    assert errors.startswith("gradsound: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["tmp"]
    assert not [*(tmp_path / "tmp").iterdir()]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """The line names the temporary file, which does not stay."""
    code = (
        "import resource, sys; from gradsound.cli.main import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); main(sys.argv[1:])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "info", "-"],
        input=LOG.encode() * 1000,
        capture_output=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.returncode == 2
    assert process.stderr.startswith(f"gradsound: {tmp_path}/gradsound.".encode())
    assert process.stderr.endswith(b"/run: File too large\n")
    assert not [*tmp_path.iterdir()]


def test_a_closed_standard_input_is_one_line() -> None:
    """A shell may close standard input; the line says so."""
    line = f"{' '.join(COMMAND)} info - <&-"
    process = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert process.returncode == 2
    assert process.stderr == b"gradsound: standard input: Bad file descriptor\n"
