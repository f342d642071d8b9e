"""All alarms of signals, however the steps are cut into blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import header_of
from helpers.signal_steps import detect, gradients

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block


def eventful(steps: int = 400) -> list[Step]:
    """Returns steps with an alarm of each kind, skipped steps and missing signals."""
    random = np.random.default_rng(3)
    made = []
    for step in gradients(steps, repeat=range(120, 150)):
        k, signals = step.number, {**step.signals}
        if k % 4 == 0:
            ratios = 1e-3 * 10 ** random.normal(0, 0.08, 6)
            ratios *= 20 if 200 <= k < 220 else 0 if 260 <= k < 300 else 1
            signals["update_ratio"] = ratios.astype(np.float32)
        if k % 10 == 0:
            shares = random.uniform(0.2, 0.25, 6) + (0.5 if 320 <= k < 360 else 0)
            signals["zeros"] = shares.astype(np.float32)
        if k % 97 == 5:
            signals = {}
        values = {"lr": 1e-3} if k % 3 == 0 else {}
        skipped = k in (230, 231)
        made.append(replace(step, signals=signals, values=values, skipped=skipped))
    return made


def test_each_kind_is_found_once() -> None:
    """And three of them end."""
    alarms = [(alarm.kind, alarm.resolves) for alarm in detect(eventful())]

    assert [kind for kind, _ in alarms if kind not in ("recovery", "skipped")] == [
        "echo",
        "leap",
        "still",
        "coarse",
    ]
    assert [ended for _, ended in alarms if ended] == ["echo", "still", "coarse"]


@pytest.mark.parametrize("seed", range(6))
def test_the_cuts_between_blocks_change_nothing(seed: int) -> None:
    """A run is heard live step by step, and read in blocks of any length."""
    steps = eventful()
    whole = detect(steps)
    random = np.random.default_rng(seed)
    cuts = sorted(random.choice(np.arange(1, 400), 40 * seed, replace=False).tolist())

    assert detect(steps, cuts if seed else range(1, 400)) == whole


def test_a_run_without_signals_has_no_such_detector() -> None:
    """Its detection takes the time that it took before."""
    steps = eventful()
    detector = RunDetector(header_of(*[f"layer{k}" for k in range(6)]), Thresholds())
    kinds = {alarm.kind for found in detector.detect(make_block(steps)) for alarm in found}

    assert kinds == {"skipped"}
