"""Demos: each runs in a process of its own, as a new user runs it."""

import ast
import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.scores import END

import gradsound

DEMOS = Path(__file__).parents[2] / "demos"
TORCHVISION = Path(sys.prefix) / "torchvision"  # where `make test` puts it


def run(
    *command: object, status: int = 0, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    process = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == status, process.stderr
    return process


def five_runs(folder: Path, *options: object, status: int = 0) -> str:
    process = run(DEMOS / "five_runs.py", *options, status=status, folder=folder)
    return process.stderr if status else process.stdout


def test_five_runs(tmp_path: Path) -> None:
    """Each of the five writes a run, a sound, captions, a picture and a table row."""
    output = five_runs(tmp_path, "--steps", 12)
    rows = output.splitlines()[1:]
    stems = [
        "1-sgd-lr0.01-batch10",
        "2-sgd-lr0.1-batch10",
        "3-sgd-lr1-batch10",
        "4-sgd-lr1-batch256",
        "5-adam-lr0.01-batch10",
    ]
    expected = {f"{stem}.{end}" for stem in stems for end in ("jsonl", "wav", "vtt", "png")}

    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    assert [row.split()[:2] for row in rows] == [
        [f"out/{stem}.wav", "0.7"] for stem in stems
    ]
    for stem in stems:
        run = gradsound.read_run(tmp_path / "out" / f"{stem}.jsonl")
        assert run.header.layers == ("conv1", "conv2", "fc1", "fc2")
        assert run.header.parameters == (520, 25_050, 400_500, 5_010)
        assert len(list(run.steps)) == 12
        assert soundfile.info(tmp_path / "out" / f"{stem}.wav").frames == 12 * 2646
        assert (tmp_path / "out" / f"{stem}.png").stat().st_size > 20_000
    assert "step" in rows[2]  # a rate of 1.0 explodes, and the table says where


def test_five_runs_can_be_chosen(tmp_path: Path) -> None:
    """A user picks some of the five, or combines optimizers, rates and batch sizes."""
    five_runs(tmp_path, "--steps", 2, "--runs", 5, 1, "--preset", "notes", "--out", "a/b")
    names = {path.name for path in (tmp_path / "a" / "b").glob("*.wav")}
    assert names == {"1-sgd-lr0.01-batch10.wav", "5-adam-lr0.01-batch10.wav"}

    own = ("--optimizer", "sgd", "adam", "--lr", 0.2, "--batch-size", 3, 4)
    output = five_runs(tmp_path, "--steps", 2, "--out", "c", *own)
    assert [row.split()[0] for row in output.splitlines()[1:]] == [
        "c/1-sgd-lr0.2-batch3.wav",
        "c/2-sgd-lr0.2-batch4.wav",
        "c/3-adam-lr0.2-batch3.wav",
        "c/4-adam-lr0.2-batch4.wav",
    ]


def test_five_runs_where_layers_rest(tmp_path: Path) -> None:
    """The table has a sentence too for a run whose layers are 0 for a while."""
    process = run(
        *(DEMOS / "five_runs.py", "--runs", 5, "--seed", 2),
        folder=tmp_path,
        PYTHONWARNINGS="",
    )

    assert "inf" not in process.stdout
    assert "Warning" not in process.stderr


def test_five_runs_again(tmp_path: Path) -> None:
    """A second run gives the same sounds and keeps no older runs."""
    sounds = []
    for _ in range(2):
        five_runs(tmp_path, "--steps", 4, "--runs", 1)
        sounds.append((tmp_path / "out" / "1-sgd-lr0.01-batch10.wav").read_bytes())

    assert sounds[0] == sounds[1]
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runs", 6], "invalid choice: 6"),
        (["--lr", -1], "argument --lr: must be above 0, got -1"),
        (["--lr", "nan"], "must be above 0, got nan"),
        (["--steps", 0], "must be above 0, got 0"),
        (["--batch-size", 1.5], "invalid int value: '1.5'"),
        (["--optimizer", "lion"], "invalid choice: 'lion'"),
        (["--runs", 1, "--lr", 0.1], "leave it out with runs of your own"),
        (["--preset", "note"], "invalid choice: 'note'"),
        (["--seed", 2**64], "argument --seed: must be 0 to 2**63 - 1"),
        (["--out", "/dev/null/x"], "Not a directory: '/dev/null/x'"),
    ],
)
def test_five_runs_refuses(tmp_path: Path, options: list[object], message: str) -> None:
    """A wrong option ends the demo with one line, before any training."""
    assert message in five_runs(tmp_path, *options, status=2)


@pytest.mark.skipif(not TORCHVISION.is_dir(), reason="`make test` installs torchvision")
def test_five_runs_on_all_of_mnist(tmp_path: Path) -> None:
    """--data reads torchvision's MNIST, here from a folder that has it already."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (DEMOS / "mnist").glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    # torchvision's build may not fit torch's; importing it then needs two operators known.
    paths = f"import sys; sys.path[:0] = [{str(TORCHVISION)!r}, {str(DEMOS)!r}]"
    command = [sys.executable, "-c", f"{paths}; import torchvision"]
    fits = subprocess.run(command, capture_output=True, check=False).returncode == 0
    code = f"""if True:
        {paths}
        import runpy
        import torch
        if not {fits}:
            library = torch.library.Library("torchvision", "DEF")
            arguments = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define("nms" + arguments)
            library.define("qnms" + arguments)
        sys.argv = ["five_runs.py", "--steps", "3", "--runs", "1"] + sys.argv[1:]
        runpy.run_path({str(DEMOS / "five_runs.py")!r}, run_name="__main__")
        assert "torchvision.datasets" in sys.modules or "--data" not in sys.argv
    """
    runs = []
    for options in (("--data", "data"), ()):
        run("-c", code, *options, folder=tmp_path)
        path = tmp_path / "out" / "1-sgd-lr0.01-batch10.jsonl"
        runs.append([step.norms for step in gradsound.read_run(path).steps])

    np.testing.assert_array_equal(runs[0], runs[1])  # they are the same digits


def test_without_torchvision_the_error_names_the_remedy(tmp_path: Path) -> None:
    """--data without torchvision ends with one line that names the remedy."""
    stderr_text = five_runs(tmp_path, "--data", "data", status=2)

    assert "--data needs torchvision: pip install torchvision" in stderr_text


def test_first_sound(tmp_path: Path) -> None:
    """The demo to copy has at most 15 lines and writes a sound."""
    demo = DEMOS / "first_sound.py"
    run(demo, folder=tmp_path)

    assert len(demo.read_text().splitlines()) <= 15
    assert soundfile.info(tmp_path / "first_sound.wav").frames == 50 * 12_348 + END
    assert len(list(gradsound.read_run(tmp_path / "run.jsonl").steps)) == 50


@pytest.mark.parametrize("demo", sorted(DEMOS.glob("*.py")), ids=lambda path: path.name)
def test_every_demo_says_what_it_is(demo: Path) -> None:
    """A demo begins with its docstring."""
    assert ast.get_docstring(ast.parse(demo.read_text()))
