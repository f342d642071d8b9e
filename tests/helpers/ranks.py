"""Runs a script on several ranks by torchrun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
BEGIN = f"""if True:
    import atexit, sys, time
    atexit.register(time.sleep, 0.5)  # runs last: gloo's threads free their tensors; else
    # torch sometimes aborts the process (https://github.com/pytorch/pytorch/pull/179291)
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


def torchrun(code: str, folder: Path, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """Runs the script in a folder; raises TimeoutExpired after 120 seconds."""
    (folder / "script.py").write_text(f"{BEGIN}{code}    dist.destroy_process_group()\n")
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return subprocess.run(
        [sys.executable, *launch, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
