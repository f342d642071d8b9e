"""Trains by DeepSpeed on the CPU, with one and two gloo ranks, and checks what is recorded.

    python tests/engines/deepspeed_engine.py

It prints one line of JSON a case, and exits with 0 if all is right. DeepSpeed compiles an
operator first, which needs g++ and ninja.

Two things decide what is right. Raw norms are those of the gradient that DeepSpeed's own
``safe_get_full_grad`` gathers before the step. Applied norms are those of the difference
that the step makes in the weights: plain SGD with a learning rate of 1 subtracts exactly
the gradient that it applies.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepspeed.accelerator import get_accelerator
from deepspeed_ranks import print_cases, run_ranks
from torch import nn

import gradsound

_RTOL = 1e-4
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Case:
    """A training.

    Attributes:
        name: A few words.
        stage: The stage of ZeRO.
        dtype: The type of the weights: a key of `_DTYPES`.
        clip: The norm to which the engine clips; 0 for none.
        accumulation: Backward passes a step.
        given: What `gradsound.attach` gets.
        config: Further configuration of DeepSpeed.
        overflow: The step at which a gradient is infinite, or None.
    """

    name: str
    stage: int
    dtype: str
    clip: float = 0.0
    accumulation: int = 1
    given: str = "engine"
    config: dict[str, Any] = field(default_factory=dict)
    overflow: int | None = None


def _cases() -> Iterator[Case]:
    for stage in range(4):
        for dtype in ("fp32", "bf16"):
            yield Case(f"ZeRO {stage}, {dtype}", stage, dtype)
            yield Case(f"ZeRO {stage}, {dtype}, clipped", stage, dtype, 1 / 13, 2)
    # Not every CPU can compute in float16.
    for stage in (1, 2, 3) if get_accelerator().is_fp16_supported() else ():
        fp16 = {"fp16": {"enabled": True, "initial_scale_power": 8, "loss_scale_window": 2}}
        name = f"ZeRO {stage}, fp16"
        yield Case(f"{name}, overflow", stage, "fp16", 1 / 13, config=fp16, overflow=1)
        yield Case(f"{name}, growing loss scale", stage, "fp16", config=fp16)
    sums = {"data_types": {"grad_accum_dtype": "fp32"}}
    yield Case("ZeRO 1, bf16 with fp32 sums", 1, "bf16", 1 / 13, 2, config=sums)
    for stage in (2, 3):
        offload = {
            "zero_optimization": {"stage": stage, "offload_optimizer": {"device": "cpu"}},
            "zero_force_ds_cpu_optimizer": False,
        }
        yield Case(f"ZeRO {stage}, offloaded", stage, "bf16", 1 / 13, 2, config=offload)
    whole = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 1e6}}
    yield Case("ZeRO 3, parameters kept whole", 3, "bf16", 1 / 13, config=whole)
    for stage, given in ((0, "optimizer"), (1, "optimizer"), (3, "optimizer")):
        name = f"ZeRO {stage}, attach(model, engine.optimizer)"
        yield Case(name, stage, "fp32", 1 / 13, given=given)
    yield Case("ZeRO 2, attach(model, engine)", 2, "fp32", 1 / 13, given="both")
    yield Case("ZeRO 2, attach(model)", 2, "fp32", 1 / 13, given="model")


class _Model(nn.Module):
    """Layers of odd sizes, so that parts of gradients end within parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(7))
        self.layers = nn.Sequential(nn.Linear(7, 13), nn.Tanh(), nn.Linear(13, 5))
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.unused = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.frozen(self.layers(x * self.scale))


@dataclass
class _Training:
    """What a training really did.

    Attributes:
        weights: Its weights after the last step.
        raw: The norms of the layers before clipping, at each step.
        applied: The norms of the difference that each step made.
    """

    weights: list[torch.Tensor] = field(default_factory=list)
    raw: list[list[float]] = field(default_factory=list)
    applied: list[list[float]] = field(default_factory=list)


def _engine(case: Case) -> tuple[nn.Module, Any]:
    import deepspeed

    torch.manual_seed(1)
    model = _Model()
    rest = [*model.layers.parameters(), *model.unused.parameters()]
    groups = [{"params": [model.scale]}, {"params": rest}]
    config = {
        "train_micro_batch_size_per_gpu": 4,
        "gradient_accumulation_steps": case.accumulation,
        "gradient_clipping": case.clip,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
        "zero_optimization": {
            "stage": case.stage,
            "stage3_param_persistence_threshold": 0,
        },
    }
    if case.dtype != "fp32":
        config[case.dtype] = {"enabled": True}
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=torch.optim.SGD(groups, lr=1), config=config | case.config
    )
    return model, engine


def _train(case: Case, log: Path | None) -> _Training:
    """Trains from the same seed, with gradsound if there is a path for the run."""
    done = _Training()
    model, engine = _engine(case)
    layers = [[model.scale]]
    layers += [[*model.layers[k].parameters()] for k in (0, 2)]
    attachment = None
    if log is not None:
        given = {
            "engine": (engine,),
            "optimizer": (model, engine.optimizer),
            "both": (model, engine),
            "model": (model,),
        }[case.given]
        attachment = gradsound.attach(*given, log=log)
    torch.manual_seed(2 + int(os.environ["RANK"]))
    for number in range(6 * case.accumulation):
        loss = engine(torch.randn(4, 7, dtype=_DTYPES[case.dtype])).float().square().mean()
        engine.backward(loss * (torch.inf if number == case.overflow else 1))
        if boundary := engine.is_gradient_accumulation_boundary():
            done.raw.append(_norms(_gradients(engine, layers)))
            before = _weights(engine, layers)
        engine.step()
        if boundary:
            after = _weights(engine, layers)
            pairs = [zip(*both, strict=True) for both in zip(before, after, strict=True)]
            done.applied.append(_norms([[old - new for old, new in one] for one in pairs]))
    if attachment is not None:
        attachment.close()
    done.weights = [weight for one in _weights(engine, layers) for weight in one]
    engine.destroy()
    return done


def _gradients(engine: Any, layers: list[list[nn.Parameter]]) -> list[list[torch.Tensor]]:
    from deepspeed.utils import safe_get_full_grad

    scale = getattr(engine.optimizer, "loss_scale", None) or 1
    return [[safe_get_full_grad(p).double() / scale for p in one] for one in layers]


def _weights(engine: Any, layers: list[list[nn.Parameter]]) -> list[list[torch.Tensor]]:
    """Returns copies of the weights in float32, which DeepSpeed keeps beside others."""
    from deepspeed.utils import safe_get_full_fp32_param

    optimizer = engine.optimizer
    if hasattr(optimizer, "fp32_groups"):  # ZeRO 0
        masters = [p for group in optimizer.fp32_groups for p in group]
        by_layer = [masters[:1], masters[1:3], masters[3:5]]
    elif isinstance(optimizer, torch.optim.Optimizer):
        by_layer = layers
    else:
        by_layer = [[safe_get_full_fp32_param(p) for p in one] for one in layers]
    return [[p.detach().clone() for p in one] for one in by_layer]


def _norms(layers: list[list[torch.Tensor]]) -> list[float]:
    return [torch.cat([t.double().flatten() for t in one]).norm().item() for one in layers]


def _check(case: Case, folder: Path) -> dict[str, Any]:
    """Returns what is right in a case."""
    result: dict[str, Any] = {"norms": False, "raw": False, "steps": False}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", gradsound.GradsoundWarning)
        log = folder / "run.jsonl"
        bare, recorded = _train(case, None), _train(case, log)
    if os.environ["RANK"] == "0":
        run = gradsound.read_run(log)
        steps = [*run.steps]
        names = [run.header.layers.index(n) for n in ("_Model", "layers.0", "layers.2")]
        skipped = [step.skipped for step in steps]
        applied = np.array([step.norms[names] for step in steps])
        raw = np.array([(s.norms if s.raw is None else s.raw)[names] for s in steps])
        truth = np.array(recorded.applied)
        if any(skipped):  # a step that is skipped changes no weight
            truth[skipped] = np.array(recorded.raw)[skipped]
        result["norms"] = _are_equal(applied, truth)
        # DeepSpeed keeps zeros for a layer without a gradient, or nothing.
        unused = [step.norms[run.header.layers.index("unused")] for step in steps]
        result["norms"] &= not np.nan_to_num(unused).any()
        result["raw"] = _are_equal(raw, np.array(recorded.raw))
        if case.clip:
            result["raw"] &= all(s.raw is not None for s in steps if not s.skipped)
        overflows = [number == case.overflow for number in range(len(truth))]
        numbers = [step.number for step in steps]
        result["steps"] = numbers == [*range(len(truth))] and skipped == overflows
        result["steps"] &= not any(step.absent[names].any() for step in steps)
    result["weights"] = len(bare.weights) == len(recorded.weights) > 0 and all(
        torch.equal(one, other) for one, other in zip(bare.weights, recorded.weights)
    )
    ours = [str(w.message) for w in caught if w.category is gradsound.GradsoundWarning]
    return {**result, "message": " ".join(ours)}


def _are_equal(norms: np.ndarray, truth: np.ndarray) -> bool:
    return norms.shape == truth.shape and np.allclose(
        norms, truth, rtol=_RTOL, atol=0, equal_nan=True
    )


def _work() -> None:
    """Runs all cases in one rank; rank 0 prints."""
    import deepspeed

    deepspeed.init_distributed("gloo")
    ranks = int(os.environ["WORLD_SIZE"])
    words = f"{ranks} rank" + "s" * (ranks > 1)
    for case in _cases():
        with tempfile.TemporaryDirectory() as folder:
            try:
                result = _check(case, Path(folder))
            except Exception as error:
                _print({"case": f"{case.name}, {words}", "message": repr(error)})
                raise
        _print({"case": f"{case.name}, {words}", **result})
    # gloo's threads free their tensors; else torch sometimes aborts a rank that ends
    # (https://github.com/pytorch/pytorch/pull/179291).
    time.sleep(0.5)


def _print(result: dict[str, Any]) -> None:
    if os.environ["RANK"] == "0":
        sys.stdout.write(f"\n{json.dumps(result)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if "RANK" in os.environ:
        _work()
    else:
        right = [print_cases(run_ranks(__file__, ranks=ranks)) for ranks in (1, 2)]
        sys.exit(not all(right))
