"""Real-time priority: asked for, never required, and harmless to the machine."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradsound.output.realtime_priority import exceeded_limit, request_realtime

SLEEPING = """
import threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
print(flush=True)
"""
LOOP = "print(flush=True)\nwhile True: pass"
Start = Callable[[str], subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    processes = []

    def started(code: str) -> subprocess.Popen:
        command = [sys.executable, "-c", code]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        processes[-1].stdout.readline()
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def policies(process: int) -> set[int]:
    """Returns the scheduling policies of a process's threads."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {os.sched_getscheduler(int(task.name)) for task in tasks}


def test_all_threads_get_it_or_the_answer_is_no(start: Start) -> None:
    """The answer is what the kernel says, and the limit of the processor is set."""
    process = start(SLEEPING)
    granted = request_realtime(process.pid)

    realtime = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    assert granted == (policies(process.pid) == {realtime})
    limits = resource.prlimit(process.pid, resource.RLIMIT_RTTIME)
    assert limits == (150_000, 200_000)


def test_a_loop_without_an_end_does_not_keep_the_processor(start: Start) -> None:
    """The kernel ends a process with this priority that never pauses."""
    process = start(LOOP)
    if not request_realtime(process.pid):  # then it has no priority to misuse
        assert policies(process.pid) == {os.SCHED_OTHER}
        return
    status = process.wait(20)

    assert exceeded_limit(status)
    assert not any(exceeded_limit(other) for other in (None, 0, 1, -9))


def test_a_process_that_has_ended_gets_none(start: Start) -> None:
    """The device's process may end at any time."""
    process = start(SLEEPING)
    process.kill()
    process.wait()

    assert not request_realtime(process.pid)


@pytest.mark.parametrize(("status", "granted"), [(0, True), (1, False), (None, False)])
def test_rtkit_is_asked_where_the_kernel_refuses(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status, granted
) -> None:
    """RealtimeKit may grant it or not, or be absent; it gets process, thread, priority."""

    def refuse(*_: object) -> None:
        raise PermissionError

    process = start(LOOP)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setenv("PATH", str(tmp_path))
    if status is not None:
        program = tmp_path / "busctl"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {status}\n')
        program.chmod(0o755)

    assert request_realtime(process.pid) == granted
    if status is not None:
        words = (tmp_path / "asked").read_text().split()
        assert words[-5:] == [
            "MakeThreadRealtimeWithPID",
            "ttu",
            *[str(process.pid)] * 2,
            "4",
        ]
