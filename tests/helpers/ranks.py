"""Scripts that run on several ranks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
BEGIN = f"""if True:
    import atexit, sys, time
    atexit.register(time.sleep, 0.5)  # last: gloo's threads let go of their tensors, else
    # torch now and then aborts the process (https://github.com/pytorch/pytorch/pull/179291)
    sys.path.insert(0, {str(TESTS)!r})
    from pathlib import Path
    import torch.distributed as dist
    import gradsound
    from helpers.models import *
    def say(*words):  # in one piece: ranks share the output
        sys.stdout.write(" ".join(map(str, words)) + "\\n")
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    x = torch.arange(24.0).reshape(8, 3)[rank::2]
    model = small()
"""


def torchrun(code: str, folder: Path, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    """Runs a script on several ranks; a hang ends with an error."""
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
