"""Several processes, on gloo: what is heard is the whole, and nobody waits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.models import small, true_norm
from helpers.ranks import torchrun

import gradsound

TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("who", ["True", "rank == 0"])
@pytest.mark.parametrize("optimizer", ["optimizer", "None"])
def test_data_parallel(tmp_path: Path, who: str, optimizer: str) -> None:
    """The norms are those of the whole batch, from rank 0 alone, whoever attaches."""
    code = f"""
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.0)
    if {who}:
        gradsound.attach(ddp, {optimizer}, wav="run.wav")
    for k in range(4):
        optimizer.zero_grad()
        ddp(x).square().mean().backward()
        if k == 3:
            torch.nn.utils.clip_grad_norm_(ddp.parameters(), 1.0)
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
        "run.vtt",
    }
    *plain, clipped = run.steps
    np.testing.assert_allclose([step.norms for step in plain], [wanted] * 3, rtol=1e-5)
    np.testing.assert_allclose(clipped.raw, wanted, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(clipped.norms), 1.0, rtol=1e-5)


PLAIN = {  # ways to shard, over 2 ranks
    "fully": "fully_shard(model)",
    "layer by layer": "fully_shard(model[0]); fully_shard(model)",
}
WAYS = {  # how, what each rank trains on, and how many ranks there are
    **{name: (way, "x[rank::2]", 2) for name, way in PLAIN.items()},
    "one layer whole": (
        "fully_shard(model, ignored_params={*model[2].parameters()})",
        "x",
        2,
    ),
    "in tensor parallel": (
        "parallelize_module(model, grid['tp'], {'0': columns, '2': RowwiseParallel()})",
        "x",
        2,
    ),
    "in two dimensions, and in one": (
        "parallelize_module(model[0], grid['tp'], whole); "
        "fully_shard(model, mesh=grid['dp'])",
        "x[rank // 2 :: 2]",
        4,
    ),
    "replicas of shards": ("fully_shard(model, mesh=grid)", "x[rank::4]", 4),
}


@pytest.mark.parametrize("optimizer", ["optimizer", "None"])
@pytest.mark.parametrize("way", WAYS)
def test_sharded(tmp_path: Path, way: str, optimizer: str) -> None:
    """The norms are those of the whole model, from rank 0 alone; clipping too is heard."""
    how, data, ranks = WAYS[way]
    code = f"""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import *
    grid = init_device_mesh("cpu", ({ranks} // 2, 2), mesh_dim_names=("dp", "tp"))
    columns, whole = ColwiseParallel(), ColwiseParallel(output_layouts=Replicate())
    x = torch.arange(24.0).reshape(8, 3)
    model[1] = torch.nn.ReLU()  # in place, tensor parallel refuses it
    {how}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with gradsound.attach(model, {optimizer}):
        for k in range(3):
            optimizer.zero_grad()
            model({data}).square().mean().backward()
            if k == 2:
                for part in (model[0], model[2]):  # torch refuses to mix meshes
                    torch.nn.utils.clip_grad_value_(part.parameters(), 1 / 3)
            optimizer.step()
    assert not optimizer._optimizer_step_pre_hooks
"""
    done = torchrun(code, tmp_path, ranks)
    assert done.returncode == 0, done.stderr
    steps = [*gradsound.read_run(tmp_path / "run.jsonl").steps]

    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "run.jsonl"}
    model = small()
    model(torch.arange(24.0).reshape(8, 3)).square().mean().backward()
    raw = [true_norm(model[0]), true_norm(model[2])]
    torch.nn.utils.clip_grad_value_(model.parameters(), 1 / 3)
    clipped = [true_norm(model[0]), true_norm(model[2])]
    norms = [step.norms for step in steps]
    np.testing.assert_allclose(norms, [raw, raw, clipped], rtol=1e-5)
    np.testing.assert_allclose(steps[2].raw, raw, rtol=1e-5)


ALONE = """
    from torch.distributed.fsdp import fully_shard
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""


def test_a_rank_that_attaches_alone_is_refused(tmp_path: Path) -> None:
    """One sentence, soon, rather than a hang at the first step; then all may attach."""
    code = f"""{ALONE}
    if rank == 0:
        try:
            gradsound.attach(model, optimizer, wav="run.wav")
        except RuntimeError as error:
            say("refused:", error)
    dist.barrier()
    assert not Path("run.jsonl").exists()
    dist.barrier()
    with gradsound.attach(model, optimizer):
        model(x).square().mean().backward()
        optimizer.step()
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "refused: rank 1 did not call attach() within 10 s: of a sharded" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "run.jsonl"}
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 1


def test_ranks_that_attach_to_different_layers_are_refused(tmp_path: Path) -> None:
    """On all of them."""
    code = f"""{ALONE}
    try:
        gradsound.attach(model, optimizer, layers=str(2 * rank))
    except RuntimeError as error:
        say("refused:", error)
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("with other layers: of a sharded") == 2


@pytest.mark.parametrize("who", [0, 1])
def test_a_rank_that_closes_alone_holds_nobody_up(tmp_path: Path, who: int) -> None:
    """The others are told that their norms end, and train on."""
    code = f"""{ALONE}
    attachment = gradsound.attach(model, optimizer)
    for k in range(4):
        model(x).square().mean().backward()
        optimizer.step()
        if k == 1 and rank == {who}:
            attachment.close()
    say("trained", model[0].weight.full_tensor().sum().item())
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert f"rank {1 - who} did not call close() within 10 s" in done.stderr
    assert "1 of the ranks could not measure its part" in done.stderr or who == 0
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 2
    assert done.stdout.count("trained") == 2


def test_a_rank_that_fails_to_measure_holds_nobody_up(tmp_path: Path) -> None:
    """All ranks end the measuring, and train on as if nothing had been."""
    code = f"""{ALONE}
    attachment = gradsound.attach(model, optimizer)
    for k in range(4):
        if k == 2 and rank == 1:
            attachment._tap._meter = None
        model(x).square().mean().backward()
        optimizer.step()
    attachment.close()
    say("trained", model[0].weight.full_tensor().sum().item())
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "1 of the ranks could not measure its part" in done.stderr
    assert "'NoneType' object has no attribute 'take'" in done.stderr
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 2
    assert done.stdout.count("trained") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("budget=0.01", "budget must be None for a sharded model, got 0.01"),
        ("ranks='each'", "ranks must be 'first' for a sharded model, got 'each'"),
        ("ranks='each', budget=0.5", "budget must be None with ranks='each', got 0.5"),
    ],
)
def test_what_sharded_models_cannot_have(tmp_path: Path, options: str, message) -> None:
    """Is refused in words on every rank."""
    code = f"""{ALONE}
    try:
        gradsound.attach(model, optimizer, {options})
    except ValueError as error:
        say("refused:", error)
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"refused: {message}") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"script.py"}


def test_flat_parameters_are_refused(tmp_path: Path) -> None:
    """FSDP1 has no layers to hear; what to use instead is said."""
    code = """
    from torch.distributed.fsdp import FullyShardedDataParallel
    model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    try:
        gradsound.attach(model)
    except ValueError as error:
        say("refused:", error)
"""
    done = torchrun(code, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shard it with fully_shard() instead") == 2


@pytest.mark.parametrize("optimizer", ["optimizer", "None"])
@pytest.mark.parametrize("accumulate", [False, True])
def test_each_rank_of_its_own(tmp_path: Path, optimizer: str, accumulate: bool) -> None:
    """Every rank records its own batch: the one that went wrong can be told."""
    code = f"""
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.0)
    gradsound.attach(ddp, {optimizer}, wav="run.wav", ranks="each")
    for k in range(3):
        optimizer.zero_grad()
        if {accumulate}:
            with ddp.no_sync():
                ddp(x).square().mean().backward()
        bad = float("nan") if k == 2 and rank == 1 else 1.0
        (bad * ddp(x).square().mean()).backward()
        torch.nn.utils.clip_grad_norm_(ddp.parameters(), 1.0)
        optimizer.step()
"""
    done = torchrun(code, tmp_path)
    assert done.returncode == 0, done.stderr

    assert {path.name for path in tmp_path.iterdir()} == {
        "script.py",
        *(f"run.rank{rank}.{end}" for rank in (0, 1) for end in ("jsonl", "wav", "vtt")),
    }
    for rank in (0, 1):
        model = small()
        x = torch.arange(24.0).reshape(8, 3)[rank::2]
        ((1 + accumulate) * model(x).square().mean()).backward()
        wanted = np.tile([true_norm(model[0]), true_norm(model[2])], (3, 1))
        if rank == 1:
            wanted[2] = np.nan
        steps = [*gradsound.read_run(tmp_path / f"run.rank{rank}.jsonl").steps]
        np.testing.assert_allclose([step.norms for step in steps], wanted, rtol=1e-5)
        assert [step.raw for step in steps] == [None] * 3
