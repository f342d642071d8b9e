"""Several processes, on gloo: what is heard is the whole, and nobody waits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo import small

import gradsound

TESTS = Path(__file__).parent
BEGIN = f"""if True:
    import sys
    sys.path.insert(0, {str(TESTS)!r})
    import torch.distributed as dist
    import gradsound
    from zoo import *
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    x = torch.arange(24.0).reshape(8, 3)[rank::2]
    model = small()
"""


def torchrun(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Two ranks; ends by itself, if with an error, should one of them hang."""
    (folder / "script.py").write_text(f"{BEGIN}{code}    dist.destroy_process_group()\n")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [sys.executable, *launch, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("who", ["True", "rank == 0"])
@pytest.mark.parametrize("optimizer", ["optimizer", "None"])
def test_data_parallel(tmp_path: Path, who: str, optimizer: str) -> None:
    """The norms are those of the whole batch, from rank 0 alone, whoever attaches."""
    code = f"""
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.0)
    if {who}:
        gradsound.attach(ddp, {optimizer}, wav="run.wav")
    for _ in range(3):
        optimizer.zero_grad()
        ddp(x).square().mean().backward()
        optimizer.step()
"""
    done = torchrun(code, tmp_path)
    assert done.returncode == 0, done.stderr
    run = gradsound.read_run(tmp_path / "run.jsonl")
    model = small()
    model(torch.arange(24.0).reshape(8, 3)).square().mean().backward()
    wanted = [
        torch.cat([p.grad.flatten() for p in layer.parameters()]).norm().item()
        for layer in (model[0], model[2])
    ]

    assert {path.name for path in tmp_path.iterdir()} == {
        "script.py",
        "run.jsonl",
        "run.wav",
    }
    np.testing.assert_allclose([step.norms for step in run.steps], [wanted] * 3, rtol=1e-5)


def test_sharded_parameters_are_refused_at_once(tmp_path: Path) -> None:
    """Rather than a hang or a part of the truth: one sentence, on any rank."""
    code = """
    from torch.distributed.fsdp import fully_shard
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    if rank == 0:
        try:
            gradsound.attach(model, optimizer)
        except ValueError as error:
            print("refused:", error)
    model(x).square().mean().backward()
    optimizer.step()
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "refused: layer '0' is sharded (FSDP or tensor parallel)" in done.stdout
    assert not (tmp_path / "run.jsonl").exists()
