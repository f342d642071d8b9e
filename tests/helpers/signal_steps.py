"""Steps with signals for tests of detectors, and their alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from helpers.alarms import header_of

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block

EVERY = {"update_ratio": 4, "snr": 1, "zeros": 10}  # steps from one number to the next


def step_with(
    number: int,
    norms: Sequence[float],
    signals: Mapping[str, Sequence[float]],
    rate: float | None = None,
) -> Step:
    """Returns a step of given norms, signals by name, and learning rate."""
    known = {
        name: np.array(numbers, np.float32)
        for name, numbers in signals.items()
        if number % EVERY[name] == 0
    }
    return Step(
        number,
        number / 20,
        np.array(norms, np.float32),
        np.isnan(norms),
        values={} if rate is None else {"lr": rate},
        signals=known,
    )


def updates(
    ratios: np.ndarray,
    rates: Sequence[float] | None = None,
    norms: np.ndarray | None = None,
) -> list[Step]:
    """Returns steps with update ratios, of shape (S, L)."""
    norms = np.ones(ratios.shape) if norms is None else norms
    return [
        step_with(k, norms[k], {"update_ratio": row}, None if rates is None else rates[k])
        for k, row in enumerate(ratios.tolist())
    ]


def zeros(shares: np.ndarray, norms: np.ndarray | None = None) -> list[Step]:
    """Returns steps with shares of zeros, of shape (S, L)."""
    norms = np.ones(shares.shape) if norms is None else norms
    return [step_with(k, norms[k], {"zeros": row}) for k, row in enumerate(shares.tolist())]


def gradients(
    steps: int = 200,
    layers: int = 6,
    seed: int = 0,
    repeat: range = range(0),
    decay: float = 0.9,
    scales: np.ndarray | None = None,
) -> list[Step]:
    """Returns steps of random gradients, with ratios of signal to noise as Adam has them.

    Args:
        steps: Number of steps.
        layers: Number of layers.
        seed: Seed of the gradients.
        repeat: Steps with the gradient of the one before.
        decay: That of the moment.
        scales: What the gradient of each step is multiplied by.
    """
    random = np.random.default_rng(seed)
    moment, square, weight = np.zeros((layers, 100)), np.zeros(layers), 0.0
    made, usual = [], np.zeros((layers, 100))
    for number in range(steps):
        if number not in repeat:
            usual = random.normal(0, 1, (layers, 100)) + 0.2
        gradient = usual * (1 if scales is None else scales[number])
        norms = np.linalg.norm(gradient, axis=1)
        moment = decay * moment + (1 - decay) * gradient
        square = decay * square + (1 - decay) * norms**2
        weight = decay * weight + 1 - decay
        ratios = np.square(np.linalg.norm(moment, axis=1) / weight) / (square / weight)
        made.append(step_with(number, norms, {"snr": ratios}))
    return made


def detect(steps: Sequence[Step], cuts: Sequence[int] = ()) -> list[Alarm]:
    """Returns the alarms of steps with signals, in blocks that begin at these cuts."""
    names = [f"layer{k}" for k in range(len(steps[0].norms))]
    header = replace(header_of(*names), signals=dict.fromkeys(EVERY, "for a test"))
    detector = RunDetector(header, Thresholds())
    bounds = [0, *cuts, len(steps)]
    return [
        alarm
        for begin, end in pairwise(bounds)
        if begin < end
        for of_step in detector.detect(make_block(steps[begin:end]))
        for alarm in of_step
    ]


def found(steps: Sequence[Step]) -> list[tuple[str, int, str]]:
    """Returns kind, step and what it resolves of each alarm, without those of norms."""
    kinds = {"still", "leap", "echo", "coarse"}
    return [
        (alarm.kind, alarm.step, alarm.resolves)
        for alarm in detect(steps)
        if {alarm.kind, alarm.resolves} & kinds
    ]
