"""Of eight ranks that train together, the bad one and the slow one are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers.ranks import run_ranks

import gradsound

if TYPE_CHECKING:
    from pathlib import Path

RANKS, STEPS, SLOW, BAD = 8, 110, 50, 80  # the steps at which ranks 3 and 5 begin


@pytest.mark.realtime
def test_a_bad_rank_and_a_slow_rank_are_named_within_five_steps(tmp_path: Path) -> None:
    """Rank 3 sleeps and rank 5 has wrong inputs; before, no rank has an alarm."""
    code = f"""
    import torch
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 1))
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    random = torch.Generator().manual_seed(rank)
    with gradsound.attach(ddp, optimizer, ranks="each"):
        for step in range({STEPS}):
            x = torch.randn(16, 8, generator=random)
            y = x.sum(1, keepdim=True)
            if rank == 3 and step >= {SLOW}:
                time.sleep(0.2)
            if rank == 5 and step >= {BAD}:
                x *= 30
            optimizer.zero_grad()
            (ddp(x) - y).square().mean().backward()
            optimizer.step()
"""
    result = run_ranks(code, tmp_path, RANKS)
    assert result.returncode == 0, result.stderr

    paths = sorted(tmp_path.glob("run.rank*.jsonl"))
    assert len(paths) == RANKS
    alarms = gradsound.read_ranks(paths).alarms()
    named = {one.kind: one for one in alarms if one.kind in ("rank", "straggler")}
    assert sum(one.kind in named for one in alarms) == 2
    assert named["straggler"].layers == ("rank 3",)
    assert SLOW <= named["straggler"].step < SLOW + 5
    assert named["rank"].layers == ("rank 5",)
    assert BAD <= named["rank"].step < BAD + 5
