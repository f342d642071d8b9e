"""Pipelines that a user writes by hand, on gloo: each rank records its stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.models import sgd, small, train
from helpers.oracle import assert_steps
from helpers.ranks import run_ranks

import gradsound

# The stages send activations and gradients themselves; a rank has one stage, or a shard.
BEGIN = """
    import json
    import torch
    from torch import nn
    from helpers.oracle import true_norms
    from helpers.pipelines import *
    place = rank

    def part_of(names="own"):
        layers = [*whole_model()[2 * place :][:2]]
        if names == "equal":
            return nn.Sequential(*layers)
        return nn.ModuleDict({str(2 * place + k): one for k, one in enumerate(layers)})

    def run_part(part, h):
        for layer in part.values() if isinstance(part, nn.ModuleDict) else part:
            h = layer(h)
        return h

    def receive(shape, source):
        tensor = torch.empty(shape)
        dist.recv(tensor, source)
        return tensor

    def gpipe(part, micro, other):
        # All microbatches forward, then all backward.
        kept = []
        for a, b in micro:
            if place == 0:
                kept.append(run_part(part, a))
                dist.send(kept[-1].detach(), other)
            else:
                h = receive(a.shape, other).requires_grad_()
                loss = nn.functional.mse_loss(run_part(part, h), b) / len(micro)
                kept.append((h, loss))
        for one in kept:
            if place == 0:
                one.backward(receive(one.shape, other))
            else:
                one[1].backward()
                dist.send(one[0].grad, other)

    def one_forward_one_backward(part, micro, other):
        # The first stage is one microbatch ahead; neighbours exchange by batched P2P calls.
        kept = []
        def exchange(*calls):
            for work in dist.batch_isend_irecv([dist.P2POp(*call) for call in calls]):
                work.wait()
        for a, b in micro:
            if place == 0:
                kept.append(run_part(part, a))
                grad = torch.empty_like(kept[-1])
                calls = [(dist.isend, kept[-1].detach(), other)]
                if len(kept) > 1:
                    calls.append((dist.irecv, grad, other))
                exchange(*calls)
                if len(kept) > 1:
                    torch.autograd.backward(kept.pop(0), grad)
            else:
                h = torch.empty_like(a)
                calls = [(dist.irecv, h, other)]
                if kept:
                    calls.append((dist.isend, kept.pop().grad, other))
                exchange(*calls)
                loss = run_part(part, h.requires_grad_()).sub(b).square().mean()
                (loss / len(micro)).backward()
                kept.append(h)
        if place == 0:
            kept.pop().backward(receive(a.shape, other))
        else:
            dist.send(kept.pop().grad, other)

    def assigned(part, micro, other):
        # Gradients that no hook of the backward pass sees, as of zero-bubble schedules.
        own = [*part.parameters()]
        for a, b in micro:
            if place == 0:
                out = run_part(part, a)
                dist.send(out.detach(), other)
                grads = torch.autograd.grad(out, own, receive(out.shape, other))
            else:
                h = receive(a.shape, other).requires_grad_()
                loss = nn.functional.mse_loss(run_part(part, h), b) / len(micro)
                sent, *grads = torch.autograd.grad(loss, [h, *own])
                dist.send(sent, other)
            for p, grad in zip(own, grads):
                p.grad = grad if p.grad is None else p.grad + grad

    def clip(part, how):
        own = [*part.parameters()]
        if how == "own":
            nn.utils.clip_grad_norm_(own, 1 / 100)
        if how in ("all", "hand"):  # over the ranks
            total = nn.utils.get_total_norm([p.grad for p in own]).square()
            dist.all_reduce(total)
            total = total.sqrt()
        if how == "all":
            nn.utils.clip_grads_with_norm_(own, 1 / 100, total)
        if how == "hand":
            for parameter in own:
                parameter.grad.mul_(torch.clamp(0.01 / (total + 1e-6), max=1))

    def whole(part):
        return part

    def record(name, schedule, how="", names="own", given=True, wrap=whole, **options):
        x, y = data()
        x, y = x[shard::shards], y[shard::shards]
        micro = [*zip(x.chunk(MICROBATCHES), y.chunk(MICROBATCHES))]
        weights, truth, raw = [], [], []
        for attached in (False, True):
            part = wrap(part_of(names))
            optimizer = torch.optim.AdamW(part.parameters(), lr=0.05)
            if attached:
                attachment = gradsound.attach(
                    part, optimizer if given else None, log=name + ".jsonl", **options)
            truth, raw = [], []
            for _ in range(STEPS):
                optimizer.zero_grad()
                schedule(part, micro, other)
                raw.append(whole_norms(part))
                clip(part, how)
                truth.append(whole_norms(part))
                optimizer.step()
            weights.append([local(p).detach().clone() for p in part.parameters()])
        attachment.close()
        assert all(map(torch.equal, *weights))
        Path(f"{name}.truth{rank}").write_text(json.dumps([truth, raw]))

    shard, shards, other, whole_norms = 0, 1, 1 - rank, true_norms
"""


def check(
    folder: Path, name: str, ranks: tuple[int, int], *, raw: bool, equal: bool
) -> None:
    """Asserts that the files of two ranks are, as one run, what both ranks applied."""
    run = gradsound.read_ranks([folder / f"{name}.rank{rank}.jsonl" for rank in ranks])
    truths = [json.loads((folder / f"{name}.truth{rank}").read_text()) for rank in ranks]
    names = [f"stage{stage}.{k}" for stage in (0, 1) for k in (0, 1)] if equal else "0123"
    truth, before = (
        [
            dict(zip(names, [*first.values(), *second.values()]))
            for first, second in zip(truths[0][kind], truths[1][kind], strict=True)
        ]
        for kind in (0, 1)
    )
    assert run.header.layers == tuple(names)
    steps = [*run.steps]
    assert_steps(steps, names, truth)
    assert [step.raw is not None for step in steps] == [raw] * len(steps)
    if raw:
        expected = [[*one.values()] for one in before]
        np.testing.assert_allclose([step.raw for step in steps], expected, rtol=1e-4)


def test_each_rank_records_its_stage(tmp_path: Path) -> None:
    """With a number of its stage, a rank records what it applies, clipped in any way.

    Weights are equal to the last bit without gradsound.
    """
    code = f"""{BEGIN}
    record("plain", gpipe, stage=rank)
    record("own", gpipe, "own", stage=rank)
    record("all", one_forward_one_backward, "all", names="equal", stage=rank)
    record("hand", one_forward_one_backward, "hand", given=False, stage=rank)
    record("assigned", assigned, "all", given=False, stage=rank)
    record("turned", gpipe, names="equal", stage=1 - rank)
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr
    assert "GradsoundWarning" not in process.stderr

    check(tmp_path, "plain", (0, 1), raw=False, equal=False)
    check(tmp_path, "own", (0, 1), raw=True, equal=False)
    check(tmp_path, "all", (0, 1), raw=True, equal=True)
    check(tmp_path, "hand", (0, 1), raw=False, equal=False)
    check(tmp_path, "assigned", (0, 1), raw=True, equal=False)
    run = gradsound.read_ranks(tmp_path.glob("turned.rank*.jsonl"))
    first = gradsound.read_run(tmp_path / "turned.rank1.jsonl")
    norms = [[*step.norms[:2]] for step in run.steps]
    assert norms == [[*step.norms] for step in first.steps]


def test_sharded_stages_are_recorded_once(tmp_path: Path) -> None:
    """Of the ranks that share a stage by FSDP2, the first records the whole gradients."""
    code = f"""{BEGIN}
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    grid = init_device_mesh("cpu", (2, 2), mesh_dim_names=("pp", "dp"))
    place, shard, shards = rank // 2, rank % 2, 2
    other = (rank + 2) % 4
    def whole_norms(part):
        norms = {{}}
        for name, module in part.named_modules():
            grads = [p.grad for p in module.parameters(recurse=False)]
            if grads:
                squares = sum(g.full_tensor().double().square().sum() for g in grads)
                norms[name] = squares.sqrt().item()
        return norms
    def wrap(part):
        for layer in part:
            fully_shard(layer, mesh=grid["dp"])
        return part
    record("sharded", gpipe, names="equal", wrap=wrap, stage=place)
"""
    process = run_ranks(code, tmp_path, 4)
    assert process.returncode == 0, process.stderr

    assert {path.name for path in tmp_path.glob("*.jsonl")} == {
        "sharded.rank0.jsonl",
        "sharded.rank2.jsonl",
    }
    check(tmp_path, "sharded", (0, 2), raw=False, equal=True)


def test_a_stage_that_nobody_records_is_said_once(tmp_path: Path) -> None:
    """Without a number, rank 0 alone records: one rank warns, and names the remedy."""
    code = f"""{BEGIN}
    record("run", gpipe)
    record("next", gpipe)
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr

    assert process.stderr.count("GradsoundWarning: ") == 1
    assert process.stderr.count("and rank 0 alone records: in a pipeline that you wr") == 1
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {"run.jsonl", "next.jsonl"}


@pytest.mark.parametrize("same", [True, False])
def test_replicas_need_no_word(tmp_path: Path, *, same: bool) -> None:
    """Ranks of the same layers are replicas; so are later models of some ranks alone."""
    code = """
    gradsound.attach(model, log="first.jsonl").close()
    if SAME or rank == 0:
        gradsound.attach(small(), log="second.jsonl").close()
    gradsound.attach(torch.nn.Linear(3, 1 + rank), log="third.jsonl").close()
""".replace("SAME", str(same))
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert "other layers" not in process.stderr


@pytest.mark.parametrize("stage", [-1, 1.0, True, "0"])
def test_a_stage_is_a_whole_number(tmp_path: Path, stage: object) -> None:
    """Other values are errors, also in one process, where the number changes nothing."""
    log = tmp_path / "run.jsonl"
    with pytest.raises(ValueError, match="stage must be a whole number of 0 or more, got"):
        gradsound.attach(small(), log=log, stage=stage)
    model = small()
    with gradsound.attach(model, log=log, stage=1):
        train(model, sgd(model))
    assert gradsound.read_run(log).header.stages == ()
