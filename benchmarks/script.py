"""Measures what `gradsound run` adds to a training step, compared with `gradsound.attach`.

Three loops train the same model. `attach` records one, and another one that logs its loss
and learning rate, as `run` does by itself. The third is found and recorded as by `run` and
`gradsound attach PID`. All take turns of a few steps, recorded and bare, in random order.
The program prints medians over all rounds of the difference to the bare turn of the same
loop and round. The control is a second bare turn.

    python benchmarks/script.py [--rounds 400] [model ...]

Needs ``pip install '.[torch]'``.
"""

from __future__ import annotations

import random
import statistics
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from chosen_models import chosen_models
from models import MODELS
from timed_loop import Hooks, Loop

import gradsound
from gradsound.script.found_trainings import FoundTrainings
from gradsound.script.run_options import RunOptions
from gradsound.script.wrapped_torch import WrappedTorch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from timed_loop import Measure

Recording: TypeAlias = "AbstractContextManager[Measure]"
CHOSEN = ("CNN, batch 10", "MLP, 100 layers")


def attached(loop: Loop, *, logs: bool = False) -> Callable[[], Recording]:
    """Returns what records the steps within its block, as `attach` does.

    Args:
        loop: The loop.
        logs: Whether it logs the loss and the learning rate with each step.
    """
    attachment = gradsound.attach(loop.model, loop.optimizer, log=f"attached{logs}.jsonl")
    loop.first_turn()
    hooks = Hooks(loop.optimizer)
    hooks.set(on=False)

    def log(_: int) -> None:
        attachment.log_values(loss=loop.loss, lr=loop.optimizer.param_groups[0]["lr"])

    @contextmanager
    def record() -> Iterator[Measure]:
        hooks.set(on=True)
        yield log if logs else _measure_nothing
        hooks.set(on=False)

    return record


def found(loop: Loop) -> Callable[[], Recording]:
    """Returns what records the steps within its block, as `run` does."""
    trainings = FoundTrainings(RunOptions(Path("found.jsonl").absolute()))
    loop.first_turn()
    hooks = Hooks(loop.optimizer)
    hooks.set(on=False)
    trainings.end()

    @contextmanager
    def record() -> Iterator[Measure]:
        hooks.set(on=True)
        wrapped = WrappedTorch(trainings, trainings._loss)
        yield _measure_nothing
        wrapped.remove()
        hooks.set(on=False)

    return record


def _measure_nothing(_: int) -> None:
    """What the loop calls before a step."""


CASES: dict[str, Callable[[Loop], Callable[[], Recording]]] = {
    "attach": attached,
    "attach, log_values": partial(attached, logs=True),
    "run": found,
}


def compare(name: str, rounds: int) -> None:
    """Prints what each way adds to a step of one model."""
    cases = {}
    for case, make in CASES.items():
        loop = Loop(MODELS[name])
        cases[case] = loop, make(loop)
    seconds: dict[tuple[str, str], list[float]] = {}
    turns = [(case, turn) for case in cases for turn in ("bare", "control", "recorded")]
    for _ in range(rounds):
        for case, turn in random.sample(turns, len(turns)):
            loop, record = cases[case]
            if turn == "recorded":
                with record() as measure:
                    took = loop.turn(measure, loop.steps)
            else:
                took = loop.turn(_measure_nothing, loop.steps)
            seconds.setdefault((case, turn), []).append(took)
    step = statistics.median(seconds["attach", "bare"])
    print(f"\n{name}: {step * 1e3:.2f} ms a step, {rounds} rounds")
    for case, turn in turns:
        if turn != "bare":
            pairs = zip(seconds[case, turn], seconds[case, "bare"])
            added = statistics.median(one - other for one, other in pairs)
            label = case if turn == "recorded" else f"bare again, beside {case} (control)"
            print(f"  {label:36} {added * 1e3:+6.2f} ms", flush=True)


def main() -> None:
    """Prints a table for each model."""
    with chosen_models("Cost of finding a training.", [*CHOSEN], 400) as arguments:
        for model in arguments.models:
            compare(model, arguments.rounds)


if __name__ == "__main__":
    main()
