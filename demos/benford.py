"""Benford's law in a language model: what of it is the law, and what the data.

    python demos/benford.py

C. S. Perone's posts of 2018 and 2019 asked large language models for the first digit after
"with a population size of", and saw Benford's law: 1 first in 30 % of the cases, 9 in 5 %.
Here a small GPT reads the populations of 6,000 towns of Europe. The digits of this list are
not quite Benford's, because it begins at 5,000 inhabitants. So the table can tell whether
the model learns the law or its data: KL is the Kullback-Leibler divergence of its digits
from either, in nats. A control prompt asks for a latitude, which is 4 or 5 in most of
Europe.

The second table has MLH, the correlation of nine shares with Benford's (arXiv 2102.03313),
for numbers that nobody trained. It moves if they are only multiplied: so it says nothing
about how well a network has learned, and gradsound has no signal of it.

The sound has nine notes, 1 the lowest, as loud as their digits are likely: left after the
population, right after the latitude. The script writes out/benford.wav and .png.
"""

from __future__ import annotations

import numpy as np
import torch
from digit_laws import BENFORD, correlation, count_digits, divergence, first_digits
from digit_model import GPT, Text, predict_digits, read_digits, read_lines
from digit_views import draw_digits, draw_scales, draw_training, write_sound
from matplotlib import pyplot as plt
from seed_experiment import parse_options, print_table
from torch.nn import functional

LATITUDE, POPULATION = WORDS = ["latitude ", "population "]
STEPS, BATCH, CHECK_STEPS, PROMPTS, LAST = 500, 24, 25, 250, 8  # LAST: checks that count


def weights_of(model: GPT) -> np.ndarray:
    """Returns the numbers of all matrices of a model, shape (W,)."""
    return torch.cat(
        [p.detach().ravel() for p in model.parameters() if p.dim() > 1]
    ).numpy()


def train(model: GPT, text: Text, lines: list[str]) -> np.ndarray:
    """Trains a model; returns its digits at each check, shape (checks, 2, 9)."""
    prompts, read, found = lines[:PROMPTS], text.encode(lines[PROMPTS:]), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)
    for step in range(STEPS + 1):
        if step % CHECK_STEPS == 0:
            found.append(predict_digits(model, text, prompts, WORDS))
        batch = read[torch.randint(len(read), (BATCH,))]
        next_ones = batch[:, 1:].masked_fill(batch[:, :-1] == 0, -1)  # -1 after the line
        logits = model(batch[:, :-1]).transpose(1, 2)
        loss = functional.cross_entropy(logits, next_ones, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return np.array(found)


def describe(found: np.ndarray, own: np.ndarray) -> list[float]:
    """Returns a row of the table: means over digits, shape (..., 9)."""
    each = found.reshape(-1, 9)
    means = [
        np.mean([divergence(shares, law) for shares in each]) for law in (own, BENFORD)
    ]
    shares = each.mean(axis=0)
    return [*means, np.mean([correlation(one) for one in each]), *shares[[0, 1, 4, 8]]]


def describe_scales(numbers: np.ndarray) -> list[float]:
    """Returns KL from Benford's law and MLH of numbers times 1, 2 and 4."""
    shares = [count_digits(first_digits(numbers * factor)) for factor in (1, 2, 4)]
    return [measure(one) for one in shares for measure in (divergence, correlation)]


def main() -> None:
    """Trains, prints the tables and what they say, writes the sound and the picture."""
    options = parse_options("Benford's law in a language model", seeds=3)
    lines = read_lines()
    text = Text.of(lines)
    latitudes, own = (read_digits(lines, word) for word in WORDS)
    found, untrained, trained = [], [], []
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        model = GPT(text)
        untrained.append(weights_of(model))
        found.append(train(model, text, lines))
        trained.append(weights_of(model))
    control, asked = np.moveaxis(found, 2, 0)  # each (seeds, checks, 9)
    rows = {
        "the data": describe(own, own),
        "the model, untrained": describe(asked[:, 0], own),
        "the model, trained": describe(asked[:, -LAST:], own),
        "the data, latitudes": describe(latitudes, latitudes),
        "the model, control: latitudes": describe(control[:, -LAST:], latitudes),
    }
    columns = (
        "KL from its data",
        "from Benford",
        "MLH",
        *(f"digit {d}" for d in (1, 2, 5, 9)),
    )
    print_table(columns, rows)
    print()
    generator = np.random.default_rng(0)
    numbers = {
        "normal": generator.normal(size=10**6),
        "uniform": generator.uniform(-1, 1, 10**6),
        "weights, untrained": untrained[0],
        "weights, trained": trained[0],
    }
    columns = [f"{name}, x {factor}" for factor in (1, 2, 4) for name in ("KL", "MLH")]
    print_table(columns, {name: describe_scales(one) for name, one in numbers.items()})
    print()
    begin, end = rows["the model, untrained"][0], rows["the model, trained"]
    each = [describe(one[-LAST:], own)[0] for one in asked]
    print(
        f"KL of the model's digits: {end[0]:.4f} from its data's ({min(each):.4f} to "
        f"{max(each):.4f} in {len(each)} seeds), {begin / end[0]:.0f} x less than before, "
        f"and {end[1]:.3f} from Benford's."
    )
    control_row = rows["the model, control: latitudes"]
    print(f"KL of the control: {control_row[1]:.2f} from Benford's.")
    write_sound(
        {"population": asked[0], "latitude": control[0]}, options.out / "benford.wav"
    )
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    last = {"the data": own, "the model": asked[:, -LAST:].mean((0, 1))}
    draw_digits(axes[0], last | {"control": control[:, -LAST:].mean((0, 1))})
    draw_training(axes[1], CHECK_STEPS * np.arange(asked.shape[1]), asked, own)
    draw_scales(axes[2], numbers)
    figure.savefig(options.out / "benford.png", dpi=100)


if __name__ == "__main__":
    main()
