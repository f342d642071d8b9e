"""Faults that a training survives: some of `faults.py`, and the parts they rely on."""

import os
import resource
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
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter
from gradsound.synth.mixer import Samples

TESTS = Path(__file__).parents[1]
FAULTS = Path(__file__).with_name("faults.py")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def numbers(path: str = "run.jsonl") -> list[int]:
    return [step.number for step in gradsound.read_run(path).steps]


def step_after_poll(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Waits longer than the poll interval of 0.5 s, so that the next step polls."""
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
    """The weights equal those of a training without gradsound, and the run is whole."""
    pytest.importorskip("websockets", reason="needs websockets")
    process = subprocess.run(
        [sys.executable, FAULTS, *faults, "--times", str(times), "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def limited(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code that may call `limit` to limit the size of files, in bytes."""
    before = f"""if True:
    import resource, sys, time, warnings
    sys.path.insert(0, {str(TESTS)!r})
    import gradsound
    from helpers.models import *
    warnings.simplefilter("always")
    def limit(size):
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""
    return subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, check=False
    )


def test_steps_wait_for_room_on_the_disk() -> None:
    """A disk that is full for a while costs no step and one warning."""
    process = limited("""
    limit(5000)
    with gradsound.attach(model, optimizer):
        for _ in range(4):
            train(model, optimizer, 50)
            time.sleep(0.11)
        limit(-1)
        train(model, optimizer, 50)
    """)

    assert numbers() == [*range(250)], process.stderr
    assert process.returncode == 0
    assert process.stderr.count("GradsoundWarning") == 1
    assert "run.jsonl: File too large; steps from" in process.stderr
    assert "on wait until there is room, training goes on" in process.stderr


def test_a_disk_without_room_for_the_first_line() -> None:
    """attach() names the file, and an older run keeps its name."""
    Path("run.jsonl").write_text("older\n")
    process = limited("""
    limit(10)
    gradsound.attach(model, optimizer)
    """)

    assert process.returncode == 1
    assert "File too large: 'run.jsonl'" in process.stderr.splitlines()[-1]
    assert Path("run.jsonl").read_text() == "older\n"
    assert [path.name for path in Path().iterdir()] == ["run.jsonl"]


def test_a_device_is_not_removed() -> None:
    """If log= is a device, attach() raises and leaves it."""
    Path("full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device: 'full'"):
        gradsound.attach(small(), log="full")

    assert Path("full").is_symlink()


def test_too_many_waiting_steps_are_dropped() -> None:
    """Steps that arrive while too many wait are lost; waiting steps are not."""
    steps = make_run([[1 / 3]] * 20).steps
    growing = RunWriter(Path("run.jsonl"), make_run([[1.0]]).header, unwritten_max=200)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path("run.jsonl").stat().st_size, hard))
    try:
        for step in steps[:10]:
            with pytest.raises(OSError, match="File too large"):
                growing.write(make_block([step]))
        waiting, dropped = [*growing.unwritten], growing.dropped
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for step in steps[10:]:
        growing.write(make_block([step]))
    growing.close()

    assert waiting == [*range(len(waiting))]
    assert 0 < dropped == 10 - len(waiting)
    assert numbers() == [*waiting, *range(11, 20)]


def test_a_removed_log_returns() -> None:
    """A removed log returns with every step, each time; the renderer reads on."""
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, wav="run.wav"):
        for _ in range(2):
            train(model, optimizer, 20)
            Path("run.jsonl").unlink()
            with pytest.warns(GradsoundWarning, match=r"run\.jsonl was removed while"):
                step_after_poll(model, optimizer)
        train(model, optimizer, 20)
        Path("run.jsonl").rename("mine.jsonl")  # needs no warning
        step_after_poll(model, optimizer)
    gradsound.render("mine.jsonl", "again.wav")

    assert not Path("run.jsonl").exists()
    assert numbers("mine.jsonl") == [*range(63)]
    assert Path("again.wav").read_bytes() == Path("run.wav").read_bytes()


def test_a_log_whose_folder_is_gone() -> None:
    """The recorder warns once, and the log returns with its folder."""
    Path("runs").mkdir()
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, log="runs/run.jsonl"):
        train(model, optimizer, 20)
        Path("runs/run.jsonl").unlink()
        Path("runs").rmdir()
        with pytest.warns(GradsoundWarning, match="No such file or directory; it was rem"):
            step_after_poll(model, optimizer)
        step_after_poll(model, optimizer)
        Path("runs").mkdir()
        with pytest.warns(GradsoundWarning, match="it is there again"):
            step_after_poll(model, optimizer)

    assert numbers("runs/run.jsonl") == [*range(23)]


def test_a_log_lost_for_good_warns_at_the_end() -> None:
    """close() warns, also where no poll came before it."""
    Path("runs").mkdir()
    model = small()
    attachment = gradsound.attach(model, log="runs/run.jsonl")
    train(model, sgd(model), 3)
    Path("runs/run.jsonl").unlink()
    Path("runs").rmdir()
    with pytest.warns(GradsoundWarning, match="runs/run.jsonl: No such file") as warned:
        attachment.close()

    assert len(warned) == 1


def test_a_sound_without_its_folder_names_the_reason() -> None:
    """The error has the system's reason, not libsndfile's."""
    Path("gone").mkdir()

    def blocks() -> Iterator[Samples]:
        Path("gone").rmdir()
        yield np.zeros((100, 1), np.float32)

    with pytest.raises(OSError, match=r"No such file or directory: 'gone/run\.wav'"):
        write_sound(Path("gone/run.wav"), blocks(), 44_100)


def test_a_killed_renderer_warns_at_the_next_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next step warns of a killed renderer and leaves no zombie."""
    monkeypatch.setenv(MARK, os.urandom(8).hex())
    model = small()
    optimizer = sgd(model)
    with gradsound.attach(model, optimizer, wav="run.wav"):
        train(model, optimizer, 20)
        for process in processes("render_file import main"):
            os.kill(process, signal.SIGKILL)
        until(zombies, "it does not end")
        with pytest.warns(GradsoundWarning, match="run.wav: .* status -9; the steps are"):
            step_after_poll(model, optimizer)
        assert not zombies()
        train(model, optimizer, 20)

    assert numbers() == [*range(41)]
