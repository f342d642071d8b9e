"""Runs a script on several ranks."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1]
_SECONDS = 120.0  # longest time of a job
BEGIN = f"""if True:
    import sys, time
    sys.path.insert(0, {str(TESTS)!r})
    from pathlib import Path
    import torch.distributed as dist
    import gradsound
    from helpers.models import *
    def print_line(*words):  # by one write, because the ranks share standard output
        sys.stdout.write(" ".join(map(str, words)) + "\\n")
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    x = torch.arange(24.0).reshape(8, 3)[rank::2]
    model = small()
"""


def run_ranks(code: str, folder: Path, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """Runs the script in a folder, as torchrun would; raises TimeoutExpired after 120 s."""
    (folder / "script.py").write_text(f"{BEGIN}{code}    dist.destroy_process_group()\n")
    with tempfile.TemporaryDirectory() as texts:
        job = {
            "folder": str(folder),
            "environment": dict(os.environ),
            "ranks": ranks,
            "script": "script.py",
            **{name: f"{texts}/{name}" for name in ("stdout", "stderr")},
        }
        server = _rank_server()
        server.stdin.write(json.dumps(job).encode() + b"\n")
        if not select.select([server.stdout], [], [], _SECONDS)[0]:
            _end(server)
            _rank_server.cache_clear()
            raise subprocess.TimeoutExpired("script.py", _SECONDS)
        status = int(server.stdout.readline())
        stdout, stderr = (Path(job[name]).read_text() for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(["script.py"], status, stdout, stderr)


@functools.cache
def _rank_server() -> subprocess.Popen[bytes]:
    """Starts the process whose forks are ranks; it ends with this one."""
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    server = subprocess.Popen(
        [sys.executable, str(TESTS / "helpers" / "rank_server.py")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    atexit.register(_end, server)
    assert server.stdout.readline() == b"ready\n"
    return server


def _end(server: subprocess.Popen[bytes]) -> None:
    """Kills the server with its ranks."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.communicate()
