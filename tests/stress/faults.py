"""What a training that is heard survives, tried out: kills, full disks, clocks, and more.

Each fault is done for real, at random moments, to a real training with its real processes.
What must hold is checked every time: the weights are those of a training that nobody hears,
to the last bit; of what was recorded nothing is lost but what docs/reliability.md says;
sounds are whole; no process is left, dead or alive.

    python benchmarks/faults.py [--times 200] [--seed 0] [fault ...]

Needs ``pip install gradsound[live,web]``, pulseaudio and pulseaudio-utils, a C
compiler, and for some faults root. One line a fault; ends with 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import mmap
import os
import platform
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
from helpers.pages import Page
from helpers.processes import MARK, processes, until
from helpers.sound_server import SoundServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = 150  # of a training that is to end by itself
SLOW = 0.05  # seconds a step
FAST = 0.0
LOST = 0.5  # seconds; a tenth is what may be, and a busy machine makes it seem more
PROGRESS = struct.Struct("<qd")  # steps, and seconds of the run
SUBREAPER = 36  # of prctl: orphans of our children become ours, to be waited for


def training() -> tuple[nn.Module, torch.optim.Optimizer, torch.Tensor]:
    """Three layers, Adam, and data."""
    torch.manual_seed(0)
    parts = (nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    model = nn.Sequential(*parts)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return model, optimizer, torch.randn(64, 8, 16)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: torch.Tensor) -> None:
    """One step."""
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()


def digest(model: nn.Module) -> str:
    """Of the weights, to the last bit."""
    state = model.state_dict().values()
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in state)).hexdigest()


def unheard(steps: int) -> str:
    """The weights of a training that nobody hears."""
    model, optimizer, batches = training()
    for number in range(steps):
        step(model, optimizer, batches[number % 64])
    return digest(model)


class Trial:
    """A training in a process and a folder of its own.

    Args:
        steps: How many it makes; until it is ended if None.
        pause: Seconds after each.
        listen: Whether it is heard on the device or, with ``web``, on a page.
        before: Called in that process before it attaches.
        at: Called in that process with every step's number, before it.
        options: Of ``attach`` or ``listen``.
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
            with open("said", "wb", buffering=0) as said:  # noqa: PTH123
                os.dup2(said.fileno(), 2)
            warnings.simplefilter("always")
            warnings.showwarning = lambda text, *_, **__: _say(f"warned: {text}\n")
            try:
                before()
                hear = gradsound.listen if listen else gradsound.attach
                self._train(hear, steps, pause, at, options)
            except BaseException:  # noqa: BLE001 (it is told)
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        until(lambda: self.steps >= 0 or self.ended(), "it does not attach")

    def _train(
        self,
        hear: Callable[..., gradsound.Attachment],
        steps: int | None,
        pause: float,
        at: Callable[[int], object],
        options: dict[str, object],
    ) -> None:
        model, optimizer, batches = training()
        attachment = hear(model, optimizer, **options)
        start = attachment._tap._start
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
        """How many were made; -1 if it is not attached yet."""
        return PROGRESS.unpack_from(self._shared)[0]

    @property
    def seconds(self) -> float:
        """When the last was, on the clock of the run."""
        return PROGRESS.unpack_from(self._shared)[1]

    @property
    def warned(self) -> list[str]:
        """What it warned of."""
        lines = (self.folder / "said").read_text().splitlines()
        return [line.removeprefix("warned: ") for line in lines if "warned: " in line]

    @property
    def url(self) -> str:
        """Where its page is."""
        return (self.folder / "url").read_text()

    def ended(self) -> bool:
        """Whether it has, waited for or not."""
        return (
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends the trainer alone a signal."""
        os.kill(self.pid, number)

    def beside(self, module: str) -> list[int]:
        """Processes that it started for this."""
        return processes(f"{module} import main")

    def end(self, seconds: float = 60) -> int:
        """Waits until it and all that it started have ended; its status."""
        deadline, found = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            with suppress(ChildProcessError):
                while pid := (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    if pid == self.pid:
                        found = os.waitstatus_to_exitcode(ended[1])
            if found is not None and not processes():
                return found
            time.sleep(0.01)
        raise AssertionError(f"left after {seconds} s: {processes()}")

    def remove(self) -> None:
        """Removes its folder."""
        shutil.rmtree(self.folder)

    # What must hold.

    def check_log(self, steps: int | None = None, name: str = "run.jsonl") -> int:
        """Its steps are there in order, that many; returns how many."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the last may be torn
            found = [one.number for one in gradsound.read_run(self.folder / name).steps]
        assert found == [*range(len(found))], "steps are missing"
        assert steps is None or len(found) == steps, f"{len(found)} steps of {steps}"
        return len(found)

    def check_lost(self) -> float:
        """Only the last moment is lost; returns its seconds."""
        self.check_log()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = [*gradsound.read_run(self.folder / "run.jsonl").steps]
        lost = self.seconds - (steps[-1].time if steps else 0.0)
        assert lost < LOST, f"{lost} s are lost"
        return lost

    def check_wav(self, log: str = "run.jsonl") -> None:
        """The sound is what ``gradsound render`` makes of the log, to the last bit."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gradsound.render(self.folder / log, self.folder / "again.wav")
        again, wav = ((self.folder / f"{n}.wav").read_bytes() for n in ("again", "run"))
        assert again == wav, "the sound is not that of the log"
        assert soundfile.info(self.folder / "run.wav").frames > 0

    def check_weights(self, steps: int = STEPS) -> None:
        """They are those of a training that nobody hears."""
        said = (self.folder / "said").read_text()
        assert (self.folder / "weights").exists(), f"it did not end: {said}"
        assert (self.folder / "weights").read_text() == unheard(steps), "other weights"

    def check_warned(self, *texts: str) -> None:
        """It warned of these, and of nothing else."""
        found = self.warned
        assert len(found) == len(texts), f"warned of {found}"
        assert all(text in one for text, one in zip(texts, found)), f"warned of {found}"

    def unnoticed(self) -> str:
        """It ends as if nothing had happened, and is removed; says so."""
        assert self.end() == 0, (self.folder / "said").read_text()
        self.check_weights()
        self.check_log(STEPS)
        self.check_wav()
        self.check_warned()
        self.remove()
        return "nobody notices"


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


@contextmanager
def small_disk(size: str = "1m") -> Iterator[Path]:
    """A file system of its own, which is soon full."""
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
    """Writes there until there is no room."""
    filling = folder / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return filling


# The faults. Each returns what was found, in a line.


def kill_trainer(times: int) -> str:
    """SIGKILL at a random moment; log, sound and page."""
    lost: dict[float, list[int]] = {FAST: [], SLOW: []}
    late, none = 0.0, 0
    for _ in range(times):
        pause = random.choice([FAST, SLOW])
        trial = Trial(None, pause, listen=True, web=True, wav="run.wav")
        time.sleep(random.uniform(0, 1.5))
        trial.kill()
        assert trial.end() == -signal.SIGKILL
        found = trial.check_log()
        if found:
            trial.check_wav()
        none += not found
        lost[pause].append(trial.steps - found)
        late = max(late, trial.check_lost())
        trial.remove()
    return (
        f"lost of fast steps {max(lost[FAST], default=0)} at most, {late * 1e3:.0f} ms; "
        f"of slow ones {max(lost[SLOW], default=0)} ({len(lost[SLOW])} times); sound whole "
        f"{times - none} times, {none} times no step was"
    )


def end_trainer(times: int) -> str:
    """SIGTERM, SIGHUP, SIGINT, SIGSEGV and os._exit."""
    ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV, None)
    for number in range(times):
        end, after = ends[number % len(ends)], random.randrange(50, 300)

        def at(now: int, end: int | None = end, after: int = after) -> None:
            if now == after:
                time.sleep(0.2)  # what was measured is written with the next step
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
    return "no step lost, sound whole, nothing left"


def _kill_beside(module: str, times: int, warning: str, **options: object) -> str:
    """SIGKILL at a random moment of what the training has beside it."""
    killed = 0
    for _ in range(times):
        trial = Trial(STEPS, 0.004, **options)
        until(lambda t=trial: processes(module) or t.ended(), f"{module} does not begin")
        time.sleep(random.uniform(0, 0.8))
        found = processes(module)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert trial.end() == 0, (trial.folder / "said").read_text()
        trial.check_weights()
        trial.check_log(STEPS)
        killed += bool(found and trial.warned)
        trial.check_warned(*[warning] * len(trial.warned[:1]))
        trial.remove()
    return f"weights to the last bit, every step in the log; in time to be told {killed}"


def kill_player(times: int) -> str:
    """SIGKILL of the process that plays."""
    with _sound():
        told = "no live sound: the sound process ended with status -9"
        return _kill_beside("play_device import main", times, told, listen=True)


def kill_device(times: int) -> str:
    """SIGKILL of the process that has the sound device."""
    with _sound():
        told = "no live sound: the process that has the sound device died"
        return _kill_beside("sound_device_process.py", times, told, listen=True)


def kill_page(times: int) -> str:
    """SIGKILL of the process that serves the page."""
    told = "no live sound: the sound process ended with status -9"
    return _kill_beside("serve_page import main", times, told, listen=True, web=True)


def kill_renderer(times: int) -> str:
    """SIGKILL of the process that writes the sound file."""
    told = "run.wav: the sound process ended with status -9; the steps are in run.jsonl"
    return _kill_beside("render_file import main", times, told, wav="run.wav")


def disk_full_for_a_while(times: int) -> str:
    """The log's disk is full from a random moment on, and has room again at another."""
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
    """The log's disk is full from a random moment on, for ever."""
    least = 400
    for _ in range(times):
        with small_disk() as disk:
            trial = Trial(400, 0.004, log=disk / "run.jsonl")
            time.sleep(random.uniform(0, 1.0))
            fill(disk)
            assert trial.end() == 0
            trial.check_weights(400)
            found = trial.check_log(name=str(disk / "run.jsonl"))
            least = min(least, found)
            if found < 400:
                lost = f"steps from {found} on "
                trial.check_warned(lost + "wait until there is room", lost + "are lost")
            trial.remove()
    return "all that had room is read, and the first that had none is named"


def disk_full_of_sound(times: int) -> str:
    """Log and sound are on one disk, and the sound fills it."""
    for _ in range(times):
        with small_disk() as disk:
            trial = Trial(400, 0.004, log=disk / "run.jsonl", wav=disk / "run.wav")
            assert trial.end() == 0
            trial.check_weights(400)
            trial.check_log(400, str(disk / "run.jsonl"))
            assert "the steps are in" in trial.warned[-1], trial.warned
            assert len(trial.warned) <= 2, trial.warned
            assert not [*disk.glob("*.part")], "a part is left"
            trial.remove()
    return "no step lost: the sound is given up, and told"


def no_room_at_all(_: int) -> str:
    """The disk is full before it begins; /dev/full."""
    with small_disk() as disk:
        (disk / "run.jsonl").write_text("older\n")
        fill(disk)
        trial = Trial(STEPS, log=disk / "run.jsonl")
        assert trial.end() == 1
        said = (trial.folder / "said").read_text().splitlines()[-1]
        assert (disk / "run.jsonl").read_text() == "older\n", "the older run is lost"
        assert "No space left on device" in said, said
        assert "run.jsonl" in said, said
        trial.remove()
    trial = Trial(STEPS, log="/dev/full")
    assert trial.end() == 1
    assert Path("/dev/full").exists()
    trial.remove()
    return f"refused in a line, the older run is kept: {said}"


def file_too_large(_: int) -> str:
    """A limit to the size of files (RLIMIT_FSIZE)."""
    limit = (5000, 5000)
    trial = Trial(STEPS, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert trial.end() == 0
    trial.check_weights()
    found = trial.check_log()
    lost = f"File too large; steps from {found} on "
    trial.check_warned(lost + "wait until there is room", lost + "are lost")
    trial.remove()
    return "as a full disk"


def log_removed(times: int) -> str:
    """The log is removed at random moments."""
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
    return "it is there again, whole; so is the sound"


def log_replaced(times: int) -> str:
    """Another file takes the log's name."""
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
    """The log gets another name."""
    for _ in range(times):
        trial = Trial(400, 0.004)
        time.sleep(random.uniform(0, 1.0))
        (trial.folder / "run.jsonl").rename(trial.folder / "mine.jsonl")
        assert trial.end() == 0
        trial.check_log(400, "mine.jsonl")
        trial.check_warned()
        trial.remove()
    return "it is written on under that name"


def folder_removed(times: int) -> str:
    """The log's folder is removed, and made again later, or not."""
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
        assert trial.warned, "it is not told"
        trial.remove()
    return "if it is made again, the log is there, whole; training goes on anyway"


def folder_read_only(times: int) -> str:
    """From a random moment on nothing can be made in the folder."""
    times = max(1, times // 10)
    for _ in range(times):
        trial = Trial(400, 0.004, wav="run.wav")
        time.sleep(random.uniform(0, 1.0))
        mount, folder = ["/usr/bin/env", "mount", "-o"], str(trial.folder)
        subprocess.run([*mount, "bind", folder, folder], check=True)
        subprocess.run([*mount, "remount,bind,ro", folder], check=True)
        try:
            assert trial.end() == 0, (trial.folder / "said").read_text()
        finally:
            subprocess.run(["/usr/bin/env", "umount", "-l", folder], check=True)
        trial.check_weights(400)
        trial.check_log(400)
        trial.check_warned("Read-only file system")
        (text,) = trial.warned
        trial.remove()
    return f"no step lost, {times} times; told: {text}"


def home_read_only(_: int) -> str:
    """Neither home nor the folder for temporary files can be written."""

    def before() -> None:
        names = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
        os.environ.update(dict.fromkeys(names, "/proc/nowhere"))

    options = {"listen": True, "web": True, "wav": "run.wav"}
    trial = Trial(STEPS, 0.004, before=before, **options)
    return trial.unnoticed()


def files_exhausted(times: int) -> str:
    """From a random step on no file can be opened (RLIMIT_NOFILE)."""
    for _ in range(times):
        after, held = random.randrange(STEPS), []

        def at(number: int, after: int = after, held: list[object] = held) -> None:
            if number == after:
                with suppress(OSError):
                    while True:
                        held.append(open(os.devnull))  # noqa: PTH123, SIM115
            if number == STEPS - 1:
                while held:
                    held.pop().close()  # for the weights

        def before() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        options = {"listen": True, "web": True, "wav": "run.wav"}
        trial = Trial(STEPS, 0.002, before=before, at=at, **options)
        trial.unnoticed()
    return "nobody notices"


def memory_exhausted(times: int) -> str:
    """From a random step on the training gets no memory (RLIMIT_AS), and goes on."""
    for _ in range(times):
        after, held = random.randrange(STEPS), []

        def at(number: int, after: int = after, held: list[object] = held) -> None:
            if number == after:
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                limit = pages * mmap.PAGESIZE + (1 << 22)
                resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
                for size in (1 << 20, 1 << 14, 1 << 10):
                    with suppress(MemoryError):
                        while True:
                            held.append(bytearray(size))
                held[-40:] = []  # what a step of its own takes
            if number == after + 20:
                held.clear()
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)

        trial = Trial(STEPS, 0.002, at=at, wav="run.wav")
        trial.unnoticed()
    return "nobody notices"


def stopped(times: int) -> str:
    """Everything is stopped for twenty seconds, and goes on (SIGSTOP, SIGCONT)."""
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
            assert [*trial.beside("serve_page"), *trial.beside("play_device")], (
                "nothing plays"
            )
            trial.kill(signal.SIGTERM)
            trial.end()
            trial.check_lost()
            trial.check_wav()
            warned = trial.warned
            trial.remove()
    return f"goes on; warned of {warned}"


def device_lost(times: int) -> str:
    """The sound server is killed at a random moment, and begins again later."""
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
    return f"sounds again, one warning each ({times} times)"


def page_frozen(_: int) -> str:
    """A page reads nothing for a minute, another does."""
    trial = Trial(None, 0.002, listen=True, web=True)
    quiet = {"ping_interval": None}  # of its own it asks nothing
    frozen, lively = Page(trial.url, **quiet), Page(trial.url)
    begin, before = time.monotonic(), trial.steps
    while time.monotonic() - begin < 60:
        lively.next()
    assert trial.steps > before + 3000
    assert lively.columns[-1].last > before + 3000
    frozen.end()  # it was dropped, as who does not answer for 40 s
    again = Page(trial.url, since=frozen.columns[-1].last)
    again.until(lambda: again.columns, "it is not told what it missed")
    assert again.columns[0].last > frozen.columns[-1].last
    trial.kill(signal.SIGTERM)
    for page in again, lively:
        page.end()
    trial.end()
    trial.remove()
    return (
        "the other page hears all; it is dropped, and told what it missed when it is back"
    )


def browser_frozen(_: int) -> str:
    """Chromium's tab is frozen for twenty seconds (CDP), then its process is stopped."""
    from helpers.browser import chromium

    seen = []
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
            assert trial.beside("serve_page")
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
        seen = page.inner_text("body")[:200].replace("\n", " | ")
        trial.kill(signal.SIGTERM)
        page.close()
    until(trial.ended, "it does not end")
    os.waitpid(trial.pid, 0)
    until(lambda: not processes("gradsound"), "a process is left")
    trial.remove()
    return f"training goes on, the page is there again: {seen}"


def _command(folder: Path) -> str:
    with suppress(OSError):
        return (folder / "cmdline").read_bytes().decode(errors="replace")
    return ""


# The clock of the wall is as many seconds ahead as a file says; others are left alone, as
# they are by whoever sets a clock. (libfaketime cannot: its sleep fails after a jump.)
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
seen = []
for number in range(faults.STEPS):
    faults.step(model, optimizer, batches[number % 64])
    seen.append(time.time())
    print(number, flush=True)
    time.sleep(0.02)
attachment.close()
jumps = [b - a for a, b in zip(seen, seen[1:]) if abs(b - a) > 60]
print(json.dumps([faults.digest(model), jumps]))
"""


def clock_set(_: int) -> str:
    """The clock is set back and forward by an hour and by a day."""
    jumps_seen, library = [], Path("wall.so").absolute()
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
            said = trainer.stderr.read()
        weights, seen = json.loads(last)
        assert len(seen) == 1, f"the clock was not set: {seen}"
        assert "warn" not in said.lower(), said
        jumps_seen += seen
        assert weights == unheard(STEPS)
        steps = [*gradsound.read_run(folder / "run.jsonl").steps]
        assert len(steps) == STEPS
        apart = [b.time - a.time for a, b in pairwise(steps)]
        assert 0 < min(apart) <= max(apart) < 1.0, "the time of the run jumps"
        gradsound.render(folder / "run.jsonl", folder / "again.wav")
        same = (folder / "again.wav").read_bytes() == (folder / "run.wav").read_bytes()
        assert same, "the sound is another"
        shutil.rmtree(folder)
    jumps = ", ".join(f"{jump / 3600:+.0f} h" for jump in jumps_seen)
    return f"nobody notices ({jumps})"


@contextmanager
def _sound() -> Iterator[SoundServer]:
    """A sound server that whatever is started here finds."""
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
    """Prints a line for each fault."""
    parser = argparse.ArgumentParser(description="What a training survives.")
    parser.add_argument("faults", nargs="*", metavar="fault", help=", ".join(FAULTS))
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wanted = arguments.faults or [*FAULTS]
    if unknown := {*wanted} - {*FAULTS}:
        parser.error(f"no fault {', '.join(unknown)}; there are: {', '.join(FAULTS)}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, "
        f"{arguments.times} times"
    )
    torch.set_num_threads(1)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    ended: Counter[bool] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in wanted:
            random.seed(arguments.seed)
            begin = time.monotonic()
            try:
                found, held = FAULTS[name](arguments.times), True
            except Exception:  # noqa: BLE001 (the others are tried, too)
                found, held = "DOES NOT HOLD\n" + traceback.format_exc(), False
            ended[held] += 1
            seconds = time.monotonic() - begin
            print(f"  {name.replace('_', ' '):22} {seconds:5.0f} s  {found}", flush=True)
        os.chdir("/")
    sys.exit(1 if ended[False] else 0)


if __name__ == "__main__":
    main()
