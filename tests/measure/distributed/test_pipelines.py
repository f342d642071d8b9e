"""Pipelines on gloo: each stage is recorded once, and all are read as one model."""

from pathlib import Path

from helpers.oracle import assert_steps
from helpers.pipelines import STEPS, train_in_one_process
from helpers.ranks import run_ranks

import gradsound

BEGIN = """
    import torch
    from torch import nn
    from torch.distributed.pipelining import *
    from helpers.pipelines import *
    x, y = data()
    cpu = torch.device("cpu")

    def single(schedule, place=rank, group=None, wrap=lambda part: part):
        # Returns what makes a pipeline with a stage on each rank.
        def make():
            part = whole_model()[2 * place :][:2]
            stage = PipelineStage(wrap(part), place, 2, cpu, group=group)
            run = schedule(stage, MICROBATCHES, loss_fn=nn.functional.mse_loss)
            return part, lambda: run.step(x) if place == 0 else run.step(target=y)
        return make

    def several(schedule):
        # Returns what makes a pipeline with two stages on each rank.
        def make():
            layers = whole_model()
            parts = nn.ModuleList([layers[rank], layers[rank + 2]])
            stages = [PipelineStage(p, rank + 2 * k, 4, cpu) for k, p in enumerate(parts)]
            run = schedule(stages, MICROBATCHES, loss_fn=nn.functional.mse_loss)
            return parts, lambda: run.step(x) if rank == 0 else run.step(target=y)
        return make

    def record(name, make, given=True, **options):
        def attach(model, optimizer):
            optimizer = optimizer if given else None
            return gradsound.attach(model, optimizer, log=name + ".jsonl", **options)
        print_line(name, "equal" if train_twice(make, attach) else "different")
"""


def check_joined(folder: Path, name: str, ranks: tuple[int, int], layers: str) -> None:
    """Asserts that the files of ranks are, as one run, that of the whole model."""
    paths = [folder / f"{name}.rank{rank}.jsonl" for rank in ranks]
    run = gradsound.read_ranks(paths)
    assert run.header.layers == tuple(layers.split())
    assert run.header.parameters == (42,) * 4
    steps = [*run.steps]
    parts = [(0, 1), (2, 3)] if layers == "0 1 2 3" else [(0, 2), (1, 3)]
    assert_steps(steps, "0123", train_in_one_process(parts))
    assert [step.raw is not None for step in steps] == [False] * (STEPS - 1) + [True]


def test_each_rank_records_its_stages(tmp_path: Path) -> None:
    """The ranks record what they apply, in any schedule, with the optimizer or without.

    Without gradsound, the weights are the same.
    """
    code = f"""{BEGIN}
    record("gpipe", single(ScheduleGPipe))
    record("1f1b", single(Schedule1F1B), given=False, ranks="each")
    record("interleaved", several(ScheduleInterleaved1F1B))
    record("bubble", several(ScheduleInterleavedZeroBubble), given=False)
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr

    names = ("gpipe", "1f1b", "interleaved", "bubble")
    assert process.stdout.count("equal") == 2 * len(names)
    assert {path.name for path in tmp_path.iterdir()} == {
        "script.py",
        *(f"{name}.rank{rank}.jsonl" for name in names for rank in (0, 1)),
    }
    for name in names[:2]:
        check_joined(tmp_path, name, (0, 1), "0 1 2 3")
    for name in names[2:]:
        check_joined(tmp_path, name, (0, 1), "stage0.0 stage1.0 stage2.1 stage3.1")


def test_a_stage_on_several_ranks_is_recorded_once(tmp_path: Path) -> None:
    """Of shards and of replicas of a stage, one rank records the whole gradients."""
    code = f"""{BEGIN}
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    grid = init_device_mesh("cpu", (2, 2), mesh_dim_names=("pp", "dp"))
    place, group, dp = grid["pp"].get_local_rank(), grid["pp"].get_group(), grid["dp"]
    x, y = (whole[dp.get_local_rank() :: 2] for whole in (x, y))
    def shard(part):
        return fully_shard(part, mesh=dp)
    def replicate(part):  # which fails in a stage of GPipe, without gradsound (torch 2.13)
        return nn.parallel.DistributedDataParallel(part, process_group=dp.get_group())
    options = dict(place=place, group=group)
    record("shards", single(Schedule1F1B, **options, wrap=shard))
    record("auto", single(ScheduleGPipe, **options, wrap=shard), given=False)
    record("replicas", single(Schedule1F1B, **options, wrap=replicate))
"""
    process = run_ranks(code, tmp_path, 4)
    assert process.returncode == 0, process.stderr

    names = ("shards", "auto", "replicas")
    assert process.stdout.count("equal") == 4 * len(names)
    assert {path.name for path in tmp_path.iterdir()} == {
        "script.py",
        *(f"{name}.rank{rank}.jsonl" for name in names for rank in (0, 2)),
    }
    for name in names:
        check_joined(tmp_path, name, (0, 2), "0 1 2 3")


def test_a_pipeline_goes_on_and_refuses_a_budget(tmp_path: Path) -> None:
    """Ranks resume at one step; a model with layers of other ranks counts in part.

    A budget is an error, and stages that come after attach() a warning.
    """
    code = f"""{BEGIN}
    for name in ("first", "second"):
        model, (part, compute) = whole_model(), single(ScheduleGPipe)()
        for index, layer in zip((2 * rank, 2 * rank + 1), part):
            model[index] = layer
        optimizer = sgd(part)
        try:
            gradsound.attach(model, optimizer, budget=0.25)
        except ValueError as error:
            print_line(error)
        given = optimizer if name == "first" else None
        with gradsound.attach(model, given, resume=True):
            train(compute, part, optimizer)
    model = whole_model()[2 * rank :][:2]
    attachment = gradsound.attach(model, log="late.jsonl")
    stage = PipelineStage(model, rank, 2, cpu)
    run = ScheduleGPipe(stage, MICROBATCHES, loss_fn=nn.functional.mse_loss)
    run.step(x) if rank == 0 else run.step(target=y)
    sgd(model).step()
    attachment.close()
"""
    process = run_ranks(code, tmp_path)
    assert process.returncode == 0, process.stderr

    assert process.stdout.count("budget must be None for a pipeline, got 0.25: all") == 4
    run = gradsound.read_ranks(tmp_path.glob("run.rank*.jsonl"))
    assert run.header.layers == ("0", "1", "2", "3")
    steps = [*run.steps]
    once = train_in_one_process([(0, 1), (2, 3)])
    assert_steps(steps, "0123", once + once)
    assert process.stderr.count("was made after attach(), so gradsound does not") == 1
