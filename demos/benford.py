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

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from digit_model import GPT, Text, first_digits, predict_digits, read_lines
from matplotlib import pyplot as plt
from seed_experiment import parse_options, print_table
from torch.nn import functional

import gradsound

BENFORD = np.log10(1 + 1 / np.arange(1, 10))
POPULATION, LATITUDE = "population ", "latitude "
STEPS, BATCH, CHECK_STEPS, PROMPTS, LAST = 600, 24, 25, 500, 8


def divergence(shares: np.ndarray, law: np.ndarray) -> float:
    """Returns the Kullback-Leibler divergence of shares from a law, in nats."""
    used = shares > 0
    return float(np.sum(shares[used] * np.log(shares[used] / law[used])))


def correlation(shares: np.ndarray) -> float:
    """Returns MLH: Pearson's correlation of nine shares with Benford's."""
    return float(np.corrcoef(shares, BENFORD)[0, 1])


def shares_of(numbers: np.ndarray) -> np.ndarray:
    """Returns the shares of the first digits of numbers other than 0, shape (9,)."""
    sizes = np.abs(numbers[numbers != 0]).astype(np.float64)
    mantissas = sizes / 10 ** np.floor(np.log10(sizes))
    digits = np.clip(np.floor(mantissas + 1e-9), 1, 9).astype(int)  # 0.3 is 0.29999
    return np.bincount(digits, minlength=10)[1:] / len(digits)


def train(seed: int, lines: list[str], text: Text) -> tuple[GPT, np.ndarray]:
    """Trains a model; returns it, and its digits at each check, shape (checks, 2, 9)."""
    torch.manual_seed(seed)
    encoded, prompts = text.encode(lines[PROMPTS:]), lines[:PROMPTS]
    model, found = GPT(text), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)
    for step in range(STEPS + 1):
        if step % CHECK_STEPS == 0:
            found.append(
                [predict_digits(model, text, prompts, b) for b in (POPULATION, LATITUDE)]
            )
        batch = encoded[torch.randint(len(encoded), (BATCH,))]
        target = batch[:, 1:].clone()
        target[(batch[:, :-1] == 0)] = -1  # what follows the end of a line
        logits = model(batch[:, :-1])
        loss = functional.cross_entropy(logits.transpose(1, 2), target, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model, np.array(found)


if __name__ == "__main__":
    import time

    torch.set_num_threads(1)
    lines = read_lines()
    print(lines[:3], len(lines), max(map(len, lines)))
    text = Text(
        "\n" + "".join(sorted({c for line in lines for c in line} - {"\n"})),
        max(map(len, lines)),
    )
    print(len(text.characters))
    own = [first_digits(lines, b) for b in (POPULATION, LATITUDE)]
    print(own, [divergence(o, BENFORD) for o in own])
    for seed in range(2):
        t = time.process_time()
        model, found = train(seed, lines, text)
        for k, (p, c) in enumerate(found):
            print(
                k * CHECK_STEPS,
                *(
                    round(x, 4)
                    for x in (
                        divergence(p, own[0]),
                        divergence(p, BENFORD),
                        correlation(p),
                        divergence(c, own[1]),
                        divergence(c, BENFORD),
                    )
                ),
            )
        print(time.process_time() - t)
