"""What a training survives: a share of `tests/stress/faults.py`, and what it rests on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.models import sgd, small, train
from helpers.processes import MARK, processes, until, zombies
from helpers.runs import make_run

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.output.sound_file import write_sound
from gradsound.runs import writer
from gradsound.runs.writer import RunWriter
from gradsound.synth.mixer import Samples

TESTS = Path(__file__).parents[1]
FAULTS = Path(__file__).with_name("faults.py")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def numbers(path: str = "run.jsonl") -> list[int]:
    return [step.number for step in gradsound.read_run(path).steps]


def a_moment_later(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Long enough for the recorder to look again at the next step."""
    time.sleep(0.6)
    train(model, optimizer, 1)


@pytest.mark.parametrize(
    ("times", "faults"),
    [
        (3, ("kill_trainer", "end_trainer")),
        (2, ("kill_renderer", "kill_page")),
        (2, ("log_replaced", "files_exhausted", "memory_exhausted")),
    ],
)
def test_faults_at_random_moments_are_survived(times: int, faults: tuple[str, ...]) -> None:
    """With the weights of a training that nobody hears, and a run that is whole."""
    pytest.importorskip("websockets", reason="needs websockets")
    done = subprocess.run(
        [sys.executable, FAULTS, *faults, "--times", str(times), "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def limited(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in which `limit` has a file grow to so many bytes at most."""
    before = f"""if True:
    import resource, sys, time, warnings
    sys.path.insert(0, {str(TESTS)!r})
    import gradsound
    from helpers.models import *
    warnings.simplefilter("always")
    def limit(size):
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""
    return subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, check=False
    )


def test_what_has_no_room_waits_for_it() -> None:
    """A disk that was full for a while costs nothing, and is told of once."""
    done = limited("""
    limit(5000)
    with gradsound.attach(model, optimizer):
        for _ in range(4):
            train(model, optimizer, 50)
            time.sleep(0.11)
        limit(-1)
        train(model, optimizer, 50)
    """)

    assert numbers() == [*range(250)], done.stderr
    assert done.returncode == 0
    assert done.stderr.count("GradsoundWarning") == 1
    assert "run.jsonl: File too large; steps from" in done.stderr
    assert "on wait until there is room, training goes on" in done.stderr


def test_a_disk_without_room_for_the_first_line() -> None:
    """attach() says which file, and the run that was there keeps its name."""
    Path("run.jsonl").write_text("older\n")
    done = limited("""
    limit(10)
    gradsound.attach(model, optimizer)
    """)

    assert done.returncode == 1
    assert "File too large: 'run.jsonl'" in done.stderr.splitlines()[-1]
    assert Path("run.jsonl").read_text() == "older\n"
    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]


def test_a_device_is_not_removed() -> None:
    """A log that cannot be written, and was not made by us."""
    Path("full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device: 'full'"):
        gradsound.attach(small(), log="full")

    assert Path("full").is_symlink()


def test_too_much_that_waits_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has an end, too: what comes then is missing, whatever waited is not."""
    monkeypatch.setattr(writer, "_WAITING_MAX", 200)  # bytes
    steps = make_run([[1 / 3]] * 20).steps
    growing = RunWriter(Path("run.jsonl"), make_run([[1.0]]).header)
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 (closed below)
    room, growing._file = growing._file, full
    for step in steps[:10]:
        with pytest.raises(OSError, match="No space left"):
            growing.write([step])
    waiting, left_out = [*growing.waiting], growing.left_out
    growing._file.close()
    growing._file = room
    for step in steps[10:]:
        growing.write([step])
    growing.close()

    assert waiting == [*range(len(waiting))]
    assert 0 < left_out == 10 - len(waiting)
    assert numbers() == [*waiting, *range(11, 20)]


def test_a_log_that_is_removed_is_there_again() -> None:
    """With every step, as often as that happens; its readers do not notice."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, wav="run.wav"):
        for _ in range(2):
            train(model, optimizer, 20)
            Path("run.jsonl").unlink()
            with pytest.warns(GradsoundWarning, match=r"run\.jsonl was removed while"):
                a_moment_later(model, optimizer)
        train(model, optimizer, 20)
        Path("run.jsonl").rename("mine.jsonl")  # is nothing to be told of
        a_moment_later(model, optimizer)
    gradsound.render("mine.jsonl", "again.wav")

    assert not Path("run.jsonl").exists()
    assert numbers("mine.jsonl") == [*range(63)]
    assert Path("again.wav").read_bytes() == Path("run.wav").read_bytes()


def test_a_log_whose_folder_is_gone() -> None:
    """It is told once, and is there when the folder is."""
    Path("runs").mkdir()
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, log="runs/run.jsonl"):
        train(model, optimizer, 20)
        Path("runs/run.jsonl").unlink()
        Path("runs").rmdir()
        with pytest.warns(GradsoundWarning, match="No such file or directory; it was rem"):
            a_moment_later(model, optimizer)
        a_moment_later(model, optimizer)
        Path("runs").mkdir()
        with pytest.warns(GradsoundWarning, match="it is there again"):
            a_moment_later(model, optimizer)

    assert numbers("runs/run.jsonl") == [*range(23)]


def test_a_log_that_is_gone_for_good_is_told_at_the_end() -> None:
    """Also if nobody looked while it was written."""
    Path("runs").mkdir()
    model = small()
    attachment = gradsound.attach(model, log="runs/run.jsonl")
    train(model, sgd(model), 3)
    Path("runs/run.jsonl").unlink()
    Path("runs").rmdir()
    with pytest.warns(GradsoundWarning, match="runs/run.jsonl: No such file") as told:
        attachment.close()

    assert len(told) == 1


def test_a_sound_whose_folder_is_gone_before_it_begins() -> None:
    """The system's reason is told, and not that of the library that was to write."""
    Path("gone").mkdir()

    def blocks() -> Iterator[Samples]:
        Path("gone").rmdir()
        yield np.zeros((100, 1), np.float32)

    with pytest.raises(OSError, match=r"No such file or directory: 'gone/run\.wav'"):
        write_sound(Path("gone/run.wav"), blocks(), 44_100)


def test_a_sound_that_is_lost_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the end of a day; and no dead process waits for that."""
    monkeypatch.setenv(MARK, os.urandom(8).hex())
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, wav="run.wav"):
        train(model, optimizer, 20)
        for process in processes("render_file import main"):
            os.kill(process, signal.SIGKILL)
        until(zombies, "it does not end")
        with pytest.warns(GradsoundWarning, match="run.wav: .* status -9; the steps are"):
            a_moment_later(model, optimizer)
        assert not zombies()
        train(model, optimizer, 20)

    assert numbers() == [*range(41)]
