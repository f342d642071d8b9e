"""Alarms for tests: healthy norms, and the alarms that detectors find in steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from helpers.runs import make_run

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds
from gradsound.runs.model import Header
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block

LIMITS = Thresholds()


def healthy_norms(steps: int = 100, layers: int = 3, seed: int = 0) -> np.ndarray:
    """Returns norms with the scatter of small batches: 0.3 decades, shape (S, L)."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.3, (steps, layers))


def steps_of(norms: np.ndarray) -> list[Step]:
    """Returns a step for each row of norms."""
    return [*make_run(norms.tolist()).steps]


def header_of(*layers: str, ordered: bool = False) -> Header:
    """Returns a header; only one with numbers of parameters is in the model's order."""
    parameters = (7 if ordered else 0,) * len(layers)
    return Header(layers=layers, parameters=parameters, start="")


def detect(
    steps: list[Step], thresholds: Thresholds = LIMITS, *, ordered: bool = False
) -> list[Alarm]:
    """Returns the alarms of steps whose layers are layer0, layer1 and so on."""
    names = [f"layer{k}" for k in range(len(steps[0].norms))]
    detector = RunDetector(header_of(*names, ordered=ordered), thresholds)
    return [alarm for of_step in detector.detect(make_block(steps)) for alarm in of_step]


def kinds(steps: list[Step], thresholds: Thresholds = LIMITS) -> list[tuple[str, int]]:
    """Returns the kind and the step of each alarm."""
    return [(alarm.kind, alarm.step) for alarm in detect(steps, thresholds)]


def change(steps: list[Step], number: int, **changes: object) -> list[Step]:
    """Returns the steps with changes to the step of a number."""
    return [replace(s, **changes) if s.number == number else s for s in steps]


def with_values(steps: list[Step], **values: Sequence[float]) -> list[Step]:
    """Returns the steps with logged values; a NaN in ``eval_loss`` is not logged."""
    return [
        replace(
            step,
            values={
                name: float(numbers[k])
                for name, numbers in values.items()
                if name != "eval_loss" or numbers[k] == numbers[k]
            },
        )
        for k, step in enumerate(steps)
    ]


def with_losses(losses: Sequence[float], **values: Sequence[float]) -> list[Step]:
    """Returns steps with usual norms of the whole model and these losses."""
    norms = healthy_norms(len(losses), 1)
    return with_values(steps_of(norms), loss=losses, **values)


def with_intervals(seconds: Sequence[float], norms: np.ndarray | None = None) -> list[Step]:
    """Returns steps, each so many seconds after the one before."""
    steps = steps_of(healthy_norms(len(seconds)) if norms is None else norms)
    times = np.cumsum(seconds).tolist()
    return [replace(step, time=time) for step, time in zip(steps, times)]
