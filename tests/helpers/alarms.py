"""Alarms for tests: healthy norms, and the alarms that detectors find in steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from helpers.runs import make_run

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds
from gradsound.runs.model import Step

LIMITS = Thresholds()


def healthy_norms(steps: int = 100, layers: int = 3, seed: int = 0) -> np.ndarray:
    """Returns norms with the scatter of small batches: 0.3 decades, shape (S, L)."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.3, (steps, layers))


def steps_of(norms: np.ndarray) -> list[Step]:
    """Returns a step for each row of norms."""
    return [*make_run(norms.tolist()).steps]


def detect(steps: list[Step], thresholds: Thresholds = LIMITS) -> list[Alarm]:
    """Returns the alarms of steps whose layers are layer0, layer1 and so on."""
    names = [f"layer{k}" for k in range(len(steps[0].norms))]
    alarms = RunDetector(names, thresholds).detect(steps)
    return [alarm for of_step in alarms for alarm in of_step]


def kinds(steps: list[Step], thresholds: Thresholds = LIMITS) -> list[tuple[str, int]]:
    """Returns the kind and the step of each alarm."""
    return [(alarm.kind, alarm.step) for alarm in detect(steps, thresholds)]


def change(steps: list[Step], number: int, **changes: object) -> list[Step]:
    """Returns the steps with changes to the step of a number."""
    return [replace(s, **changes) if s.number == number else s for s in steps]
