"""How soon alarms tell of faults that are put into real trainings, and how often of none.

Trains the demo's network on real digits. Each fault is put into runs of three recipes and
three seeds; a fault is caught if an alarm that names it comes within three steps of the
first step whose gradients it touches.

    python benchmarks/alarms.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds

sys.path.append(str(Path(__file__).parents[1] / "demos"))
from digits import load_digits
from five_runs import FIVE, Net, Recipe, draw

if TYPE_CHECKING:
    from collections.abc import Callable

AT = 80  # step of the fault
STEPS = 120
WITHIN = 3
LAYER = "fc1"
RECIPES = (Recipe("sgd", 0.01, 10), Recipe("sgd", 0.03, 64), Recipe("adam", 0.003, 64))
HEALTHY = tuple(FIVE[k] for k in (0, 1, 4))  # the other two are lost within twelve steps
HEALTHY_STEPS = 1000


class Training:
    """A training into which faults can be put.

    Args:
        recipe: How to train.
        seed: For weights and batches.
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
        """Trains; returns alarms, each with the place of its step in the run."""
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
            found = RunDetector(run.header.layers, Thresholds()).look([*run.steps])
        return [(place, alarm) for place, alarms in enumerate(found) for alarm in alarms]


def nothing(_: Training, __: int) -> None:
    """What most faults do at most times."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: What.
        kinds: Of alarms that name it.
        touches: How many steps after its own the first is whose gradients it touches.
        before: Called before each forward pass.
        after: Called after each backward pass.
        half: Whether it needs float16.
    """

    name: str
    kinds: tuple[str, ...]
    touches: int = 0
    before: Callable[[Training, int], None] = nothing
    after: Callable[[Training, int], None] = nothing
    half: bool = False


def not_a_number(training: Training, number: int) -> None:
    """NaN in the gradient of one layer."""
    if number == AT:
        training.model.get_parameter(f"{LAYER}.weight").grad[0, 0] = torch.nan


def faster(training: Training, number: int) -> None:
    """Thirty times the learning rate for five steps."""
    rate = training.recipe.lr * (30 if AT <= number < AT + 5 else 1)
    training.optimizer.param_groups[0]["lr"] = rate


def frozen(training: Training, number: int) -> None:
    """One layer frozen by mistake."""
    if number == AT:
        training.model.get_submodule(LAYER).requires_grad_(False)


def stalled(_: Training, number: int) -> None:
    """A loader that does not deliver."""
    if number == AT:
        time.sleep(3)


def overflow(training: Training, number: int) -> None:
    """A loss scale at which gradients overflow in float16."""
    if number == AT:
        training.scaler.update(2.0**40)


FAULTS = (
    Fault(f"NaN in {LAYER}", ("nonfinite",), after=not_a_number),
    Fault("rate x 30 for 5 steps", ("spike", "nonfinite", "dead"), 1, before=faster),
    Fault(f"{LAYER} frozen", ("dead",), before=frozen),
    Fault("loader stalls 3 s", ("stall",), before=stalled),
    Fault("float16 overflows", ("skipped",), before=overflow, half=True),
)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(10, 10 + parser.parse_args().seeds)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}"
    )
    print(f"\n{'fault':24}caught  steps  alarm             others")
    for fault in FAULTS:
        caught, steps, named, others = 0, [], Counter(), Counter()
        runs = [*product(RECIPES, seeds)]
        for recipe, seed in runs:
            first = AT + fault.touches
            for place, alarm in Training(recipe, seed, half=fault.half).run(STEPS, fault):
                ours = alarm.kind in fault.kinds and 0 <= place - first < WITHIN
                (named if ours else others)[alarm.kind] += 1
                if ours and len(steps) == caught:
                    steps.append(place - first + 1)
            caught = len(steps)
        print(
            f"{fault.name:24}{caught:3}/{len(runs)}  {max(steps, default=0):5}  "
            f"{shown(named):16}  {shown(others)}"
        )
    print(f"\n{'healthy run':24}seed   steps  alarms per 1,000 steps")
    for recipe, seed in product(HEALTHY, seeds):
        alarms = Training(recipe, seed).run(HEALTHY_STEPS)
        kinds = Counter(alarm.kind for _, alarm in alarms)
        early = sum(place < 200 for place, _ in alarms)
        rate = 1000 * len(alarms) / HEALTHY_STEPS
        print(
            f"{recipe!s:24}{seed:4}{HEALTHY_STEPS:8}  {rate:.1f}, {early} in the first 200"
            f"  {shown(kinds)}"
        )


def shown(kinds: Counter[str]) -> str:
    """Kinds of alarms and how many there were."""
    return ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or "-"


DIGITS = load_digits()

if __name__ == "__main__":
    main()
