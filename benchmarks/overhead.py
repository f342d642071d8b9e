"""What recording every step costs, beside a bare loop and beside other monitors.

One model is trained in one process. In every round each case is attached for a moment, in
random order, and compared with the bare loop of that round. What is printed are medians
over rounds; the control is a second bare loop, and tells what differences mean nothing
here. (Processes of the same case would differ by 5 %, by where their memory happens to
lie.)

    python benchmarks/overhead.py [--rounds 40] [model ...]

Needs ``pip install gradsound[benchmark]``.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from models import MODELS, Make
from torch import nn

import gradsound
from gradsound.measure.norms import Meter

BLOCK = 0.1  # seconds that a case trains in a round, at least
THREADS = 1  # two cores are there: the other is for what monitors do beside the training
WARM = 3  # steps before that, for caches to be as in a loop of its own
CONTROL = "bare again (control)"
Measure = Callable[[int], None]  # called before the optimizer's step, with its number


def fresh() -> str:
    """A name for a run file; one that is there would be kept, which takes time."""
    return f"{time.monotonic_ns()}.jsonl"


@contextmanager
def nothing(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """The bare loop."""
    yield lambda _: None


@contextmanager
def recording(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """Our own, a run file alone."""
    with gradsound.attach(model, optimizer, log=fresh()):
        yield lambda _: None


@contextmanager
def sounding(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """Our own, with a sound file that another process renders meanwhile."""
    with gradsound.attach(model, optimizer, log=fresh(), wav="run.wav"):
        yield lambda _: None


@contextmanager
def lines_of_2019(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """What Perone's script measures, without its sound: the weight of each layer."""
    weights = [m.weight for m in model.modules() if hasattr(m, "weight")]

    def measure(_: int) -> None:
        for weight in weights:
            200.0 + weight.grad.norm().numpy() * 100.0

    yield measure


@contextmanager
def clipping(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """A bare loop that clips."""
    yield lambda _: nn.utils.clip_grad_norm_(model.parameters(), 1.0)


@contextmanager
def recording_clipping(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> Iterator[Measure]:
    """Our own, norms before and after clipping."""
    with gradsound.attach(model, optimizer, log=fresh()):
        yield lambda _: nn.utils.clip_grad_norm_(model.parameters(), 1.0)


@contextmanager
def tensorboard(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """Histograms of every gradient at every step."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter("board") as writer:

        def measure(step: int) -> None:
            for name, parameter in model.named_parameters():
                writer.add_histogram(name, parameter.grad, step)

        yield measure


@contextmanager
def wandb_watch(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """wandb.watch(log="gradients", log_freq=1), offline."""
    import wandb

    wandb.watch(model, log="gradients", log_freq=1)
    yield lambda step: wandb.log({"number": step})
    wandb.unwatch(model)


@contextmanager
def wandb_run(folder: str) -> Iterator[None]:
    """One run for all blocks: to begin one takes seconds."""
    import wandb

    with wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True)):
        yield


@contextmanager
def budgeted(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """Our own, with a budget of one percent."""
    with gradsound.attach(model, optimizer, log=fresh(), budget=0.01):
        yield lambda _: None


CASES = {
    "bare": nothing,
    CONTROL: nothing,
    "gradsound": recording,
    "gradsound, with a sound file": sounding,
    "gradsound, budget of 1 %": budgeted,
    "the 2019 script's lines": lines_of_2019,
    "TensorBoard histograms": tensorboard,
    "wandb.watch": wandb_watch,
    "clipping": clipping,
    "clipping, with gradsound": recording_clipping,
}
AGAINST = {"clipping, with gradsound": "clipping"}  # others against bare
TINY = "10,000 tiny"
FOR_TINY = ("bare", CONTROL, "gradsound", "gradsound, budget of 1 %")  # others take minutes


class Loop:
    """A training loop with one model, in which cases take turns.

    Args:
        make: Makes the model, what goes in and what should come out.
    """

    def __init__(self, make: Make) -> None:
        torch.manual_seed(0)
        self.model, self._x, self._y = make()
        self._optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        self._loss_function = nn.CrossEntropyLoss()
        self._number = 0

    def train(self, case: str, steps: int) -> float:
        """Seconds a step takes."""
        with CASES[case](self.model, self._optimizer) as measure:
            for step in range(-WARM, steps):
                if step == 0:
                    begin = time.perf_counter()
                self._optimizer.zero_grad()
                self._loss_function(self.model(self._x), self._y).backward()
                measure(self._number)
                self._optimizer.step()
                self._number += 1
            seconds = (time.perf_counter() - begin) / steps
        if case == "wandb.watch":
            time.sleep(0.1)  # its service has work left, which is not for the next case
        return seconds


def reading(model: nn.Module) -> dict[str, float]:
    """Seconds to take all norms, and to read as much memory in one go."""
    gradients = [parameter.grad for parameter in model.parameters()]
    buffer = torch.randn(sum(g.numel() for g in gradients) // 4096 + 1, 4096)
    meter = Meter()
    seconds: dict[str, list[float]] = {"norms": [], "read": []}
    for _ in range(5):
        begin = time.perf_counter()
        meter.take(gradients)
        seconds["norms"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        torch.linalg.vector_norm(buffer, dim=1)
        seconds["read"].append(time.perf_counter() - begin)
    return {what: statistics.median(taken) for what, taken in seconds.items()}


def compare(name: str, rounds: int) -> None:
    """Prints the table of one model."""
    loop = Loop(MODELS[name])
    loop.train("bare", 5)
    steps = max(3, round(BLOCK / loop.train("bare", 5)))
    cases = [case for case in CASES if name != TINY or case in FOR_TINY]
    for case in cases:
        loop.train(case, 2)
    taken: dict[str, list[float]] = {case: [] for case in cases}
    alone: dict[str, list[float]] = {"norms": [], "read": []}
    for _ in range(rounds):
        for case in random.sample(cases, len(cases)):
            taken[case].append(loop.train(case, steps))
        for what, seconds in reading(loop.model).items():
            alone[what].append(seconds)
    bare = statistics.median(taken["bare"])
    print(f"\n{name}: {bare * 1e3:.2f} ms a step, {steps} steps a block")
    for case in cases[1:]:
        pairs = [*zip(taken[case], taken[AGAINST.get(case, "bare")])]
        ratio = statistics.median(one / other for one, other in pairs)
        added = statistics.median(one - other for one, other in pairs)
        print(f"  {case:30} {ratio:7.3f} x {added * 1e6:+9.0f} us")
    for what, label in (("norms", "norms alone"), ("read", "reading as much memory")):
        print(f"  {label:30} {'':9} {statistics.median(alone[what]) * 1e6:+9.0f} us")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="What recording every step costs.")
    parser.add_argument("models", nargs="*", default=[*MODELS], metavar="model")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    for model in arguments.models:
        if model not in MODELS:
            parser.error(f"no model {model!r}; there are: {', '.join(MODELS)}")
    torch.set_num_threads(THREADS)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, "
        f"{THREADS} thread, {arguments.rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as folder, wandb_run(folder):
        os.chdir(folder)
        for model in arguments.models:
            compare(model, arguments.rounds)
        os.chdir("/")


if __name__ == "__main__":
    main()
