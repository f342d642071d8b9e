"""Measures what recording costs at every step, compared with a bare loop and other tools.

It trains one model in one process. Cases take turns of 0.12 s, in random order. It
compares each turn with the bare turn of the same round and prints medians over all rounds.
The control is a second bare turn: a difference as small as the control's means nothing.

Cases that cannot be switched on and off between steps (a sound process, wandb's hooks) take
turns of a tenth of a second, in fewer rounds.

The benchmark tells the C library to keep its memory. Otherwise the library may return
memory to the system and request it again at every step, depending on the layout of the
heap. That changes a loop of a few milliseconds by more than a tenth, up or down, as soon as
any code in it allocates memory.

    python benchmarks/overhead.py [--rounds 400] [--without-jit] [model ...]

Needs ``pip install '.[benchmark]'``.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from chosen_models import chosen_models
from experiment_loggers import LONG_CASES, open_wandb_run
from models import MODELS
from runs import new_log
from timed_loop import BARE, Hooks, Loop, Measure
from torch import nn
from torch.nn.utils import clip_grad_norm_  # by name: gradsound does not replace it

import gradsound
from gradsound.measure.hooks.repeated_steps import RepeatedSteps
from gradsound.measure.norms.gradient_norms import GradientNorms
from gradsound.measure.parameter_tracker import ParameterTracker
from gradsound.measure.step_queue import StepQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
MINUTES_MAX = 2  # for the short turns of one model
CASES = 7  # of short turns
HOOK_ROUNDS_MAX = 50  # turns with timed hooks
LONG_SECONDS = 0.1  # of a long turn
LONG_ROUNDS = 8
SETTLE_SECONDS = 1.0  # a process has started then, and the work of the last is done
BUDGET_SECONDS = 30.0  # of training with a budget
CONTROL = "bare again (control)"
CLIPPING = "clipping"
PARTS = {  # of the time in the hooks, without that of machine code alone
    "finding and reading gradients": (GradientNorms, "compute_of"),
    "looking for other parameters": (ParameterTracker, "is_due"),
    "queueing steps of machine code": (RepeatedSteps, "take"),
    "emitting": (StepQueue, "emit_ready"),
}
PART_STEPS_MAX = 1000
TINY = "10,000 tiny"  # without long turns: the other tools take minutes for it


def short_turns(loop: Loop, rounds: int) -> dict[str, list[float]]:
    """Returns seconds a step of the cases that hooks alone distinguish."""
    model, optimizer = loop.model, loop.optimizer
    weights = [m.weight for m in model.modules() if hasattr(m, "weight")]

    def nothing(_: int) -> None:
        pass

    def lines_of_2019(_: int) -> None:
        """Measures as Perone's script does, without its sound: the weight of each layer."""
        for weight in weights:
            200.0 + weight.grad.norm().numpy() * 100.0

    parameters = [*model.parameters()]

    def foreach_norm(_: int) -> None:
        torch._foreach_norm([parameter.grad for parameter in parameters])

    cases: dict[str, tuple[Measure, bool]] = {  # and whether gradsound's hooks are on
        BARE: (nothing, False),
        CONTROL: (nothing, False),
        "gradsound": (nothing, True),
        "the 2019 script's lines": (lines_of_2019, False),
        "_foreach_norm": (foreach_norm, False),
        CLIPPING: (lambda _: clip_grad_norm_(model.parameters(), 1.0), False),
        "clipping, with gradsound": (
            lambda _: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
            True,
        ),
    }
    if not weights:  # the lines of 2019 would measure nothing
        del cases["the 2019 script's lines"]
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    with gradsound.attach(model, optimizer, log=new_log()):
        loop.first_turn()
        hooks = Hooks(optimizer)
        for _ in range(rounds):
            for case in random.sample([*cases], len(cases)):
                measure, hooked = cases[case]
                hooks.set(on=hooked)
                seconds[case].append(loop.turn(measure, loop.steps))
    return seconds


def hook_seconds(loop: Loop, rounds: int) -> float:
    """Returns the median over turns of the seconds that a step spends in the hooks."""
    seconds = []
    with gradsound.attach(loop.model, loop.optimizer, log=new_log()):
        loop.first_turn()
        hooks = Hooks(loop.optimizer)
        hooks.set(on=True, timed=True)
        for _ in range(rounds):
            hooks.seconds = 0.0
            loop.turn(lambda _: None, loop.steps)
            seconds.append(hooks.seconds / (loop.warm + loop.steps))
    return statistics.median(seconds)


def part_seconds(loop: Loop, steps: int) -> dict[str, float]:
    """Returns the mean seconds a step of the parts of the hooks; a timer takes 0.2 us."""
    seconds: dict[str, float] = {}
    with gradsound.attach(loop.model, loop.optimizer, log=new_log()), ExitStack() as stack:
        loop.first_turn()
        for part, (owner, name) in PARTS.items():
            stack.enter_context(timed_method(owner, name, seconds, part))
        loop.turn(lambda _: None, steps)
    return {part: total / (loop.warm + steps) for part, total in seconds.items()}


@contextmanager
def timed_method(
    owner: type, name: str, seconds: dict[str, float], part: str
) -> Iterator[None]:
    """Adds up the seconds that calls of a method take, while the context is open."""
    method = getattr(owner, name)
    seconds[part] = 0.0

    def call(*args: object, **options: object) -> object:
        begin = time.perf_counter()
        try:
            return method(*args, **options)
        finally:
            seconds[part] += time.perf_counter() - begin

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, method)


def long_turns(loop: Loop, steps: int) -> dict[str, list[float]]:
    """Returns seconds a step of the cases that take long to start."""
    seconds: dict[str, list[float]] = {case: [] for case in LONG_CASES}
    for _ in range(LONG_ROUNDS):
        for case in random.sample([*LONG_CASES], len(LONG_CASES)):
            with LONG_CASES[case](loop) as measure:
                begin = time.perf_counter()
                while time.perf_counter() - begin < SETTLE_SECONDS:  # idle cores get slower
                    loop.turn(lambda _: None, loop.steps)
                seconds[case].append(loop.turn(measure, steps))
    return seconds


def budget_result(loop: Loop, seconds: float) -> str:
    """Returns the share of the time in gradsound's hooks under a budget of one percent."""
    log, steps = new_log(), 0
    with gradsound.attach(loop.model, loop.optimizer, log=log, budget=0.01):
        loop.first_turn()
        hooks = Hooks(loop.optimizer)
        hooks.set(on=True, timed=True)
        begin = time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds:
            loop.turn(lambda _: None, loop.steps)
            steps += loop.warm + loop.steps
    measured = len([*gradsound.read_run(log).steps])
    return (
        f"{hooks.seconds / elapsed:.2%} of the time, {measured} of {steps} steps measured"
    )


def read_seconds(model: nn.Module) -> dict[str, float]:
    """Returns the seconds to compute all norms, and to read as much memory at once."""
    gradients = [parameter.grad for parameter in model.parameters()]
    buffer = torch.randn(sum(g.numel() for g in gradients) // 4096 + 1, 4096)
    norms = GradientNorms()
    functions = {
        "norms alone": lambda: norms.compute(gradients),
        "reading as much memory": lambda: torch.linalg.vector_norm(buffer, dim=1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(50):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_ratios(seconds: dict[str, list[float]]) -> None:
    """Prints each case compared with the bare one, or with clipping if it clips."""
    for case, times in seconds.items():
        if case == BARE:
            continue
        reference = CLIPPING if case.startswith(f"{CLIPPING},") else BARE
        pairs = [*zip(times, seconds[reference])]
        ratio = statistics.median(one / other for one, other in pairs)
        added = statistics.median(one - other for one, other in pairs)
        print(f"  {case:30} {ratio:7.3f} x {added * 1e6:+9.0f} us")


def compare(name: str, rounds: int) -> None:
    """Prints the table of one model."""
    loop = Loop(MODELS[name])
    round_seconds = CASES * (loop.steps + loop.warm) * loop.seconds
    rounds = min(rounds, max(10, round(MINUTES_MAX * 60 / round_seconds)))
    seconds = short_turns(loop, rounds)
    step = statistics.median(seconds[BARE])
    print(f"\n{name}: {step * 1e3:.2f} ms a step, {rounds} rounds")
    print_ratios(seconds)
    hooks = hook_seconds(loop, min(HOOK_ROUNDS_MAX, rounds))
    print(
        f"  {'gradsound, in its hooks':30} {1 + hooks / step:7.3f} x {hooks * 1e6:+9.0f} us"
    )
    part_steps = min(PART_STEPS_MAX, 10 + round(LONG_ROUNDS / loop.seconds))
    for part, time_taken in part_seconds(loop, part_steps).items():
        print(f"    of it {part:34} {time_taken * 1e6:+9.0f} us")
    if name == TINY:
        print(f"  {'gradsound, budget of 1 %':30} {budget_result(loop, BUDGET_SECONDS)}")
    else:
        print_ratios(long_turns(loop, max(3, round(LONG_SECONDS / loop.seconds))))
    for label, time_taken in read_seconds(loop.model).items():
        print(f"  {label:30} {'':9} {time_taken * 1e6:+9.0f} us", flush=True)


def main() -> None:
    """Prints a table for each model."""
    if MALLOC.items() - os.environ.items():  # the C library reads it at its start
        command = [sys.executable, *sys.argv]
        os.execve(sys.executable, command, {**os.environ, **MALLOC})  # noqa: S606 (itself)
    flags = {"--without-jit": "read gradients by torch, as without llvmlite"}
    chosen = chosen_models("Cost of recording every step.", [*MODELS], 400, flags)
    with chosen as arguments, open_wandb_run("."):
        if arguments.without_jit:
            sys.modules["llvmlite"] = None
            print("without llvmlite")
        for model in arguments.models:
            compare(model, arguments.rounds)


if __name__ == "__main__":
    main()
