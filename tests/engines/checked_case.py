"""One case of an engine: trains with and without gradsound, compares, prints the result."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from helpers.oracle import true_norms
from torch import nn

import gradsound

RUN = "run.jsonl"
_RTOL = 1e-4  # a part in 10,000, as in the oracle
TrueNorms = dict[str, float]  # norms of layers, by their names


@dataclass
class Training:
    """What a training really did.

    Attributes:
        weights: Its weights after the last step.
        applied: The true norms of the gradients that each step applied.
        raw: The true norms from before clipping; None where nothing clips.
        losses: The mean loss of each step, where a callback records it.
        skipped: Whether each step was skipped, where some were.
    """

    weights: Sequence[torch.Tensor] = ()
    applied: list[TrueNorms] = field(default_factory=list)
    raw: list[TrueNorms] | None = None
    losses: list[float] = field(default_factory=list)
    skipped: list[bool] = field(default_factory=list)


def data(rows: int = 24) -> torch.Tensor:
    """Returns seeded inputs, shape (rows, 3)."""
    return 3 * torch.rand(rows, 3, generator=torch.Generator().manual_seed(1))


def watch(model: nn.Module, optimizer: torch.optim.Optimizer, training: Training) -> None:
    """Adds the true norms to a training whenever an optimizer of torch steps."""
    optimizer.register_step_pre_hook(lambda *_: training.applied.append(true_norms(model)))


def copies(model: nn.Module) -> list[torch.Tensor]:
    """Returns copies of a model's weights."""
    return [p.detach().clone() for p in model.parameters()]


def check(case: str, train: Callable[[bool], Training]) -> bool:
    """Prints what is right in a case; returns whether all is.

    Args:
        case: A few words.
        train: Trains from the same seed, with gradsound if the argument is True. It writes
            the run to `RUN` in the working directory, and ends every attachment.
    """
    result = {"case": case, "norms": None, "raw": None, "steps": None, "weights": None}
    message, before = "", Path.cwd()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always", gradsound.GradsoundWarning)
        os.chdir(folder)
        try:
            bare, recorded = train(False), train(True)
            result |= _compare(bare, recorded)
        except Exception as error:  # noqa: BLE001 (a row says it)
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
        finally:
            os.chdir(before)
        ours = [str(one.message) for one in w if one.category is gradsound.GradsoundWarning]
    message = " ".join([message, *ours]).strip()
    sys.stdout.write(json.dumps({**result, "message": message}) + "\n")
    sys.stdout.flush()
    return all(result[key] for key in ("norms", "steps", "weights")) and (
        result["raw"] is not False
    )


def _compare(bare: Training, recorded: Training) -> dict[str, bool | None]:
    run = gradsound.read_run(RUN)
    steps, layers = [*run.steps], run.header.layers
    return {
        "norms": bool(recorded.applied)
        and _equal([step.norms for step in steps], recorded.applied, layers),
        "raw": None
        if recorded.raw is None
        else _equal([step.raw for step in steps], recorded.raw, layers),
        "steps": [step.number - steps[0].number for step in steps]
        == [*range(len(recorded.applied))]
        and [step.skipped for step in steps] == (recorded.skipped or [False] * len(steps))
        and np.allclose(
            [step.values["loss"] for step in steps] if recorded.losses else [],
            recorded.losses,
        ),
        "weights": len(bare.weights) == len(recorded.weights) > 0
        and all(torch.equal(p, q) for p, q in zip(bare.weights, recorded.weights)),
    }


def _equal(
    norms: list[np.ndarray | None], truth: list[TrueNorms], layers: Sequence[str]
) -> bool:
    """Returns whether norms are the true ones, and no layer with a gradient is missing."""
    if len(norms) != len(truth) or any(one is None for one in norms):
        return False
    with_gradient = {name for one in truth for name in one if not np.isnan(one[name])}
    if not with_gradient <= {*layers}:
        return False
    expected = [[one.get(name, np.nan) for name in layers] for one in truth]
    return bool(np.allclose(norms, expected, rtol=_RTOL, atol=0, equal_nan=True))
