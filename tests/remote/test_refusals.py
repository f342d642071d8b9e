"""`gradsound attach` refuses what it cannot attach to, with one sentence and the remedy."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.processes import started, until
from helpers.scripts import execute
from helpers.targets import refuse, target

from gradsound.remote.launcher import find_workers
from gradsound.remote.target_process import TargetProcess

WAITS = "print('ready', flush=True)\ninput()\n"
NEW = sys.version_info >= (3, 14)


def test_a_process_that_does_not_exist(tmp_path: Path) -> None:
    """The number of no process, and of one that has ended, has no process."""
    with started(["/bin/true"]) as process:
        # Its parent has not yet asked for its status.
        until(lambda: not TargetProcess(process.pid).alive, "it ends")
        message = refuse(process.pid, folder=tmp_path)

    assert message.startswith(f"gradsound: there is no process {process.pid}: 'pgrep")
    with Path("/proc/sys/kernel/pid_max").open() as file:
        assert "there is no process" in refuse(int(file.read()) + 1, folder=tmp_path)


def test_a_process_without_python(tmp_path: Path) -> None:
    """A process of another kind is named."""
    with started(["/bin/sleep", "60"]) as process:
        message = refuse(process.pid, folder=tmp_path)
        process.kill()

    assert f"process {process.pid} (sleep) is not Python: give the process" in message


def test_a_thread_is_no_process(tmp_path: Path) -> None:
    """The number of a thread leads to its process."""
    code = (
        "import threading\nthread = threading.Thread(target=input)\nthread.start()\n"
        "print('ready', flush=True)\n"
    )
    with target(code, tmp_path) as process:
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        (thread,) = {task.name for task in tasks} - {str(process.pid)}
        message = refuse(thread, folder=tmp_path)

    assert f"{thread} is a thread of process {process.pid}: attach to that" in message


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_a_python_that_is_too_old(tmp_path: Path, version: str) -> None:
    """Python below 3.14 lets no code in; the remedy is `gradsound run`."""
    shutil.copy("/bin/sleep", tmp_path / f"python{version}")
    with started([tmp_path / f"python{version}", "60"]) as process:
        message = refuse(process.pid, folder=tmp_path)
        process.kill()

    assert f"process {process.pid} runs Python {version}, and one can attach to" in message
    assert "Python 3.14 and later only: start it with gradsound run" in message


def test_a_python_of_another_version_than_ours(tmp_path: Path) -> None:
    """Both Pythons have one minor version, or the remedy names the other Python."""
    python = tmp_path / "python3.99"
    shutil.copy("/bin/sleep", python)
    with started([python, "60"]) as process:
        message = refuse(process.pid, folder=tmp_path)
        process.kill()

    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if NEW:
        assert f"runs Python 3.99 and this gradsound Python {own}: attach by" in message
        assert f"{python} -m gradsound attach {process.pid}" in message
    else:
        assert f"this gradsound runs in Python {own}, and attaching needs" in message
        assert f"Python 3.99, the one of process {process.pid}: install" in message


def test_this_python(tmp_path: Path) -> None:
    """A real process of this Python is recognized; its version decides."""
    with target(WAITS, tmp_path) as process:
        message = refuse("--wait", 0, process.pid, folder=tmp_path)

    if NEW:
        assert f"process {process.pid} is in one long call" in message
    else:
        assert f"runs Python 3.{sys.version_info.minor}, and one can attach to" in message


def test_a_process_of_another_user(tmp_path: Path) -> None:
    """The sentence names the owner; only root may attach to all."""
    other = os.getpid() if os.geteuid() == 0 else 1
    code = f"""
import os
from gradsound.remote.target_process import TargetProcess
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    TargetProcess({other}).check()
except PermissionError as error:
    print(error)
"""
    process = execute(["-c", code], tmp_path)

    message = f"process {other} belongs to root: attach as that user, or as root with sudo"
    assert process.stdout == f"{message}\n", process.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: PID"),
        (["train"], "must be the number of a process, got 'train'; 'pgrep -af python'"),
        (["0"], "must be the number of a process, got '0'"),
        (["--wait", "-1", "1"], "--wait must be 0 seconds or more, got -1"),
        (["--wait", "nan", "1"], "--wait must be 0 seconds or more, got nan"),
        (["--web", "--live", "1"], "--live and --web are two ways to listen: give one"),
        (["--log", "absent/run.jsonl", "1"], "there is no folder"),
        (["--preset", "note", "1"], "no preset 'note'; did you mean 'notes'?"),
    ],
)
def test_wrong_words(tmp_path: Path, words: list[str], message: str) -> None:
    """A mistake in the words is told before anything of the process."""
    assert message in refuse(*words, folder=tmp_path)


def test_no_worker_below_a_launcher(tmp_path: Path) -> None:
    """With --all, a process without workers is no launcher."""
    with started(["/bin/sleep", "60"]) as process:
        message = refuse("--all", process.pid, folder=tmp_path)
        process.kill()

    assert f"no worker of a launcher is below process {process.pid}: leave --all" in message


def test_the_workers_of_a_launcher(tmp_path: Path) -> None:
    """They are the topmost processes with a rank; what they start themselves is not."""
    code = (
        "import os, subprocess, sys, time\n"
        "depth = int(sys.argv[1])\n"
        "ranks = range(2) if depth == 0 else range(1) if depth < 2 else ()\n"
        "for rank in ranks:\n"
        "    env = {**os.environ, 'RANK': str(rank)}\n"
        "    subprocess.Popen([sys.executable, __file__, str(depth + 1)], env=env)\n"
        "if depth == 0:\n"
        "    print('ready', flush=True)\n"
        "input()\n"
    )
    with target(code, tmp_path, 0, RANK="") as process:
        launcher = TargetProcess(process.pid)
        until(lambda: len(_below(process.pid)) == 4, "they start")
        workers = {one.pid for one in find_workers(launcher)}
        children = {pid for pid, parent in _below(process.pid) if parent == process.pid}

    assert workers == children
    assert len(workers) == 2


def _below(pid: int) -> list[tuple[int, int]]:
    """Returns the numbers of all processes below one, and of their parents."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            _, rest = (folder / "stat").read_text().rsplit(")", 1)
            parents[int(folder.name)] = int(rest.split()[1])
    found = []
    for child, parent in parents.items():
        above = parent
        while above not in (pid, 0):
            above = parents.get(above, 0)
        if above == pid:
            found.append((child, parent))
    return found
