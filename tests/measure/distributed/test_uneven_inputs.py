"""A rank that runs out of inputs, and optimizers that divide the parameters among ranks."""

import json
from pathlib import Path

import numpy as np
from helpers.oracle import assert_steps
from helpers.ranks import run_ranks

import gradsound

COMMON = """
    import json
    from helpers.oracle import true_norms
    from torch.distributed.algorithms.join import Join
    from torch.distributed.optim import ZeroRedundancyOptimizer
    from torch.nn.parallel import DistributedDataParallel

    def make(optimizer):
        ddp = DistributedDataParallel(small())
        return ddp, optimizer(ddp.parameters())
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.25)
    def zero(parameters):
        return ZeroRedundancyOptimizer(parameters, torch.optim.Adam, lr=0.25)
    def train(ddp, optimizer, steps, truth):
        for step in range(steps):
            optimizer.zero_grad()
            ddp(x).square().mean().backward()
            truth.append(true_norms(ddp))
            optimizer.step()
    def weights(ddp):
        return [p.tolist() for p in ddp.parameters()]
"""


def test_steps_without_the_recording_rank_are_counted(tmp_path: Path) -> None:
    """Their numbers are missing in the run, which has their count; a warning says so."""
    code = f"""{COMMON}
    for name, optimizer in [("sgd", sgd), ("zero", zero)]:
        found = []
        for attached in (False, True):
            truth, (ddp, opt) = [], make(optimizer)
            handle = gradsound.attach(ddp, opt, log=name + ".jsonl") if attached else None
            for epoch in range(2):
                with Join([ddp, opt] if name == "zero" else [ddp]):
                    train(ddp, opt, 2 + 3 * rank, truth)
            if attached:
                handle.close()
            found.append(weights(ddp))
        print_line(name, "equal" if found[0] == found[1] else "different")
        if rank == 0:
            Path(name + ".json").write_text(json.dumps(truth))
    assert not hasattr(Join.__exit__, "gradsound_original")
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr

    assert process.stdout.count("equal") == 4
    assert process.stderr.count("rank 0 ran out of inputs before the others") == 2
    assert process.stderr.count("the run lacks 6 of their steps") == 2
    for name in ("sgd", "zero"):
        run = gradsound.read_run(tmp_path / f"{name}.jsonl")
        assert [step.number for step in run.steps] == [0, 1, 5, 6]
        assert run.total_steps == 10
        truth = json.loads((tmp_path / f"{name}.json").read_text())
        expected = [[norms[layer] for layer in run.header.layers] for norms in truth]
        norms = [step.norms for step in run.steps]
        np.testing.assert_allclose(norms, expected, rtol=1e-4)


def test_the_share_of_an_optimizer_stands_for_the_whole(tmp_path: Path) -> None:
    """The optimizer in a ZeroRedundancyOptimizer has parameters of this rank alone.

    Who gives it means all: the run has every layer.
    """
    code = f"""{COMMON}
    found = []
    for attached in (False, True):
        truth, (ddp, optimizer) = [], make(zero)
        given = [optimizer.optim] if rank else optimizer.optim
        handle = gradsound.attach(ddp, given) if attached else None
        train(ddp, optimizer, 3, truth)
        if attached:
            handle.close()
        found.append(weights(ddp))
    print_line("equal" if found[0] == found[1] else "different")
    if rank == 0:
        assert len(optimizer.optim.param_groups[0]["params"]) < 4
        Path("truth.json").write_text(json.dumps(truth))
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr

    assert process.stdout.count("equal") == 2
    run = gradsound.read_run(tmp_path / "run.jsonl")
    assert run.header.layers == ("module.0", "module.2")
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert_steps([*run.steps], run.header.layers, truth)
