"""What recording every step costs, beside a bare loop and beside other monitors.

Each case is a process of its own that waits while another runs: a round lets every case
train for a moment, in random order, and compares it with the bare loop of that round. What
is printed are medians over rounds; the control is a second bare loop, and tells what
differences mean nothing here.

    python benchmarks/overhead.py [--rounds 40] [model ...]

Needs ``pip install gradsound[benchmark]``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from models import MODELS
from torch import nn

import gradsound
from gradsound.measure.norms import Meter

BLOCK = 0.15  # seconds that a case trains in a round, at least
THREADS = 1  # two cores are there: the other is for what monitors do beside the training
WARM = 2  # steps before that, for caches to be as in a loop of its own
CONTROL = "bare again (control)"
Measure = Callable[[int], None]  # called before the optimizer's step, with its number


@contextmanager
def nothing(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """The bare loop."""
    yield lambda _: None


@contextmanager
def recording(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """Our own, a run file alone."""
    with gradsound.attach(model, optimizer):
        yield lambda _: None


@contextmanager
def sounding(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[Measure]:
    """Our own, with a sound file that another process renders meanwhile."""
    with gradsound.attach(model, optimizer, wav="run.wav"):
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
    with gradsound.attach(model, optimizer):
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

    with wandb.init(mode="offline", settings=wandb.Settings(silent=True)) as run:
        run.watch(model, log="gradients", log_freq=1)
        yield lambda step: run.log({"step": step})


CASES = {
    "bare": nothing,
    CONTROL: nothing,
    "gradsound": recording,
    "gradsound, with a sound file": sounding,
    "the 2019 script's lines": lines_of_2019,
    "TensorBoard histograms": tensorboard,
    "wandb.watch": wandb_watch,
    "clipping": clipping,
    "clipping, with gradsound": recording_clipping,
}
AGAINST = {"clipping, with gradsound": "clipping"}  # others against bare


def work(model_name: str, case: str) -> None:
    """A worker: trains as many steps as each line of standard input says."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    model, x, y = MODELS[model_name]()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    loss_function = nn.CrossEntropyLoss()
    number = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.chdir(folder)
        measure = stack.enter_context(CASES[case](model, optimizer))
        for line in sys.stdin:
            asked = int(line)
            for step in range(-WARM, asked):
                if step == 0:
                    begin = time.perf_counter()
                optimizer.zero_grad()
                loss_function(model(x), y).backward()
                measure(number)
                optimizer.step()
                number += 1
            answer = {"seconds": (time.perf_counter() - begin) / asked}
            if case == CONTROL:
                answer |= reading(model)
            print("answer", json.dumps(answer), flush=True)
        os.chdir("/")


def reading(model: nn.Module) -> dict[str, float]:
    """Seconds to take all norms, and to read as much memory in one go."""
    gradients = [parameter.grad for parameter in model.parameters()]
    buffer = torch.randn(sum(g.numel() for g in gradients) // 4096 * 4096 + 4096)
    meter = Meter()
    seconds: dict[str, list[float]] = {"norms": [], "read": []}
    for _ in range(5):
        begin = time.perf_counter()
        meter.take(gradients)
        seconds["norms"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        torch.linalg.vector_norm(buffer.view(-1, 4096), dim=1)
        seconds["read"].append(time.perf_counter() - begin)
    return {what: statistics.median(taken) for what, taken in seconds.items()}


class Worker:
    """A process that trains when it is told to."""

    def __init__(self, model: str, case: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", model, case],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def train(self, steps: int) -> dict[str, float]:
        """Seconds a step."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("answer "):
                return json.loads(line.removeprefix("answer "))
        raise RuntimeError("a worker ended; run it alone with --work MODEL CASE")

    def end(self) -> None:
        """Closes what it has open."""
        self._process.stdin.close()
        self._process.wait()


def compare(model: str, rounds: int) -> None:
    """Prints the table of one model."""
    workers = {case: Worker(model, case) for case in CASES}
    workers["bare"].train(5)
    once = workers["bare"].train(5)["seconds"]
    steps = max(2, round(BLOCK / once))
    for worker in workers.values():
        worker.train(5)
    taken: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case in random.sample([*CASES], len(CASES)):
            taken[case].append(workers[case].train(steps))
            if case == "wandb.watch":
                time.sleep(0.2)  # its service has work left
    for worker in workers.values():
        worker.end()
    bare = statistics.median(answer["seconds"] for answer in taken["bare"])
    print(f"\n{model}: {bare * 1e3:.2f} ms a step, {steps} steps a block")
    for case in [*CASES][1:]:
        against = AGAINST.get(case, "bare")
        pairs = [
            (one["seconds"], other["seconds"])
            for one, other in zip(taken[case], taken[against])
        ]
        ratio = statistics.median(one / other for one, other in pairs)
        added = statistics.median(one - other for one, other in pairs)
        print(f"  {case:32} {ratio:7.3f} x {added * 1e6:+10.0f} us")
    for what in ("norms", "read"):
        seconds = statistics.median(answer[what] for answer in taken[CONTROL])
        label = {"norms": "norms alone", "read": "reading as much memory"}[what]
        print(f"  {label:32} {'':10}{seconds * 1e6:10.0f} us")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="What recording every step costs.")
    parser.add_argument("models", nargs="*", default=[*MODELS][:-1], metavar="model")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument(
        "--work", nargs=2, metavar=("MODEL", "CASE"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    for model in arguments.models:
        if model not in MODELS:
            parser.error(f"no model {model!r}; there are: {', '.join(MODELS)}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, "
        f"{THREADS} thread, {arguments.rounds} rounds"
    )
    for model in arguments.models:
        compare(model, arguments.rounds)


if __name__ == "__main__":
    main()
