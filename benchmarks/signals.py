"""Measures what signals cost at every step, beside the norms.

It trains copies of one model in one process, by SGD with momentum, the fastest optimizer
that has a signal-to-noise ratio. Each copy records other signals. The copies take turns of
a few steps, in random order. The benchmark compares each turn with the bare turn of the
same round and prints medians over all rounds. The control is a second bare copy: a
difference as small as the control's means nothing. Then it prints the time inside of
gradsound's hooks, from turns of their own, which chance changes less.

    python benchmarks/signals.py [--rounds 300] [model ...]
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import sys
from typing import TYPE_CHECKING

from chosen_models import chosen_models
from models import MODELS
from overhead import CONTROL, MALLOC, print_ratios
from runs import new_log
from timed_loop import BARE, Hooks, Loop

import gradsound
from gradsound.signal_options import SIGNAL_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

MOMENTUM = 0.9
DEFAULT = ["CNN, batch 10", "MLP, 100 layers"]
CASES: dict[str, tuple[str, ...]] = {
    "norms": (),
    **{f"norms and {name}": (name,) for name in SIGNAL_NAMES},
    "norms and all signals": SIGNAL_NAMES,
}


def compare(name: str, rounds: int) -> None:
    """Prints the table of one model."""
    loops = {case: Loop(MODELS[name], MOMENTUM) for case in (BARE, CONTROL, *CASES)}
    seconds: dict[str, list[float]] = {case: [] for case in loops}
    with contextlib.ExitStack() as stack:
        for case, signals in CASES.items():
            loop = loops[case]
            attachment = gradsound.attach(
                loop.model, loop.optimizer, log=new_log(), signals=signals
            )
            stack.enter_context(attachment)
        for _ in range(rounds):
            for case in random.sample([*loops], len(loops)):
                loop = loops[case]
                seconds[case].append(loop.turn(lambda _: None, loop.steps))
        in_hooks = hook_seconds({case: loops[case] for case in CASES}, rounds)
    step = statistics.median(seconds[BARE])
    print(f"\n{name}: {step * 1e3:.2f} ms a step, {rounds} rounds")
    print_ratios(seconds)
    for case, added in in_hooks.items():
        label = f"{case}, in hooks"
        print(f"  {label:32} {1 + added / step:5.3f} x {added * 1e6:+9.0f} us", flush=True)


def hook_seconds(loops: Mapping[str, Loop], rounds: int) -> dict[str, float]:
    """Returns the median over turns of the seconds that a step spends in the hooks.

    Args:
        loops: The recorded loops by case.
        rounds: How many turns each makes.
    """
    hooks = {case: Hooks(loop.optimizer) for case, loop in loops.items()}
    seconds: dict[str, list[float]] = {case: [] for case in loops}
    for case in hooks:
        hooks[case].set(on=True, timed=True)
    for _ in range(rounds):
        for case in random.sample([*loops], len(loops)):
            loop, hooks[case].seconds = loops[case], 0.0
            loop.turn(lambda _: None, loop.steps)
            seconds[case].append(hooks[case].seconds / (loop.warm + loop.steps))
    return {case: statistics.median(times) for case, times in seconds.items()}


def main() -> None:
    """Prints a table for each model."""
    if MALLOC.items() - os.environ.items():  # the C library reads it at its start
        command = [sys.executable, *sys.argv]
        os.execve(sys.executable, command, {**os.environ, **MALLOC})  # noqa: S606 (itself)
    with chosen_models("Cost of signals beside the norms.", DEFAULT, 300) as arguments:
        for model in arguments.models:
            compare(model, arguments.rounds)


if __name__ == "__main__":
    main()
