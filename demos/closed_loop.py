"""Two policies that a loss does not tell apart, of which one collides more: CW-ERM.

    python demos/closed_loop.py [--seeds N] [--out FOLDER]

A policy clones an expert who follows another car (ERM). In closed loop, where its own
actions decide what it sees next, it collides. Closed-loop weighted ERM (Kumar et al., arXiv
2210.02174) drives the training scenes with this policy, and clones anew with the scenes
that collided drawn 15 times as often. The controls draw as many random scenes 15 times as
often, or train twice as long. The four policies of a seed share training scenes, first
weights and random numbers. Other scenes judge them, with the same noise for all four.

The sound plays the gap to the car ahead as pitch, an octave for twice the gap, and a growl
for a collision: ERM on the left, then CW-ERM in the same scenes on the right. Its tempo is
the open-loop error, that of the actions in the expert's own drives.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import torch
from car_following import clone, collided, drive, make_scenes
from drive_views import PRESET, draw, heard
from seed_experiment import mean_interval, parse_options, print_table, share_interval

import gradsound

if TYPE_CHECKING:
    from car_following import Policies, Scenes
    from torch import Tensor

TRAINING, UNSEEN, HARD = 300, 1000, 0.06  # scenes of a seed; the share that brakes hard
UNSEEN_SEED = 10**6  # the first seed of unseen scenes
STEPS, FACTOR = 600, 15  # of a training; times as often
FAR = 4.0  # m from the expert's place, which the paper counts too
HEARD = 4  # scenes: the first unseen ones of the first seed that brake hard


def find_errors(seeds: range, gaps: Tensor) -> Tensor:
    """Returns the error set of each seed, (N, S): its training scenes with a collision.

    Raises:
        ValueError: If it has no scene or all, so that none would weigh more than others.
    """
    errors = collided(gaps)
    for seed, count in zip(seeds, errors.sum(1).tolist()):
        if count in (0, errors.shape[1]):
            raise ValueError(
                f"seed {seed}: ERM collides in {count} of {errors.shape[1]} training "
                f"scenes, so none can weigh more: {'lower' if count else 'raise'} HARD"
            )
    return errors


def train_policies(seeds: range, scenes: Scenes) -> tuple[dict[str, Policies], Tensor]:
    """Returns the policies by their names, CW-ERM first, and the error sets."""
    _, views, actions = drive(scenes)
    even = torch.ones(views.shape[:2])
    erm = clone(seeds, views, actions, even, STEPS)
    errors = find_errors(seeds, drive(scenes, erm)[0])
    orders = [np.random.default_rng(seed).permutation(errors.shape[1]) for seed in seeds]
    chance = torch.stack([row[order] for row, order in zip(errors, orders)])
    ours, random = (
        clone(seeds, views, actions, even + (FACTOR - 1) * chosen, STEPS)
        for chosen in (errors, chance)
    )
    longer = clone(seeds, views, actions, even, 2 * STEPS)
    names = "CW-ERM", "ERM", "ERM, random scenes", "ERM, twice as long"
    return dict(zip(names, (ours, erm, random, longer))), errors


def main() -> None:
    """Trains and judges the policies, prints the table, writes sound and picture."""
    options = parse_options(__doc__, seeds=10)
    seeds = range(options.seeds)
    try:
        policies, errors = train_policies(seeds, make_scenes(seeds, TRAINING, HARD))
    except ValueError as error:
        sys.exit(f"closed_loop.py: {error}")
    scenes = make_scenes([UNSEEN_SEED + seed for seed in seeds], UNSEEN, HARD)
    expert, views, actions = drive(scenes)
    gaps = {name: drive(scenes, policy)[0] for name, policy in policies.items()}
    hits = {name: 100 * collided(one).float().mean(1) for name, one in gaps.items()}
    rows, told = {}, {}
    for name, policy in policies.items():
        with torch.no_grad():
            told[name] = (policy(views) - actions).square().mean((1, 2))
        far = 100 * ((gaps[name] - expert).abs().amax(2) > FAR).float().mean()
        more = (hits[name] - hits["CW-ERM"]).tolist()
        worse = sum(number > 0 for number in more)
        numbers = hits[name].mean(), np.mean(more), *mean_interval(more), worse
        rows[name] = [float(number) for number in (*numbers, told[name].mean(), far)]
    columns = ("collisions, %", "more than CW-ERM, points", "from", "to")
    columns += ("more in seeds", "open-loop error", f"over {FAR:g} m off, %")
    print_table(columns, rows)
    report(rows, errors.sum(1).tolist())
    hard = scenes.hard[0].nonzero().flatten()[:HEARD]
    both = "ERM", "CW-ERM"
    chosen = torch.stack([gaps[name][0, hard] for name in both]).numpy()
    run = heard(chosen, torch.stack([told[name][0] for name in both]))
    gradsound.render(run, options.out / "closed_loop.wav", preset=PRESET)
    draw(options.out / "closed_loop.png", chosen, hits)


def report(rows: dict[str, list[float]], sizes: list[int]) -> None:
    """Prints a sentence for each figure that the demo must reach."""
    ours, erm, *_ = rows.values()
    low, high = share_interval(int(erm[4]), len(sizes))
    print(
        f"\nThe error sets have {min(sizes)} to {max(sizes)} of {TRAINING} training scenes."
        f"\nCW-ERM has {100 * (1 - ours[0] / erm[0]):.0f} % fewer collisions than ERM, and "
        f"fewer in {erm[4]:.0f} of {len(sizes)} seeds: a share of {low:.2f} to {high:.2f} "
        "by the exact binomial posterior with a flat prior."
    )
    for name, (hits, more, low, high, *_) in [*rows.items()][1:]:
        print(
            f"{name}: {hits:.2f} % of drives collide, {more:.2f} points more than CW-ERM, "
            f"{low:.2f} to {high:.2f} by Student's t, paired over seeds."
        )
    print(f"The open-loop error of CW-ERM is {ours[5] / erm[5]:.2f} times that of ERM.")


if __name__ == "__main__":
    main()
