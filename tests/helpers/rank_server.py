"""Starts ranks as forks of itself: it has imported torch, which takes most of their start.

Each line of its standard input is a job, as JSON: folder, environment, number of ranks, and
a script in the folder. It answers with a line, the exit status of the first rank that
fails, or 0. The ranks get the environment variables that torchrun sets, and write to the
files ``stdout`` and ``stderr`` of the job. If a rank fails, this process terminates the
others, as torchrun does.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
import warnings
from typing import NoReturn

_TERMINATION_SECONDS = 5.0  # between SIGTERM and SIGKILL
_POLL_SECONDS = 0.005


def main() -> None:
    """Does jobs until standard input ends."""
    import torch.distributed.fsdp
    import torch.distributed.pipelining
    import torch.nn.parallel  # noqa: F401
    from helpers import models  # noqa: F401

    import gradsound.measure.hooks.install  # noqa: F401

    jobs, answers = sys.stdin, os.dup(1)
    os.write(answers, b"ready\n")
    gc.freeze()  # a rank's collector would copy all of the memory that it shares
    for line in jobs:
        job = json.loads(line)
        port = _free_port()
        pids: list[int] = []
        for rank in range(job["ranks"]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # threads of torch do not matter
                pid = os.fork()
            if pid == 0:
                os.close(answers)
                _become_rank(job, rank, port)
            pids.append(pid)
        os.write(answers, f"{_wait(pids)}\n".encode())


def _become_rank(job: dict, rank: int, port: int) -> NoReturn:
    """Runs the script of a job in this process, and ends it.

    It ends without the interpreter's cleanup, which takes seconds in a fork.
    """
    os.environ.clear()
    os.environ.update(job["environment"])
    number, ranks = str(rank), str(job["ranks"])
    os.environ |= {"RANK": number, "LOCAL_RANK": number}
    os.environ |= {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.chdir(job["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(job[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    sys.argv = [job["script"]]
    status = 0
    try:
        runpy.run_path(job["script"], run_name="__main__")
    except BaseException:  # noqa: BLE001 (the server reports any)
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait(pids: list[int]) -> int:
    """Waits for all ranks; returns the first exit status that is not 0, else 0."""
    left, status, deadline = {*pids}, 0, float("inf")
    while left:
        pid, end = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            if time.monotonic() > deadline:
                _signal(left, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
            continue
        left.discard(pid)
        if end and not status:
            status = os.waitstatus_to_exitcode(end)
            deadline = time.monotonic() + _TERMINATION_SECONDS
            _signal(left, signal.SIGTERM)
    return status


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


if __name__ == "__main__":
    main()
