"""Signals of several ranks on gloo: those of the whole model, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from helpers.models import small
from helpers.pipelines import STEPS, data, whole_model
from helpers.ranks import run_ranks
from helpers.signals import Witness, every, signal
from torch import nn

import gradsound
from gradsound.signal_options import SIGNAL_NAMES


def test_data_parallel(tmp_path: Path) -> None:
    """Rank 0 has those of the whole batch; a shard or a rank of its own is refused."""
    code = """
    from torch.distributed.fsdp import fully_shard
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(ddp.parameters(), lr=0.01)
    names = ["update_ratio", "snr", "zeros"]
    for options in ({"ranks": "each"}, {"sharded": True}):
        if options.pop("sharded", False):
            shards = torch.nn.Sequential(torch.nn.Linear(4, 4))
            fully_shard(shards)
            given = shards, torch.optim.Adam(shards.parameters())
        else:
            given = ddp, optimizer
        try:
            gradsound.attach(*given, signals=names, **options)
        except ValueError as error:
            print_line("refused", error)
    gradsound.attach(ddp, optimizer, signals=names)
    for _ in range(6):
        optimizer.zero_grad()
        ddp(x).square().mean().backward()
        optimizer.step()
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr
    steps = [*gradsound.read_run(tmp_path / "run.jsonl").steps]
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    witness = Witness([model[0], model[2]])
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.arange(24.0).reshape(8, 3)).square().mean().backward()
        witness.step(optimizer.step)

    assert process.stdout.count("empty with ranks='each'") == 2
    assert process.stdout.count("empty for a sharded model") == 2
    check(steps, witness, 0.9)


def test_a_pipeline(tmp_path: Path) -> None:
    """Each rank records the signals of its stages; together they are those of the model."""
    code = """
    import torch
    from torch import nn
    from torch.distributed.pipelining import *
    from helpers.pipelines import *
    x, y = data()
    cpu = torch.device("cpu")
    for name, given in (("bubble", False), ("interleaved", True)):
        layers = whole_model()
        parts = nn.ModuleList([layers[rank], layers[rank + 2]])
        stages = [PipelineStage(p, rank + 2 * k, 4, cpu) for k, p in enumerate(parts)]
        kinds = ScheduleInterleaved1F1B, ScheduleInterleavedZeroBubble
        run = kinds[name == "bubble"](stages, MICROBATCHES, loss_fn=nn.functional.mse_loss)
        optimizer = torch.optim.SGD(parts.parameters(), lr=0.25, momentum=0.5)
        options = {"log": name + ".jsonl", "signals": ["update_ratio", "snr", "zeros"]}
        with gradsound.attach(parts, optimizer if given else None, **options):
            compute = lambda: run.step(x) if rank == 0 else run.step(target=y)
            train(compute, parts, optimizer)
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr
    for name in ("bubble", "interleaved"):
        model, (x, y) = whole_model(), data()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
        witness = Witness([*model])
        for step in range(STEPS):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            for part in ((0, 2), (1, 3)) if step == STEPS - 1 else ():
                own = [p for index in part for p in model[index].parameters()]
                nn.utils.clip_grad_norm_(own, 1 / 3)
            witness.step(optimizer.step)
        run = gradsound.read_ranks([tmp_path / f"{name}.rank{k}.jsonl" for k in (0, 1)])

        assert [*run.header.signals] == [*SIGNAL_NAMES]
        stages = [name.split(".")[0] for name in run.header.layers]
        assert stages == ["stage0", "stage1", "stage2", "stage3"]
        check([*run.steps], witness, 0.5)


def check(steps: list, witness: Witness, decay: float) -> None:
    """Asserts that steps have the signals that a witness saw in one process."""
    expected = witness.ratios(lambda then, now: decay ** (now - then))
    np.testing.assert_allclose(signal(steps, "snr"), expected, rtol=1e-3)
    ratios = every(witness.update_ratios, 4)
    np.testing.assert_allclose(signal(steps, "update_ratio"), ratios, rtol=1e-3)
    np.testing.assert_allclose(signal(steps, "zeros"), every(witness.zeros, 10))
