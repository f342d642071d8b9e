"""Injects faults into real trainings: kills, full disks, clock changes and more.

Each fault hits a real training and its real worker processes at random moments. After each
one, the script checks four laws: the weights equal those of a bare training to the last
bit; the run file lacks only the steps that docs/reliability.md names; sound files are
whole; no process remains, alive or as a zombie.

    python tests/stress/faults.py [--times 200] [--seed 0] [fault ...]

It needs ``pip install '.[live,web]'``, pulseaudio, pulseaudio-utils and a C compiler; some
faults need root. It prints a line for each fault and exits with 1 if a law did not hold.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile
import torch
from torch import nn

import gradsound

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from helpers.pages import Page
from helpers.processes import MARK, processes, until
from helpers.sound_server import SoundServer
from machine import check_choices, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = 150  # of a training that no fault ends
SLOW = 0.05  # seconds of pause after a step
FAST = 0.0  # seconds of pause after a step
LOST_SECONDS_MAX = 0.5  # 0.1 may be lost; a busy machine delays our measurement
PROGRESS = struct.Struct("<qd")  # number of steps, time of the run in seconds
SUBREAPER = (
    36  # prctl option: makes us the parent of orphaned grandchildren, so we can wait
)


def training() -> tuple[nn.Module, torch.optim.Optimizer, torch.Tensor]:
    """Returns a model of three layers, its Adam optimizer and 64 batches, (64, 8, 16)."""
    torch.manual_seed(0)
    parts = (nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    model = nn.Sequential(*parts)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return model, optimizer, torch.randn(64, 8, 16)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    """Trains one step."""
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()


def digest(model: nn.Module) -> str:
    """Returns a hash of all bits of the weights."""
    state = model.state_dict().values()
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in state)).hexdigest()


def bare_weights(steps: int) -> str:
    """Returns the hash of the weights of a training without gradsound."""
    model, optimizer, batches = training()
    for number in range(steps):
        step(model, optimizer, batches[number % 64])
    return digest(model)


class Trial:
    """A training with gradsound, in a process and a folder of its own.

    Args:
        steps: Number of steps; endless if None.
        pause: Seconds of pause after each step.
        listen: Whether to call ``listen`` instead of ``attach``.
        before: Called in the training's process before it attaches.
        at: Called in the training's process before each step, with the step's number.
        options: Options of ``attach`` or ``listen``.
    """

    def __init__(
        self,
        steps: int | None = None,
        pause: float = FAST,
        *,
        listen: bool = False,
        before: Callable[[], object] = lambda: None,
        at: Callable[[int], object] = lambda _: None,
        **options: object,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        self._shared = mmap.mmap(-1, PROGRESS.size)
        PROGRESS.pack_into(self._shared, 0, -1, 0.0)
        os.environ[MARK] = self.folder.name + os.urandom(4).hex()
        self.pid = os.fork()
        if not self.pid:
            os.chdir(self.folder)
            os.setsid()
            with open("stderr", "wb", buffering=0) as stderr:  # noqa: PTH123
                os.dup2(stderr.fileno(), 2)
            warnings.simplefilter("always")
            warnings.showwarning = lambda text, *_, **__: _write(f"warned: {text}\n")
            try:
                before()
                attach = gradsound.listen if listen else gradsound.attach
                self._train(attach, steps, pause, at, options)
            except BaseException:  # noqa: BLE001 (end() reads the traceback)
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        until(lambda: self.steps >= 0 or self.ended(), "it does not attach")

    def _train(
        self,
        attach: Callable[..., gradsound.Attachment],
        steps: int | None,
        pause: float,
        at: Callable[[int], object],
        options: dict[str, object],
    ) -> None:
        model, optimizer, batches = training()
        attachment = attach(model, optimizer, **options)
        start = attachment._monitor.start
        Path("url").write_text(attachment.url or "")
        PROGRESS.pack_into(self._shared, 0, 0, 0.0)
        number = 0
        while steps is None or number < steps:
            at(number)
            step(model, optimizer, batches[number % 64])
            number += 1
            PROGRESS.pack_into(self._shared, 0, number, time.perf_counter() - start)
            if pause:
                time.sleep(pause)
        attachment.close()
        Path("weights").write_text(digest(model))

    @property
    def steps(self) -> int:
        """Number of steps so far; -1 before the training is attached."""
        return PROGRESS.unpack_from(self._shared)[0]

    @property
    def seconds(self) -> float:
        """Time of the last step, in seconds of the run."""
        return PROGRESS.unpack_from(self._shared)[1]

    @property
    def warned(self) -> list[str]:
        """Texts of all warnings so far."""
        lines = (self.folder / "stderr").read_text().splitlines()
        return [line.removeprefix("warned: ") for line in lines if "warned: " in line]

    @property
    def url(self) -> str:
        """Address of the training's page."""
        return (self.folder / "url").read_text()

    def ended(self) -> bool:
        """Returns whether the training ended, without waiting for it."""
        return (
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal to the trainer's process only."""
        os.kill(self.pid, number)

    def workers(self, module: str) -> list[int]:
        """Returns the worker processes that run a module."""
        return processes(f"{module} import main")

    def end(self, seconds: float = 60) -> int:
        """Waits until trainer and workers ended; returns the trainer's exit status."""
        deadline, status = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            with suppress(ChildProcessError):
                while pid := (ended_child := os.waitpid(-1, os.WNOHANG))[0]:
                    if pid == self.pid:
                        status = os.waitstatus_to_exitcode(ended_child[1])
            if status is not None and not processes():
                return status
            time.sleep(0.01)
        raise AssertionError(f"left after {seconds} s: {processes()}")

    def remove(self) -> None:
        """Removes the folder of the training."""
        shutil.rmtree(self.folder)

    # The laws.

    def check_log(self, steps: int | None = None, name: str = "run.jsonl") -> int:
        """Checks that the run has its steps in order; returns their number."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last line may be torn
            run = gradsound.read_run(self.folder / name)
            numbers = [one.number for one in run.steps]
        assert numbers == [*range(len(numbers))], "steps are missing"
        assert steps is None or len(numbers) == steps, f"{len(numbers)} steps of {steps}"
        return len(numbers)

    def check_lost(self) -> float:
        """Checks that the run lacks only the last moment; returns its seconds."""
        self.check_log()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = [*gradsound.read_run(self.folder / "run.jsonl").steps]
        lost_seconds = self.seconds - (steps[-1].time if steps else 0.0)
        assert lost_seconds < LOST_SECONDS_MAX, f"{lost_seconds} s are lost"
        return lost_seconds

    def check_wav(self, log: str = "run.jsonl") -> None:
        """Checks that the sound equals that of ``gradsound render``, to the last bit."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gradsound.render(self.folder / log, self.folder / "again.wav")
        again, wav = ((self.folder / f"{n}.wav").read_bytes() for n in ("again", "run"))
        assert again == wav, "the sound is not that of the log"
        assert soundfile.info(self.folder / "run.wav").frames > 0

    def check_weights(self, steps: int = STEPS) -> None:
        """Checks that the weights equal those of a training without gradsound."""
        stderr = (self.folder / "stderr").read_text()
        assert (self.folder / "weights").exists(), f"it did not end: {stderr}"
        assert (self.folder / "weights").read_text() == bare_weights(steps), "other weights"

    def check_warned(self, *texts: str) -> None:
        """Checks that the training warned of these texts and of nothing else."""
        warned = self.warned
        assert len(warned) == len(texts), f"warned of {warned}"
        assert all(text in one for text, one in zip(texts, warned)), f"warned of {warned}"

    def check_no_effect(self) -> str:
        """Checks that a training ends as if without the fault, and removes its folder."""
        assert self.end() == 0, (self.folder / "stderr").read_text()
        self.check_weights()
        self.check_log(STEPS)
        self.check_wav()
        self.check_warned()
        self.remove()
        return "no effect"


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def small_disk(size: str = "1m") -> Iterator[Path]:
    """Mounts a small file system of its own."""
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    mount = [
        "/usr/bin/env",
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={size},mode=777",
        "none",
        str(folder),
    ]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/env", "umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Writes a file until the disk is full; returns its path."""
    filling = folder / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return filling


# The faults. Each returns its result in one line.


def kill_trainer(times: int) -> str:
    """Kills the trainer (SIGKILL) at a random moment, with log, sound file and page."""
    lost_steps: dict[float, list[int]] = {FAST: [], SLOW: []}
    lost_seconds, empty = 0.0, 0
    for _ in range(times):
        pause = random.choice([FAST, SLOW])
        trial = Trial(None, pause, listen=True, web=True, wav="run.wav")
        time.sleep(random.uniform(0, 1.5))
        trial.kill()
        assert trial.end() == -signal.SIGKILL
        recorded = trial.check_log()
        if recorded:
            trial.check_wav()
        empty += not recorded
        lost_steps[pause].append(trial.steps - recorded)
        lost_seconds = max(lost_seconds, trial.check_lost())
        trial.remove()
    return (
        f"lost at most {max(lost_steps[FAST], default=0)} fast steps, "
        f"{lost_seconds * 1e3:.0f} ms, or {max(lost_steps[SLOW], default=0)} slow steps "
        f"({len(lost_steps[SLOW])} times); sound whole {times - empty} times, "
        f"{empty} times killed before the first step"
    )


def end_trainer(times: int) -> str:
    """Ends the trainer by SIGTERM, SIGHUP, SIGINT, SIGSEGV and os._exit."""
    ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV, None)
    for number in range(times):
        end, after = ends[number % len(ends)], random.randrange(50, 300)

        def at(now: int, end: int | None = end, after: int = after) -> None:
            if now == after:
                time.sleep(0.2)  # so the next step writes the steps that wait
            if now == after + 1:
                if end is None:
                    os._exit(3)
                signal.signal(end, signal.SIG_DFL)
                os.kill(os.getpid(), end)

        trial = Trial(None, at=at, listen=True, web=True, wav="run.wav")
        assert trial.end() == (3 if end is None else -end)
        trial.check_log(after + 1)
        trial.check_wav()
        trial.remove()
    return "no step lost, sound whole, no process left"


def _kill_worker(module: str, times: int, warning: str, **options: object) -> str:
    """Kills a worker process (SIGKILL) at a random moment."""
    warned = 0
    for _ in range(times):
        trial = Trial(STEPS, 0.004, **options)
        until(lambda t=trial: processes(module) or t.ended(), f"{module} does not begin")
        time.sleep(random.uniform(0, 0.8))
        pids = processes(module)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert trial.end() == 0, (trial.folder / "stderr").read_text()
        trial.check_weights()
        trial.check_log(STEPS)
        warned += bool(pids and trial.warned)
        trial.check_warned(*[warning] * len(trial.warned[:1]))
        trial.remove()
    return f"weights to the last bit, every step in the log; it warned {warned} times"


def kill_player(times: int) -> str:
    """Kills the process that plays (SIGKILL)."""
    with _sound():
        warning = "no live sound: the sound process ended with status -9"
        return _kill_worker("play_device import main", times, warning, listen=True)


def kill_device(times: int) -> str:
    """Kills the process that has the sound device open (SIGKILL)."""
    with _sound():
        warning = "no live sound: the process of the sound device died"
        return _kill_worker("sound_device.py", times, warning, listen=True)


def kill_page(times: int) -> str:
    """Kills the process that serves the page (SIGKILL)."""
    warning = "no live sound: the sound process ended with status -9"
    return _kill_worker("serve_page import main", times, warning, listen=True, web=True)


def kill_renderer(times: int) -> str:
    """Kills the process that writes the sound file (SIGKILL)."""
    warning = "run.wav: the sound process ended with status -9; the steps are in run.jsonl"
    return _kill_worker("render_file import main", times, warning, wav="run.wav")


def disk_full_for_a_while(times: int) -> str:
    """Fills the log's disk at a random moment and empties it at another."""
    waited = 0
    for _ in range(times):
        with small_disk() as disk:
            trial = Trial(400, 0.004, log=disk / "run.jsonl")
            time.sleep(random.uniform(0, 1.0))
            filling = fill(disk)
            time.sleep(random.uniform(0, 1.0))
            filling.unlink()
            assert trial.end() == 0
            trial.check_weights(400)
            trial.check_log(400, str(disk / "run.jsonl"))
            waited += bool(trial.warned)
            text = "run.jsonl: No space left on device; steps from "
            trial.check_warned(*[text] * bool(trial.warned))
            trial.remove()
    return f"no step lost; steps had to wait {waited} times"


def disk_full(times: int) -> str:
    """Fills the log's disk at a random moment, for good."""
    for _ in range(times):
        with small_disk() as disk:
            trial = Trial(400, 0.004, log=disk / "run.jsonl")
            time.sleep(random.uniform(0, 1.0))
            fill(disk)
            assert trial.end() == 0
            trial.check_weights(400)
            recorded = trial.check_log(name=str(disk / "run.jsonl"))
            if recorded < 400:
                warning = f"steps from {recorded} on "
                trial.check_warned(
                    warning + "wait until there is room", warning + "are lost"
                )
            trial.remove()
    return "the log has every step that had room; the warning names the first lost step"


def disk_full_of_sound(times: int) -> str:
    """Lets the sound file fill the disk of the log."""
    for _ in range(times):
        with small_disk() as disk:
            trial = Trial(400, 0.004, log=disk / "run.jsonl", wav=disk / "run.wav")
            assert trial.end() == 0
            trial.check_weights(400)
            trial.check_log(400, str(disk / "run.jsonl"))
            assert "the steps are in" in trial.warned[-1], trial.warned
            assert len(trial.warned) <= 2, trial.warned
            assert not [*disk.glob("*.part")], "an unfinished sound file remains"
            trial.remove()
    return "no step lost: gradsound gives up the sound file and warns"


def no_room_at_all(_: int) -> str:
    """Fills the disk before attach(); writes to /dev/full."""
    with small_disk() as disk:
        (disk / "run.jsonl").write_text("older\n")
        fill(disk)
        trial = Trial(STEPS, log=disk / "run.jsonl")
        assert trial.end() == 1
        error = (trial.folder / "stderr").read_text().splitlines()[-1]
        assert (disk / "run.jsonl").read_text() == "older\n", "the older run is lost"
        assert "No space left on device" in error, error
        assert "run.jsonl" in error, error
        trial.remove()
    trial = Trial(STEPS, log="/dev/full")
    assert trial.end() == 1
    assert Path("/dev/full").exists()
    trial.remove()
    return f"attach() raises, the older run is kept: {error}"


def file_too_large(_: int) -> str:
    """Limits the size of files (RLIMIT_FSIZE)."""
    limit = (5000, 5000)
    trial = Trial(STEPS, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert trial.end() == 0
    trial.check_weights()
    recorded = trial.check_log()
    warning = f"File too large; steps from {recorded} on "
    trial.check_warned(warning + "wait until there is room", warning + "are lost")
    trial.remove()
    return "as a full disk"


def log_removed(times: int) -> str:
    """Removes the log at a random moment."""
    for _ in range(times):
        trial = Trial(400, 0.004, wav="run.wav")
        time.sleep(random.uniform(0, 1.0))
        (trial.folder / "run.jsonl").unlink()
        assert trial.end() == 0
        trial.check_weights(400)
        trial.check_log(400)
        trial.check_wav()
        trial.check_warned("run.jsonl was removed while it was written; it is there again")
        trial.remove()
    return "the log returns whole; the sound is whole"


def log_replaced(times: int) -> str:
    """Renames another file to the log's name."""
    for _ in range(times):
        trial = Trial(400, 0.004)
        time.sleep(random.uniform(0, 1.0))
        (trial.folder / "other").write_text("other\n")
        (trial.folder / "other").rename(trial.folder / "run.jsonl")
        assert trial.end() == 0
        trial.check_log(400)
        assert (trial.folder / "run.1.jsonl").read_text() == "other\n"
        trial.check_warned("run.jsonl was removed while it was written; it is there again")
        trial.remove()
    return "the log has its name, the other is kept as run.1.jsonl"


def log_renamed(times: int) -> str:
    """Renames the log."""
    for _ in range(times):
        trial = Trial(400, 0.004)
        time.sleep(random.uniform(0, 1.0))
        (trial.folder / "run.jsonl").rename(trial.folder / "mine.jsonl")
        assert trial.end() == 0
        trial.check_log(400, "mine.jsonl")
        trial.check_warned()
        trial.remove()
    return "gradsound writes on under the new name"


def folder_removed(times: int) -> str:
    """Removes the log's folder; creates it again every other time."""
    for number in range(times):
        folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        trial = Trial(600, 0.004, log=folder / "run.jsonl")
        time.sleep(random.uniform(0, 0.5))
        shutil.rmtree(folder)
        if number % 2:
            time.sleep(random.uniform(0, 1.0))
            folder.mkdir()
        assert trial.end() == 0
        trial.check_weights(600)
        if number % 2:
            trial.check_log(600, str(folder / "run.jsonl"))
        assert trial.warned, "no warning"
        trial.remove()
    return "in the new folder the log returns whole; training goes on with or without it"


def folder_read_only(times: int) -> str:
    """Mounts the folder read-only at a random moment."""
    times = max(1, times // 10)
    for _ in range(times):
        trial = Trial(400, 0.004, wav="run.wav")
        time.sleep(random.uniform(0, 1.0))
        mount, folder = ["/usr/bin/env", "mount", "-o"], str(trial.folder)
        subprocess.run([*mount, "bind", folder, folder], check=True)
        subprocess.run([*mount, "remount,bind,ro", folder], check=True)
        try:
            assert trial.end() == 0, (trial.folder / "stderr").read_text()
        finally:
            subprocess.run(["/usr/bin/env", "umount", "-l", folder], check=True)
        trial.check_weights(400)
        trial.check_log(400)
        trial.check_warned("Read-only file system")
        (text,) = trial.warned
        trial.remove()
    return f"no step lost, {times} times; warning: {text}"


def home_read_only(_: int) -> str:
    """Points home and the temporary folder to a path that nobody can write."""

    def before() -> None:
        names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
        os.environ.update(dict.fromkeys(names, "/proc/nowhere"))

    options = {"listen": True, "web": True, "wav": "run.wav"}
    trial = Trial(STEPS, 0.004, before=before, **options)
    return trial.check_no_effect()


def files_exhausted(times: int) -> str:
    """Opens files until the limit at a random step (RLIMIT_NOFILE)."""
    for _ in range(times):
        after, files = random.randrange(STEPS), []

        def at(number: int, after: int = after, files: list[object] = files) -> None:
            if number == after:
                with suppress(OSError):
                    while True:
                        files.append(open(os.devnull))  # noqa: PTH123, SIM115
            if number == STEPS - 1:
                while files:
                    files.pop().close()  # so that it can write the weights

        def before() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        options = {"listen": True, "web": True, "wav": "run.wav"}
        trial = Trial(STEPS, 0.002, before=before, at=at, **options)
        trial.check_no_effect()
    return "no effect"


def memory_exhausted(times: int) -> str:
    """Takes all memory at a random step (RLIMIT_AS) and frees it 20 steps later."""
    for _ in range(times):
        after, buffers = random.randrange(STEPS), []

        def at(number: int, after: int = after, buffers: list[object] = buffers) -> None:
            if number == after:
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * mmap.PAGESIZE + (1 << 22)
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
                for size in (1 << 20, 1 << 14, 1 << 10):
                    with suppress(MemoryError):
                        while True:
                            buffers.append(bytearray(size))
                buffers[-40:] = []  # a bare step needs as much
            if number == after + 20:
                buffers.clear()
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

        trial = Trial(STEPS, 0.002, at=at, wav="run.wav")
        trial.check_no_effect()
    return "no effect"


def stopped(times: int) -> str:
    """Stops trainer and workers for 20 seconds (SIGSTOP, SIGCONT)."""
    times = max(1, times // 60)
    with _sound():
        for number in range(times):
            web = {"web": True} if number % 2 else {}
            trial = Trial(None, 0.02, listen=True, wav="run.wav", **web)
            time.sleep(random.uniform(0.5, 2.0))
            everything = [trial.pid, *processes()]
            for pid in {*everything}:
                os.kill(pid, signal.SIGSTOP)
            before = trial.steps
            time.sleep(20)
            assert trial.steps <= before + 1
            for pid in {*everything}:
                os.kill(pid, signal.SIGCONT)
            time.sleep(3)
            assert trial.steps > before + 20
            assert [*trial.workers("serve_page"), *trial.workers("play_device")], (
                "nothing plays"
            )
            trial.kill(signal.SIGTERM)
            trial.end()
            trial.check_lost()
            trial.check_wav()
            warned = trial.warned
            trial.remove()
    return f"training and sound go on; warned of {warned}"


def device_lost(times: int) -> str:
    """Kills the sound server at a random moment and starts it again later."""
    times = max(1, times // 20)
    with _sound() as server:
        for _ in range(times):
            trial = Trial(None, 0.02, listen=True)
            until(server.playing, "nothing plays")
            time.sleep(random.uniform(0, 0.5))
            server.stop()
            time.sleep(random.uniform(0.5, 3))
            server.start()
            until(server.playing, "it does not come back", 30)
            before = trial.steps
            time.sleep(0.5)
            assert trial.steps > before
            trial.kill(signal.SIGTERM)
            trial.end()
            trial.check_lost()
            trial.check_warned("no live sound: ")
            trial.remove()
    return f"the sound returns, with one warning each ({times} times)"


def page_frozen(_: int) -> str:
    """Connects a page that reads nothing for a minute, and one that reads."""
    trial = Trial(None, 0.002, listen=True, web=True)
    quiet = {"ping_interval": None}  # sends no ping of its own
    frozen, lively = Page(trial.url, **quiet), Page(trial.url)
    begin, before = time.monotonic(), trial.steps
    while time.monotonic() - begin < 60:
        lively.receive()
    assert trial.steps > before + 3000
    assert lively.columns[-1].last > before + 3000
    frozen.receive_close()  # the server drops a page that answers no ping for 40 s
    again = Page(trial.url, since=frozen.columns[-1].last)
    again.receive_until(lambda: again.columns, "the server does not send the missed steps")
    assert again.columns[0].last > frozen.columns[-1].last
    trial.kill(signal.SIGTERM)
    for page in again, lively:
        page.receive_close()
    trial.end()
    trial.remove()
    return (
        "the other page gets every step; the server drops the frozen page and sends the "
        "missed steps when it returns"
    )


def browser_frozen(_: int) -> str:
    """Freezes Chromium's tab for 20 s (CDP), then stops its processes for 20 s."""
    from helpers.browser import chromium

    with chromium() as browser:
        trial = Trial(None, 0.02, listen=True, web=True)
        page = browser.new_page()
        page.goto(trial.url)
        page.wait_for_timeout(1500)
        session = page.context.new_cdp_session(page)
        for state in ("frozen", "active"):
            session.send("Page.setWebLifecycleState", {"state": state})
            before = trial.steps
            time.sleep(20 if state == "frozen" else 3)
            assert trial.steps > before + 50
            assert trial.workers("serve_page")
        renderers = [
            int(folder.name)
            for folder in Path("/proc").glob("[0-9]*")
            if "--type=renderer" in _command(folder)
        ]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in renderers:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            before = trial.steps
            time.sleep(20 if number == signal.SIGSTOP else 3)
            assert trial.steps > before + 50
        page.wait_for_timeout(1500)
        listener = Page(trial.url)
        listener.close()
        page_text = page.inner_text("body")[:200].replace("\n", " | ")
        trial.kill(signal.SIGTERM)
        page.close()
    until(trial.ended, "it does not end")
    os.waitpid(trial.pid, 0)
    until(lambda: not processes("gradsound"), "a process is left")
    trial.remove()
    return f"training goes on, the page returns: {page_text}"


def _command(folder: Path) -> str:
    with suppress(OSError):
        return (folder / "cmdline").read_bytes().decode(errors="replace")
    return ""


# The wall clock alone is ahead, by the seconds in a file. A user who sets it changes
# no other clock either. (libfaketime will not do: its sleep fails after a jump.)
WALL = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now), ahead = 0;
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("AHEAD"), "r") : NULL;
    if (file) {
        if (fscanf(file, "%d", &ahead) == 1) now->tv_sec += ahead;
        fclose(file);
    }
    return status;
}
"""
CLOCK = """
import json, sys, time, warnings
sys.path.insert(0, sys.argv[1])
import faults, gradsound
model, optimizer, batches = faults.training()
attachment = gradsound.listen(model, optimizer, web=True, wav="run.wav")
times = []
for number in range(faults.STEPS):
    faults.step(model, optimizer, batches[number % 64])
    times.append(time.time())
    print(number, flush=True)
    time.sleep(0.02)
attachment.close()
jumps = [b - a for a, b in zip(times, times[1:]) if abs(b - a) > 60]
print(json.dumps([faults.digest(model), jumps]))
"""


def clock_set(_: int) -> str:
    """Sets the clock back and forward by an hour and by a day."""
    clock_jumps, library = [], Path("wall.so").absolute()
    compiler = ["/usr/bin/env", "cc", "-shared", "-fPIC", "-o", str(library), "-xc", "-"]
    subprocess.run(compiler, input=WALL.encode(), check=True)
    for jump in (-3600, 3600, -86_400, 86_400):
        folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        (folder / "ahead").write_text("0")
        fake = {"LD_PRELOAD": str(library), "AHEAD": str(folder / "ahead")}
        command = [sys.executable, "-c", CLOCK, str(Path(__file__).resolve().parent)]
        with subprocess.Popen(
            command, cwd=folder, env=os.environ | fake, stdout=-1, stderr=-1, text=True
        ) as trainer:
            for line in trainer.stdout:
                if line == "40\n":
                    (folder / "ahead").write_text(str(jump))
                    break
            *_, last = trainer.stdout
            stderr = trainer.stderr.read()
        weights, jumps_seen = json.loads(last)
        assert len(jumps_seen) == 1, f"the clock was not set: {jumps_seen}"
        assert "warn" not in stderr.lower(), stderr
        clock_jumps += jumps_seen
        assert weights == bare_weights(STEPS)
        steps = [*gradsound.read_run(folder / "run.jsonl").steps]
        assert len(steps) == STEPS
        apart = [b.time - a.time for a, b in pairwise(steps)]
        assert 0 < min(apart) <= max(apart) < 1.0, "the time of the run jumps"
        gradsound.render(folder / "run.jsonl", folder / "again.wav")
        same = (folder / "again.wav").read_bytes() == (folder / "run.wav").read_bytes()
        assert same, "the sound differs from render()'s"
        shutil.rmtree(folder)
    jumps = ", ".join(f"{jump / 3600:+.0f} h" for jump in clock_jumps)
    return f"no effect ({jumps})"


@contextmanager
def _sound() -> Iterator[SoundServer]:
    """Runs a sound server that all processes started here find."""
    server, before = SoundServer(), {}
    for name, value in server.environment.items():
        before[name], os.environ[name] = os.environ.get(name), value
    try:
        yield server
    finally:
        server.remove()
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


FAULTS = {
    function.__name__: function
    for function in (
        *(kill_trainer, end_trainer, kill_player, kill_device, kill_page, kill_renderer),
        *(disk_full_for_a_while, disk_full, disk_full_of_sound, no_room_at_all),
        *(file_too_large, log_removed, log_replaced, log_renamed, folder_removed),
        *(folder_read_only, home_read_only, files_exhausted, memory_exhausted),
        *(stopped, device_lost, page_frozen, browser_frozen, clock_set),
    )
}


def main() -> None:
    """Injects the faults and prints a line for each."""
    parser = argparse.ArgumentParser(description="What a training survives.")
    parser.add_argument("faults", nargs="*", metavar="fault", help=", ".join(FAULTS))
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = arguments.faults or [*FAULTS]
    check_choices(parser, "fault", names, FAULTS)
    print(machine(f"{arguments.times} times"))
    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    counts: Counter[bool] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in names:
            random.seed(arguments.seed)
            begin = time.monotonic()
            try:
                result, passed = FAULTS[name](arguments.times), True
            except Exception:  # noqa: BLE001 (the other faults run, too)
                result, passed = "DOES NOT HOLD\n" + traceback.format_exc(), False
            counts[passed] += 1
            seconds = time.monotonic() - begin
            print(f"  {name.replace('_', ' '):22} {seconds:5.0f} s  {result}", flush=True)
        os.chdir("/")
    sys.exit(1 if counts[False] else 0)


if __name__ == "__main__":
    main()
