"""What recording every step costs, beside a bare loop and beside other monitors.

One model is trained in one process, and cases take turns of a few steps, in random order.
Each turn is compared with the bare turn of its own round; what is printed are medians over
rounds. The control is a second bare turn: differences as small as its own mean nothing.

What cannot be switched on and off between steps (a sound process, wandb's hooks) takes
turns of a tenth of a second, in fewer rounds.

The C library is told to keep the memory it has. Left alone it gives some back and asks for
it again at every step, or does not, as chance has laid out the heap; that moves a loop of a
few milliseconds by more than a tenth, up or down, whoever allocates something in it.

    python benchmarks/overhead.py [--rounds 400] [model ...]

Needs ``pip install gradsound[benchmark]``.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from models import MODELS, Make
from torch import nn
from torch.nn.utils import clip_grad_norm_  # by name: what stands in is not reached

import gradsound
from gradsound.measure.norms.batched import BatchedNorms

THREADS = 1  # two cores are there: the other is for what monitors do beside the training
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
MINUTES = 2  # for the short turns of one model, at most
INSIDE = 50  # turns of which the time in hooks is taken, at most
LONG = 0.1  # seconds of a long turn
LONG_ROUNDS = 8
SETTLED = 1.0  # seconds; a process has begun then, and what the last one left is done
BUDGETED = 30.0  # seconds
BARE, CONTROL = "bare", "bare again (control)"
LONG_CONTROL = "bare again, in long turns"
CLIPPING = "clipping"
TINY = "10,000 tiny"  # others than we would take minutes for it
Measure = Callable[[int], object]  # called before the optimizer's step, with its number


def fresh() -> str:
    """A name for a run file; one that is there would be kept, which takes time."""
    return f"{time.monotonic_ns()}.jsonl"


class Loop:
    """A training loop with one model, recorded or not.

    Args:
        make: Makes the model, what goes in and what should come out.
    """

    def __init__(self, make: Make) -> None:
        torch.manual_seed(0)
        self.model, self._x, self._y = make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        self._loss_function = nn.CrossEntropyLoss()
        self._number, self.warm = 0, 2
        self.turn(lambda _: None, 5)
        self.seconds = self.turn(lambda _: None, 5)
        # Steps of a turn, and before it for caches to be as in a loop of its own, which
        # matters to short ones. For ratios near 1, neighbours in time are what counts.
        self.steps, self.warm = (6, 2) if self.seconds < 0.03 else (1, 0)

    def turn(self, measure: Measure, steps: int) -> float:
        """Seconds that a step takes."""
        for step in range(-self.warm, steps):
            if step == 0:
                begin = time.perf_counter()
            self.optimizer.zero_grad()
            self._loss_function(self.model(self._x), self._y).backward()
            measure(self._number)
            self.optimizer.step()
            self._number += 1
        return (time.perf_counter() - begin) / steps


class Hooks:
    """The hooks that an optimizer has, and the seconds that are spent in them.

    Args:
        optimizer: Which one.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.seconds = 0.0
        self._places = (
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
        )
        self._plain = [dict(place) for place in self._places]
        self._timed = [
            {key: self._time(hook) for key, hook in place.items()} for place in self._plain
        ]

    def set(self, *, on: bool, timed: bool = False) -> None:
        """Has them called, or not; those that are timed take a microsecond more."""
        for place, hooks in zip(self._places, self._timed if timed else self._plain):
            place.clear()
            place.update(hooks if on else {})

    def _time(self, hook: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object) -> None:
            begin = time.perf_counter()
            hook(*args)
            self.seconds += time.perf_counter() - begin

        return call


def short_turns(loop: Loop, rounds: int) -> dict[str, list[float]]:
    """Seconds a step, of what can be switched on and off: we are attached throughout."""
    model, optimizer = loop.model, loop.optimizer
    weights = [m.weight for m in model.modules() if hasattr(m, "weight")]

    def nothing(_: int) -> None:
        pass

    def lines_of_2019(_: int) -> None:
        """What Perone's script measures, without its sound: the weight of each layer."""
        for weight in weights:
            200.0 + weight.grad.norm().numpy() * 100.0

    cases: dict[str, tuple[Measure, bool]] = {  # and whether we are heard
        BARE: (nothing, False),
        CONTROL: (nothing, False),
        "gradsound": (nothing, True),
        "the 2019 script's lines": (lines_of_2019, False),
        CLIPPING: (lambda _: clip_grad_norm_(model.parameters(), 1.0), False),
        "clipping, with gradsound": (
            lambda _: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
            True,
        ),
    }
    if len(weights) < 1:  # nothing that the old lines would find
        del cases["the 2019 script's lines"]
    taken: dict[str, list[float]] = {case: [] for case in cases}
    with gradsound.attach(model, optimizer, log=fresh()):
        hooks = Hooks(optimizer)
        for _ in range(rounds):
            for case in random.sample([*cases], len(cases)):
                measure, heard = cases[case]
                hooks.set(on=heard)
                taken[case].append(loop.turn(measure, loop.steps))
    return taken


def inside(loop: Loop, rounds: int) -> float:
    """Seconds that a step spends in our hooks, the median over turns."""
    taken = []
    with gradsound.attach(loop.model, loop.optimizer, log=fresh()):
        hooks = Hooks(loop.optimizer)
        hooks.set(on=True, timed=True)
        for _ in range(rounds):
            hooks.seconds = 0.0
            loop.turn(lambda _: None, loop.steps)
            taken.append(hooks.seconds / (loop.warm + loop.steps))
    return statistics.median(taken)


@contextmanager
def bare(loop: Loop) -> Iterator[Measure]:
    """The bare loop."""
    yield lambda _: None


@contextmanager
def sounding(loop: Loop) -> Iterator[Measure]:
    """Our own, with a sound file that another process renders meanwhile."""
    with gradsound.attach(loop.model, loop.optimizer, log=fresh(), wav="run.wav"):
        yield lambda _: None


@contextmanager
def tensorboard(loop: Loop) -> Iterator[Measure]:
    """Histograms of every gradient at every step."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter("board") as writer:

        def measure(step: int) -> None:
            for name, parameter in loop.model.named_parameters():
                writer.add_histogram(name, parameter.grad, step)

        yield measure


@contextmanager
def wandb_watch(loop: Loop) -> Iterator[Measure]:
    """wandb.watch(log="gradients", log_freq=1), offline."""
    import wandb

    wandb.watch(loop.model, log="gradients", log_freq=1)
    yield lambda step: wandb.log({"number": step})
    wandb.unwatch(loop.model)


@contextmanager
def wandb_run(folder: str) -> Iterator[None]:
    """One run for all turns: to begin one takes seconds."""
    import wandb

    with wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True)):
        yield


LONG_CASES = {
    BARE: bare,
    LONG_CONTROL: bare,
    "gradsound, with a sound file": sounding,
    "TensorBoard histograms": tensorboard,
    "wandb.watch": wandb_watch,
}


def long_turns(loop: Loop, steps: int) -> dict[str, list[float]]:
    """Seconds a step, of what must be begun and ended."""
    taken: dict[str, list[float]] = {case: [] for case in LONG_CASES}
    for _ in range(LONG_ROUNDS):
        for case in random.sample([*LONG_CASES], len(LONG_CASES)):
            with LONG_CASES[case](loop) as measure:
                begin = time.perf_counter()
                while time.perf_counter() - begin < SETTLED:  # idle cores get slower
                    loop.turn(lambda _: None, loop.steps)
                taken[case].append(loop.turn(measure, steps))
    return taken


def budgeted(loop: Loop, seconds: float) -> str:
    """What share of the time all our hooks take under a budget of one percent."""
    log, steps = fresh(), 0
    with gradsound.attach(loop.model, loop.optimizer, log=log, budget=0.01):
        hooks = Hooks(loop.optimizer)
        hooks.set(on=True, timed=True)
        begin = time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            loop.turn(lambda _: None, loop.steps)
            steps += loop.warm + loop.steps
    measured = len([*gradsound.read_run(log).steps])
    return f"{hooks.seconds / passed:.2%} of the time, {measured} of {steps} steps measured"


def reading(model: nn.Module) -> dict[str, float]:
    """Seconds to take all norms, and to read as much memory in one go."""
    gradients = [parameter.grad for parameter in model.parameters()]
    buffer = torch.randn(sum(g.numel() for g in gradients) // 4096 + 1, 4096)
    meter = BatchedNorms()
    acts = {
        "norms alone": lambda: meter.take(gradients),
        "reading as much memory": lambda: torch.linalg.vector_norm(buffer, dim=1),
    }
    seconds: dict[str, list[float]] = {what: [] for what in acts}
    for _ in range(50):
        for what, act in acts.items():
            begin = time.perf_counter()
            act()
            seconds[what].append(time.perf_counter() - begin)
    return {what: statistics.median(taken) for what, taken in seconds.items()}


def show(taken: dict[str, list[float]]) -> None:
    """Prints all cases against the bare one, clipping ones against clipping."""
    for case, seconds in taken.items():
        if case == BARE:
            continue
        against = CLIPPING if case.startswith(f"{CLIPPING},") else BARE
        pairs = [*zip(seconds, taken[against])]
        ratio = statistics.median(one / other for one, other in pairs)
        added = statistics.median(one - other for one, other in pairs)
        print(f"  {case:30} {ratio:7.3f} x {added * 1e6:+9.0f} us")


def compare(name: str, rounds: int) -> None:
    """Prints the table of one model."""
    loop = Loop(MODELS[name])
    a_round = 6 * (loop.steps + loop.warm) * loop.seconds
    taken = short_turns(loop, min(rounds, max(10, round(MINUTES * 60 / a_round))))
    step = statistics.median(taken[BARE])
    print(f"\n{name}: {step * 1e3:.2f} ms a step, {len(taken[BARE])} rounds")
    show(taken)
    hooks = inside(loop, min(INSIDE, len(taken[BARE])))
    print(
        f"  {'gradsound, in its hooks':30} {1 + hooks / step:7.3f} x {hooks * 1e6:+9.0f} us"
    )
    if name == TINY:
        print(f"  {'gradsound, budget of 1 %':30} {budgeted(loop, BUDGETED)}")
    else:
        show(long_turns(loop, max(3, round(LONG / loop.seconds))))
    for what, seconds in reading(loop.model).items():
        print(f"  {what:30} {'':9} {seconds * 1e6:+9.0f} us", flush=True)


def main() -> None:
    """Prints the tables."""
    if MALLOC.items() - os.environ.items():  # it is read when a process begins
        again = [sys.executable, *sys.argv]
        os.execve(sys.executable, again, {**os.environ, **MALLOC})  # noqa: S606 (itself)
    parser = argparse.ArgumentParser(description="What recording every step costs.")
    parser.add_argument("models", nargs="*", default=[*MODELS], metavar="model")
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    for model in arguments.models:
        if model not in MODELS:
            parser.error(f"no model {model!r}; there are: {', '.join(MODELS)}")
    torch.set_num_threads(THREADS)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, "
        f"{THREADS} thread"
    )
    with tempfile.TemporaryDirectory() as folder, wandb_run(folder):
        os.chdir(folder)
        for model in arguments.models:
            compare(model, arguments.rounds)
        os.chdir("/")


if __name__ == "__main__":
    main()
