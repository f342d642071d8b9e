"""Starts a script once for each rank of a training by DeepSpeed on the CPU."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

_SECONDS = 900  # for one script; it may compile an operator first
_VERDICTS = ("norms", "raw", "steps", "weights")


def run_ranks(script: str, *arguments: str, ranks: int) -> list[dict[str, Any]]:
    """Returns the cases that rank 0 printed, and one more if a rank failed."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(ranks),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, script, *arguments],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        output, _ = processes[0].communicate(timeout=_SECONDS)
        codes = [process.wait(timeout=60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    cases = [json.loads(line) for line in output.splitlines() if line.startswith('{"case"')]
    if any(codes):
        name = " ".join([*arguments, f"{ranks} ranks"])
        cases.append({"case": name, "message": f"the ranks ended with {codes}"})
    return cases


def print_cases(cases: Iterable[dict[str, Any]]) -> bool:
    """Prints a line of JSON for each case; returns whether all are right."""
    right = True
    for case in cases:
        verdicts = {key: case.get(key, False) for key in _VERDICTS}
        right &= all(verdicts.values())
        line = {"case": case["case"], **verdicts, "message": case["message"]}
        sys.stdout.write(f"{json.dumps(line)}\n")
        sys.stdout.flush()
    return right
