"""`gradsound attach` where the system forbids it: one sentence, and training goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.permissions import (
    CONTAINER,
    FILTERED,
    as_user,
    with_mounts,
    with_ptrace_scope,
    within,
)
from helpers.processes import until
from helpers.targets import PACKAGE, command, refuse, target

import gradsound

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")

OWNER, OTHER = 61001, 61002  # numbers of users, of whom nobody has heard
# Trains until the file "stop" exists, or as many steps as its word says.
TRAINS = """
import os, sys, time
import torch
from torch import nn
torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.1), nn.Linear(4, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.125)
last = int(sys.argv[1]) if sys.argv[1:] else 100_000
losses = []
while len(losses) < last and not os.path.exists("stop"):
    if len(losses) == 3:
        print("ready", flush=True)
    if not sys.argv[1:]:
        time.sleep(0.002)
    optimizer.zero_grad()
    loss = model(torch.rand(8, 3)).square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(*map(float.hex, losses))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which every user may write; that of pytest is of root alone."""
    path = Path(tempfile.mkdtemp(prefix="test_permissions"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@contextmanager
def untouched(folder: Path, prefix: Sequence[object] = ()) -> Iterator[int]:
    """Yields the number of a training, which then must have its own losses and output."""
    with target(TRAINS, folder, prefix=prefix) as process:
        yield process.pid
        so_far = process.poll()
        (folder / "stop").touch()
        output, _ = process.communicate(timeout=60)
    assert (so_far, process.returncode) == (None, 0)
    (folder / "stop").unlink()
    count = len(output.split())
    alone = subprocess.run(
        [sys.executable, "train.py", str(count)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"ready\n{output}" == alone.stdout
    assert (folder / "errors").read_text() == ""


def record(pid: int, folder: Path, prefix: Sequence[object] = ()) -> None:
    """Attaches, waits for some steps, and detaches: the remedy of a refusal."""
    log = folder / "run.jsonl"
    attached = command("attach", pid, folder=folder, prefix=prefix)
    assert attached.returncode == 0, attached.stderr
    until(lambda: len([*gradsound.read_run(log).steps]) > 5, "no steps")
    detached = command("detach", pid, folder=folder, prefix=prefix)
    assert detached.returncode == 0, detached.stderr


def test_a_process_of_another_user(folder: Path) -> None:
    """All commands name the owner; that user may attach, and root."""
    other = as_user(OTHER)
    with untouched(folder, as_user(OWNER)) as pid:
        message = refuse(pid, folder=folder, prefix=other)
        assert message == (
            f"gradsound: process {pid} belongs to {OWNER}: attach as that user, or as root "
            "with sudo\n"
        )
        assert refuse("--all", pid, folder=folder, prefix=other) == message
        assert command("detach", pid, folder=folder, prefix=other).stderr == message
        assert [*folder.glob("run*")] == []
        for allowed in (as_user(OWNER), ()):
            record(pid, folder, allowed)
    with untouched(folder) as pid:
        message = refuse(pid, folder=folder, prefix=other)
        assert f"process {pid} belongs to root: attach as that user, or" in message


@pytest.mark.parametrize("hidden", [1, 2])
def test_a_system_that_hides_processes_of_others(folder: Path, hidden: int) -> None:
    """With hidepid, the process of another user is not taken for one that has ended."""
    mounts = with_mounts(f"mount -t proc -o hidepid={hidden} none /proc")
    with untouched(folder, [*mounts, *as_user(OWNER)]) as pid:
        other = [*within(pid), *as_user(OTHER)]
        name = OWNER if hidden == 1 else "another user"
        for words in ([pid], ["--all", pid]):
            assert refuse(*words, folder=folder, prefix=other) == (
                f"gradsound: process {pid} belongs to {name}: attach as that user, or as "
                "root with sudo\n"
            )
        absent = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
        for number in (absent, 10**30):
            assert "there is no process" in refuse(number, folder=folder, prefix=other)
        record(pid, folder, [*within(pid), *as_user(OWNER)])


def test_a_container_without_the_capability(folder: Path) -> None:
    """Without SYS_PTRACE, root is told about it; processes of the container may attach."""
    for prefix in ((), as_user(OWNER)):
        with untouched(folder, prefix) as pid:
            for words in ([pid], ["--all", pid]):
                message = refuse(*words, folder=folder, prefix=CONTAINER)
                assert message == (
                    "gradsound: the system does not let this process attach to process "
                    f"{pid}: in a container, give it the capability SYS_PTRACE (docker run "
                    "--cap-add SYS_PTRACE)\n"
                )
    with untouched(folder, CONTAINER) as pid:
        record(pid, folder, CONTAINER)


def test_a_container_that_filters_calls(folder: Path) -> None:
    """A filter of calls (seccomp) is told as the missing capability is."""
    with untouched(folder, as_user(OWNER)) as pid:
        message = refuse(pid, folder=folder, prefix=[*as_user(OWNER), *FILTERED])
        assert f"attach to process {pid}: use sudo, or in a container, give it" in message
        message = refuse(pid, folder=folder, prefix=FILTERED)
        assert f"attach to process {pid}: in a container, give it the" in message


@pytest.mark.parametrize("scope", [1, 2, 3])
def test_the_ptrace_scope(folder: Path, scope: int) -> None:
    """The sentence has the setting, and who may attach in spite of it."""
    with untouched(folder, [*with_ptrace_scope(scope), *as_user(OWNER)]) as pid:
        inside = within(pid)
        owner = [*inside, *as_user(OWNER), *FILTERED]
        message = refuse(pid, folder=folder, prefix=owner)
        detached = command("detach", pid, folder=folder, prefix=owner)
        assert detached.stderr == message
        root = refuse(pid, folder=folder, prefix=[*inside, *CONTAINER, *FILTERED])
        if scope < 3:
            assert message == (
                f"gradsound: the system lets only root attach to process {pid} "
                f"(kernel.yama.ptrace_scope is {scope}): use sudo, or allow it by 'sudo "
                "sysctl kernel.yama.ptrace_scope=0'\n"
            )
            assert "in a container, give it the capability SYS_PTRACE" in root
            record(pid, folder, inside)  # as with sudo: Yama lets root through
        else:
            assert message == root
            assert message == (
                f"gradsound: the system lets nobody attach to process {pid} until it "
                "starts again (kernel.yama.ptrace_scope is 3): start the training with "
                "gradsound run\n"
            )
        other = refuse(pid, folder=folder, prefix=[*inside, *as_user(OTHER), *FILTERED])
        assert f"belongs to {OWNER}: attach as that user, or as root" in other


def test_what_the_user_of_the_training_may_not_use(folder: Path) -> None:
    """Root attaches to another user's training, who writes the file and reads our code."""
    places = [folder / name for name in ("closed", "package")]
    for place in places:
        place.mkdir(mode=0o700)
    shutil.copytree(PACKAGE / "gradsound", places[1] / "gradsound")
    with untouched(folder, as_user(OWNER)) as pid:
        message = refuse(pid, folder=folder, prefix=["env", f"PYTHONPATH={places[1]}"])
        assert message == (
            f"gradsound: process {pid}: its user cannot read {places[1]}/gradsound: attach "
            "by one that all may read\n"
        )
        log = places[0] / "run.jsonl"
        ended = command("attach", "--log", log, pid, folder=folder)
        assert (ended.returncode, ended.stdout) == (2, f"found AdamW in process {pid}\n")
        assert ended.stderr == (
            f"gradsound: process {pid}: AdamW is not recorded, the script goes on: {log}: "
            "Permission denied; give --log a file that the user of the training may write\n"
        )
        record(pid, folder)


def test_a_python_that_is_not_seen(folder: Path) -> None:
    """A container may share a folder with the system, and have another Python."""
    python = folder / "bin" / f"python3.{sys.version_info.minor}"
    python.parent.mkdir()
    shutil.copy(sys.executable, python)
    instead = ["env", f"PYTHONHOME={sys.base_prefix}", "sh", "-c", 'shift; exec "$0" "$@"']
    with untouched(folder, [*instead, python]) as pid:
        outside = with_mounts(f"mount -t tmpfs none {python.parent}")
        message = refuse(pid, folder=folder, prefix=outside)
        assert message == (
            f"gradsound: the Python of process {pid} has a file that is not seen here, as "
            "in a container: run gradsound attach there\n"
        )
        python.unlink()  # as where a package is updated while a training runs
        record(pid, folder)
