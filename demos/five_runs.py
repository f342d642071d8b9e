"""Trains the five runs of C. S. Perone's post of 2019 and writes their sounds.

Each run trains a small convolutional network on MNIST digits for 200 steps, with gradsound
attached. The script writes the steps (.jsonl), the sound (.wav) and a picture (.png) of
each run.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from digits import load_digits
from torch import nn
from torch.nn import functional
from tqdm import tqdm

import gradsound

SAMPLE_RATE = 44_100  # Hz
HIGHEST = 0.45 * SAMPLE_RATE  # Hz; gradsound plays no higher pitch


@dataclass(frozen=True)
class Recipe:
    """Optimizer, learning rate and batch size of one run."""

    optimizer: str
    lr: float
    batch_size: int

    def __str__(self) -> str:
        return f"{self.optimizer}-lr{self.lr:g}-batch{self.batch_size}"


FIVE = (
    Recipe("sgd", 0.01, 10),
    Recipe("sgd", 0.1, 10),
    Recipe("sgd", 1.0, 10),
    Recipe("sgd", 1.0, 256),
    Recipe("adam", 0.01, 10),
)


class Net(nn.Module):
    """The network of the post: two convolutions, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(4 * 4 * 50, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns log probabilities (N, 10) of images (N, 1, 28, 28)."""
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.flatten(1)))
        return functional.log_softmax(self.fc2(x), dim=1)


def main() -> None:
    """Trains the runs, writes their files and prints a table of what to listen for."""
    options = parse()
    try:
        images, labels = load_digits(options.data)
        options.out.mkdir(parents=True, exist_ok=True)
    except (ImportError, RuntimeError, OSError) as error:
        sys.stderr.write(f"five_runs.py: {error}\n")
        sys.exit(2)
    rows = [("file", "seconds", "pitch, Hz", "not finite", "listen for")]
    bar = tqdm(total=len(options.recipes) * options.steps, unit="step", disable=None)
    for number, recipe in options.recipes:
        bar.set_description(str(recipe))
        stem = options.out / f"{number}-{recipe}"
        for suffix in (".jsonl", ".wav", ".vtt"):  # of an earlier call
            Path(f"{stem}{suffix}").unlink(missing_ok=True)
        torch.manual_seed(options.seed)
        model = Net()
        optimizer = (
            torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=0.5)
            if recipe.optimizer == "sgd"
            else torch.optim.Adam(model.parameters(), lr=recipe.lr)
        )
        with gradsound.attach(
            model,
            optimizer,
            log=f"{stem}.jsonl",
            wav=f"{stem}.wav",
            preset=options.preset,
            comment=f"MNIST, {recipe}, seed {options.seed}",
        ):
            batches = draw(len(images), recipe.batch_size, options.steps, options.seed)
            for batch in batches:
                optimizer.zero_grad()
                functional.nll_loss(model(images[batch]), labels[batch]).backward()
                optimizer.step()
                bar.update()
        gradsound.plot(f"{stem}.jsonl", f"{stem}.png", preset=options.preset)
        rows.append(describe(stem, gradsound.PRESETS[options.preset]))
    bar.close()
    show(rows)


def parse() -> argparse.Namespace:
    """Parses the command line; ``recipes`` holds numbered recipes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = range(1, len(FIVE) + 1)
    five = ", ".join(f"{number} {recipe}" for number, recipe in zip(numbers, FIVE))
    parser.add_argument(
        "--runs",
        type=int,
        nargs="+",
        choices=numbers,
        help=f"which of the five: {five} (all)",
    )
    own = parser.add_argument_group(
        "runs of your own", "any of these replaces the five, by all combinations given"
    )
    own.add_argument("--optimizer", nargs="+", choices=("sgd", "adam"), help="which (sgd)")
    own.add_argument("--lr", type=positive(float), nargs="+", help="learning rates (0.01)")
    own.add_argument(
        "--batch-size", type=positive(int), nargs="+", help="images a step (10)"
    )
    parser.add_argument(
        "--steps", type=positive(int), default=200, help="steps of each run (200)"
    )
    parser.add_argument(
        "--seed", type=seed, default=10, help="for weights and batches (10)"
    )
    parser.add_argument(
        "--preset",
        choices=gradsound.PRESETS,
        default="perone2019",
        help="how it sounds (perone2019)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="all of MNIST, by torchvision (6,000 digits)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="where to write (out)"
    )
    options = parser.parse_args()
    custom = (options.optimizer, options.lr, options.batch_size)
    if any(custom) and options.runs:
        parser.error("--runs chooses among the five: leave it out with runs of your own")
    recipes = list(FIVE)
    if any(custom):
        defaults = (["sgd"], [0.01], [10])
        grid = itertools.product(
            *(own or default for own, default in zip(custom, defaults))
        )
        recipes = [Recipe(*choice) for choice in grid]
    selected = options.runs or range(1, len(recipes) + 1)
    options.recipes = [(number, recipes[number - 1]) for number in sorted(set(selected))]
    return options


def positive(kind: type) -> type:
    """Returns an argparse type: a number of that kind, above 0 and finite."""

    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
        return value

    number.__name__ = kind.__name__
    return number


def seed(text: str) -> int:
    """Parses a seed for torch: 0 to 2**63 - 1."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"must be 0 to 2**63 - 1, got {text}")
    return value


def draw(size: int, batch_size: int, steps: int, seed: int) -> list[torch.Tensor]:
    """Returns image indices for each step, shape (batch_size,), in shuffled epochs."""
    generator = torch.Generator().manual_seed(seed)
    epochs = -(-batch_size * steps // size)
    order = torch.cat([torch.randperm(size, generator=generator) for _ in range(epochs)])
    return list(order[: batch_size * steps].split(batch_size))


def describe(stem: Path, preset: gradsound.Preset) -> tuple[str, ...]:
    """Returns a row of the table from a run's files."""
    run = gradsound.read_run(f"{stem}.jsonl")
    summary = gradsound.summarize(run)
    seconds = soundfile.info(f"{stem}.wav").duration
    bounds = np.array(
        [
            min(layer.lowest for layer in summary.layers),
            max(layer.highest for layer in summary.layers),
        ]
    )
    low, high = np.minimum(preset.pitch.hertz(bounds), HIGHEST)
    bad = "-" if summary.first_nonfinite is None else f"step {summary.first_nonfinite}"
    pitches = f"{low:.0f} to {high:.0f}"
    return f"{stem}.wav", f"{seconds:.1f}", pitches, bad, listen_for(run, summary)


def listen_for(run: gradsound.Run, summary: gradsound.Summary) -> str:
    """Returns one sentence that says what to listen for in a run."""
    if summary.first_nonfinite is not None:
        return (
            f"It climbs for {summary.first_nonfinite} steps, then the clang of NaN: "
            "the run is lost."
        )
    dead = [alarm for alarm in summary.alarms if alarm.kind == "dead"]
    if dead and "dead" not in [alarm.resolves for alarm in summary.alarms]:
        names = ", ".join(name for alarm in dead for name in alarm.layers)
        return f"At step {dead[-1].step} {names} are silent: no gradient, dead."
    norms = np.array([step.norms for step in run.steps], float)
    norms = np.maximum(norms, 1e-9)  # a layer may have norm 0 for a while
    quarter = max(len(norms) // 4, 1)
    first, last = (
        np.exp(np.log(part).mean()) for part in (norms[:quarter], norms[-quarter:])
    )
    spread = np.exp(np.log(norms).std(axis=0).mean())  # a factor: pitch is logarithmic
    trend = f"{max(first, last) / min(first, last):.1f}x {'down' if last < first else 'up'}"
    peak = max(one.highest / one.typical for one in summary.layers if one.typical > 0)
    mood = "calm" if spread < 1.7 else "lively" if spread < 2.5 else "restless"
    return f"A {mood} melody: norms {trend} from first to last quarter, peak {peak:.0f}x."


def show(rows: list[tuple[str, ...]]) -> None:
    """Prints the table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


if __name__ == "__main__":
    main()
