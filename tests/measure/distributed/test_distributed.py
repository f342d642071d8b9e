"""Several ranks on gloo: the norms are those of the whole model, and no rank hangs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.models import small, true_norm
from helpers.ranks import run_ranks

import gradsound

TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("attaches", ["True", "rank == 0"])
@pytest.mark.parametrize("optimizer", ["optimizer", "None"])
def test_data_parallel(tmp_path: Path, attaches: str, optimizer: str) -> None:
    """Rank 0 alone records the norms of the whole batch, if one or all ranks attach."""
    code = f"""
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.0)
    if {attaches}:
        gradsound.attach(ddp, {optimizer}, wav="run.wav")
    for k in range(4):
        optimizer.zero_grad()
        ddp(x).square().mean().backward()
        if k == 3:
            torch.nn.utils.clip_grad_norm_(ddp.parameters(), 1.0)
        optimizer.step()
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr
    run = gradsound.read_run(tmp_path / "run.jsonl")
    model = small()
    model(torch.arange(24.0).reshape(8, 3)).square().mean().backward()
    expected = [
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
    np.testing.assert_allclose([step.norms for step in plain], [expected] * 3, rtol=1e-5)
    np.testing.assert_allclose(clipped.raw, expected, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(clipped.norms), 1.0, rtol=1e-5)


FSDP = {  # ways to shard over 2 ranks
    "fully": "fully_shard(model)",
    "layer by layer": "fully_shard(model[0]); fully_shard(model)",
}
WAYS = {  # code that shards, data of a rank, number of ranks
    **{name: (way, "x[rank::2]", 2) for name, way in FSDP.items()},
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
    """Rank 0 alone records the norms of the whole model, before and after clipping."""
    shard, data, ranks = WAYS[way]
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
    {shard}
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
    process = run_ranks(code, tmp_path, ranks)
    assert process.returncode == 0, process.stderr
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


SHARDED = """
    from torch.distributed.fsdp import fully_shard
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""


def test_a_rank_that_attaches_alone_raises(tmp_path: Path) -> None:
    """A rank that attaches alone gets an error after 10 s, no hang; then all may attach."""
    code = f"""{SHARDED}
    if rank == 0:
        try:
            gradsound.attach(model, optimizer, wav="run.wav")
        except RuntimeError as error:
            print_line("raised:", error)
    dist.barrier()
    assert not Path("run.jsonl").exists()
    dist.barrier()
    with gradsound.attach(model, optimizer):
        model(x).square().mean().backward()
        optimizer.step()
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert "raised: rank 1 did not call attach() within 10 s: each rank" in process.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "run.jsonl"}
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 1


def test_ranks_that_attach_to_different_layers_raise(tmp_path: Path) -> None:
    """If ranks attach to different layers, every rank raises an error."""
    code = f"""{SHARDED}
    try:
        gradsound.attach(model, optimizer, layers=str(2 * rank))
    except RuntimeError as error:
        print_line("raised:", error)
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert process.stdout.count("with the same layers: all ranks of a sharded") == 2


@pytest.mark.parametrize("closing", [0, 1])
def test_a_rank_that_closes_alone_stops_no_training(tmp_path: Path, closing: int) -> None:
    """If one rank closes alone, all ranks warn, stop recording and train on."""
    code = f"""{SHARDED}
    attachment = gradsound.attach(model, optimizer)
    for k in range(4):
        model(x).square().mean().backward()
        optimizer.step()
        if k == 1 and rank == {closing}:
            attachment.close()
    print_line("trained", model[0].weight.full_tensor().sum().item())
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert f"rank {1 - closing} did not call close() within 10 s" in process.stderr
    assert "1 of the ranks could not measure its part" in process.stderr or closing == 0
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 2
    assert process.stdout.count("trained") == 2


def test_a_rank_that_fails_to_measure_stops_no_training(tmp_path: Path) -> None:
    """If one rank fails to measure, all ranks stop measuring and train on."""
    code = f"""{SHARDED}
    from gradsound.measure.norms.gradient_norms import GradientNorms
    attachment = gradsound.attach(model, optimizer)
    for k in range(4):
        if k == 2 and rank == 1:
            GradientNorms.compute = None
        model(x).square().mean().backward()
        optimizer.step()
    attachment.close()
    print_line("trained", model[0].weight.full_tensor().sum().item())
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert "1 of the ranks could not measure its part" in process.stderr
    assert "'NoneType' object is not callable" in process.stderr
    assert len([*gradsound.read_run(tmp_path / "run.jsonl").steps]) == 2
    assert process.stdout.count("trained") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("budget=0.01", "budget must be None for a sharded model, got 0.01"),
        ("ranks='each'", "ranks must be 'first' for a sharded model, got 'each'"),
        ("ranks='each', budget=0.5", "budget must be None with ranks='each', got 0.5"),
    ],
)
def test_options_that_a_sharded_model_refuses(
    tmp_path: Path, options: str, message
) -> None:
    """An option that does not fit a sharded model raises an error on every rank."""
    code = f"""{SHARDED}
    try:
        gradsound.attach(model, optimizer, {options})
    except ValueError as error:
        print_line("raised:", error)
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert process.stdout.count(f"raised: {message}") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"script.py"}


def test_flat_parameters_raise(tmp_path: Path) -> None:
    """FSDP1 has no layers; the error names fully_shard() instead."""
    code = """
    from torch.distributed.fsdp import FullyShardedDataParallel
    model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    try:
        gradsound.attach(model)
    except ValueError as error:
        print_line("raised:", error)
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert process.stdout.count("shard it with fully_shard() instead") == 2


@pytest.mark.parametrize("optimizer", ["optimizer", "None"])
@pytest.mark.parametrize("accumulate", [False, True])
def test_ranks_each(tmp_path: Path, optimizer: str, accumulate: bool) -> None:
    """With ranks="each", each rank records its own batch, so NaN is in one run alone."""
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
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr

    assert {path.name for path in tmp_path.iterdir()} == {
        "script.py",
        *(f"run.rank{rank}.{end}" for rank in (0, 1) for end in ("jsonl", "wav", "vtt")),
    }
    for rank in (0, 1):
        model = small()
        x = torch.arange(24.0).reshape(8, 3)[rank::2]
        ((1 + accumulate) * model(x).square().mean()).backward()
        expected = np.tile([true_norm(model[0]), true_norm(model[2])], (3, 1))
        if rank == 1:
            expected[2] = np.nan
        steps = [*gradsound.read_run(tmp_path / f"run.rank{rank}.jsonl").steps]
        np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-5)
        assert [step.raw for step in steps] == [None] * 3


@pytest.mark.parametrize(
    ("optimizer", "throw"), [("optimizer", "zero_grad()"), ("None", "zero_grad(False)")]
)
def test_ranks_each_have_discarded_steps(
    tmp_path: Path, optimizer: str, throw: str
) -> None:
    """Each rank records an iteration that is thrown away, with the norms of its batch."""
    code = f"""
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.0)
    gradsound.attach(ddp, {optimizer}, ranks="each")
    for k in range(4):
        factor = 1e30 if k == 1 else 1.0
        (factor * ddp(x).square().mean()).backward()
        if torch.nn.utils.clip_grad_norm_(ddp.parameters(), 1.0) < 1e9:
            optimizer.step()
        optimizer.{throw}
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr
    for rank in (0, 1):
        model = small()
        x = torch.arange(24.0).reshape(8, 3)[rank::2]
        model(x).square().mean().backward()
        expected = np.tile([true_norm(model[0]), true_norm(model[2])], (4, 1))
        expected[1] *= 1e30
        steps = [*gradsound.read_run(tmp_path / f"run.rank{rank}.jsonl").steps]
        assert [step.discarded for step in steps] == [False, True, False, False]
        np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-5)


RESUMED = """
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(ddp.parameters(), lr=0.0)
    with gradsound.attach(ddp, optimizer, resume=True, {options}):
        for k in range({steps}):
            optimizer.zero_grad()
            ddp(x).square().mean().backward()
            optimizer.step()
            time.sleep(0.2)  # so that a kill costs no step that is written
            if k == {killed} and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
"""


def train_ranks(folder: Path, steps: int, options: str, killed: int = -1) -> str:
    """Trains on two ranks, which go on in their files; returns the errors."""
    code = RESUMED.format(steps=steps, options=options, killed=killed)
    process = run_ranks(f"    import os, signal\n{code}", folder)
    assert (process.returncode == 0) == (killed < 0), process.stderr
    return process.stderr


def numbers_of(folder: Path) -> list[list[int]]:
    """Returns the numbers of the steps in the file of each rank."""
    runs = [gradsound.read_run(folder / f"run.rank{rank}.jsonl") for rank in (0, 1)]
    return [[step.number for step in run.steps] for run in runs]


def test_rank_0_goes_on(tmp_path: Path) -> None:
    """If all ranks resume, rank 0 goes on in the one file; the others write none."""
    train_ranks(tmp_path, 2, "wav='run.wav'")
    train_ranks(tmp_path, 3, "wav='run.wav'")
    train_ranks(tmp_path, 2, "wav='run.wav', start_step=4")
    steps = gradsound.read_run(tmp_path / "run.jsonl").steps

    assert [step.number for step in steps] == [*range(6)]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("script.py", "run.jsonl", "run.wav", "run.vtt")
    }


def test_killed_ranks_go_on_at_one_step(tmp_path: Path) -> None:
    """After a kill, each rank goes on in its own file, all of them at the same step.

    A rank whose file lost steps has a gap; a rank without a file begins one at that step.
    """
    options = "ranks='each', wav='run.wav'"
    train_ranks(tmp_path, 6, options, killed=3)
    parts = numbers_of(tmp_path)
    for rank, numbers in enumerate(parts):
        assert numbers == [*range(len(numbers))]
        assert len(numbers) >= 3, rank
    log = tmp_path / "run.rank1.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:3]) + lines[3][:30])  # a header and two steps
    train_ranks(tmp_path, 2, options)
    begin = len(parts[0])

    assert numbers_of(tmp_path) == [[*range(begin + 2)], [0, 1, begin, begin + 1]]
    for rank in (0, 1):
        model = small()
        model(torch.arange(24.0).reshape(8, 3)[rank::2]).square().mean().backward()
        for step in gradsound.read_run(tmp_path / f"run.rank{rank}.jsonl").steps:
            np.testing.assert_allclose(step.norms[0], true_norm(model[0]), rtol=1e-5)
        gradsound.render(tmp_path / f"run.rank{rank}.jsonl", tmp_path / "again.wav")
        again = (tmp_path / "again.wav").read_bytes()
        assert (tmp_path / f"run.rank{rank}.wav").read_bytes() == again

    log.unlink()
    train_ranks(tmp_path, 1, options)
    assert numbers_of(tmp_path) == [[*range(begin + 3)], [begin + 2]]
    assert gradsound.read_run(log).header.first_step == begin + 2


def test_ranks_that_cannot_go_on_raise_at_once(tmp_path: Path) -> None:
    """If one rank cannot go on in its file, no rank does, and none waits for it."""
    (tmp_path / "run.rank1.jsonl").write_text("no run\n")
    code = """
    begin = time.monotonic()
    try:
        gradsound.attach(model, resume=True, ranks="each")
    except (RuntimeError, ValueError) as error:
        print_line("raised:", error)
    assert time.monotonic() - begin < 5
"""
    process = run_ranks(code, tmp_path)

    assert process.returncode == 0, process.stderr
    assert "raised: rank 1 cannot go on in its run file, so no rank does" in process.stdout
    assert "raised: run.rank1.jsonl, line 1: expected a run" in process.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "run.rank1.jsonl"}
