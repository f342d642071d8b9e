"""Measures how soon an alarm follows a fault in a real training, and how many are false.

It trains the demo's network on real digits, with three recipes and three seeds for each
fault. An alarm catches a fault if its kind fits, and if it comes within three steps of the
first step whose gradients the fault touches.

    python benchmarks/alarms.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from machine import machine
from torch.nn import functional

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds

sys.path.append(str(Path(__file__).parents[1] / "demos"))
from digits import load_digits
from five_runs import FIVE, Net, Recipe, draw

if TYPE_CHECKING:
    from collections.abc import Callable

FAULT_STEP = 80
STEPS = 120  # of a training with a fault
CATCH_STEPS = 3  # in which an alarm must follow, to catch a fault
LAYER = "fc1"
RECIPES = (Recipe("sgd", 0.01, 10), Recipe("sgd", 0.03, 64), Recipe("adam", 0.003, 64))
HEALTHY = tuple(FIVE[k] for k in (0, 1, 4))  # the other two diverge within twelve steps
HEALTHY_STEPS = 1000


class Training:
    """A training that can have a fault.

    Args:
        recipe: Optimizer, learning rate and batch size.
        seed: Seed of the weights and the batches.
        half: Whether to train in float16 with a GradScaler.
    """

    def __init__(self, recipe: Recipe, seed: int, *, half: bool = False) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.half = recipe, seed, half
        self.model = Net()
        kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        self.optimizer = kinds[recipe.optimizer](self.model.parameters(), lr=recipe.lr)
        self.scaler = torch.amp.GradScaler("cpu", enabled=half, init_scale=2.0**10)

    def run(self, steps: int, fault: Fault | None = None) -> list[tuple[int, Alarm]]:
        """Trains; returns the alarms, each with the index of its step in the run."""
        images, labels = DIGITS
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "run.jsonl"
            with gradsound.attach(self.model, self.optimizer, log=log, scaler=self.scaler):
                batches = draw(len(images), self.recipe.batch_size, steps, self.seed)
                for number, batch in enumerate(batches):
                    self.optimizer.zero_grad()
                    if fault is not None:
                        fault.before(self, number)
                    with torch.autocast("cpu", torch.float16, enabled=self.half):
                        loss = functional.nll_loss(self.model(images[batch]), labels[batch])
                    self.scaler.scale(loss).backward()
                    if fault is not None:
                        fault.after(self, number)
                    self.scaler.step(self.optimizer)
                    self.scaler.update()
            run = gradsound.read_run(log)
            detector = RunDetector(run.header.layers, Thresholds())
            alarms = detector.detect([*run.steps])
        return [(index, alarm) for index, found in enumerate(alarms) for alarm in found]


def nothing(_: Training, __: int) -> None:
    """Does nothing; most faults use it for one of their two calls."""


@dataclass(frozen=True)
class Fault:
    """A fault of a training.

    Attributes:
        name: The fault, for the table.
        kinds: Kinds of alarms that fit the fault.
        delay: Steps between the fault and the first gradients that it touches.
        before: Called before each forward pass, with the training and the step's number.
        after: Called after each backward pass, with the same.
        half: Whether the fault needs float16.
    """

    name: str
    kinds: tuple[str, ...]
    delay: int = 0
    before: Callable[[Training, int], None] = nothing
    after: Callable[[Training, int], None] = nothing
    half: bool = False


def make_nan(training: Training, number: int) -> None:
    """Puts NaN into the gradient of one layer."""
    if number == FAULT_STEP:
        training.model.get_parameter(f"{LAYER}.weight").grad[0, 0] = torch.nan


def raise_rate(training: Training, number: int) -> None:
    """Trains with 30 times the learning rate for five steps."""
    rate = training.recipe.lr * (30 if FAULT_STEP <= number < FAULT_STEP + 5 else 1)
    training.optimizer.param_groups[0]["lr"] = rate


def freeze(training: Training, number: int) -> None:
    """Freezes one layer."""
    if number == FAULT_STEP:
        training.model.get_submodule(LAYER).requires_grad_(False)


def stall(_: Training, number: int) -> None:
    """Stalls as a data loader does."""
    if number == FAULT_STEP:
        time.sleep(3)


def overflow(training: Training, number: int) -> None:
    """Sets a loss scale at which gradients overflow in float16."""
    if number == FAULT_STEP:
        training.scaler.update(2.0**40)


FAULTS = (
    Fault(f"NaN in {LAYER}", ("nonfinite",), after=make_nan),
    Fault("rate x 30 for 5 steps", ("spike", "nonfinite", "dead"), 1, before=raise_rate),
    Fault(f"{LAYER} frozen", ("dead",), before=freeze),
    Fault("loader stalls 3 s", ("stall",), before=stall),
    Fault("float16 overflows", ("skipped",), before=overflow, half=True),
)


def main() -> None:
    """Prints the table of faults and the table of healthy runs."""
    parser = argparse.ArgumentParser(description="Delay of alarms, and false alarms.")
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(10, 10 + parser.parse_args().seeds)
    print(machine())
    print(f"\n{'fault':24}caught  steps  alarm             others")
    for fault in FAULTS:
        caught, steps, fitting, others = 0, [], Counter(), Counter()
        runs = [*product(RECIPES, seeds)]
        for recipe, seed in runs:
            first = FAULT_STEP + fault.delay
            for index, alarm in Training(recipe, seed, half=fault.half).run(STEPS, fault):
                fits = alarm.kind in fault.kinds and 0 <= index - first < CATCH_STEPS
                (fitting if fits else others)[alarm.kind] += 1
                if fits and len(steps) == caught:
                    steps.append(index - first + 1)
            caught = len(steps)
        print(
            f"{fault.name:24}{caught:3}/{len(runs)}  {max(steps, default=0):5}  "
            f"{format_counts(fitting):16}  {format_counts(others)}"
        )
    print(f"\n{'healthy run':24}seed   steps  alarms per 1,000 steps")
    for recipe, seed in product(HEALTHY, seeds):
        alarms = Training(recipe, seed).run(HEALTHY_STEPS)
        kinds = Counter(alarm.kind for _, alarm in alarms)
        early = sum(index < 200 for index, _ in alarms)
        rate = 1000 * len(alarms) / HEALTHY_STEPS
        print(
            f"{recipe!s:24}{seed:4}{HEALTHY_STEPS:8}  {rate:.1f}, {early} in the first 200"
            f"  {format_counts(kinds)}"
        )


def format_counts(kinds: Counter[str]) -> str:
    """Returns the kinds of alarms with their counts."""
    return ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "-"


DIGITS = load_digits()

if __name__ == "__main__":
    main()
