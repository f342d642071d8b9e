"""SafePathNet: experts that predict a driver's paths, and how their collapse is heard.

    python demos/experts.py

A car comes to a junction and turns left, goes straight on or turns right; nobody knows
which. Another car crosses, or waits. A network predicts six paths, one by each expert, and
how likely each is. Only the expert nearest to the truth is trained ("winner takes all"),
the others a little too ("relaxed"), or all by their probabilities ("mean"), after
SafePathNet (arXiv 2211.02131) and Rupprecht et al. (arXiv 1612.00197). A planner drives the
likeliest path, or the cheapest: with the least predicted danger for its probability.

The table compares these losses, and a start from which winner-takes-all collapses to one
expert. gradsound records every training with `gradsound.in_use`, and its alarm must tell
the collapse. The sound has the experts in use as notes of a chord: left a healthy training,
right the collapsed one, with its alarm. The script writes out/experts.wav and .png.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from expert_views import draw_collisions, draw_scene, draw_use, smooth, write_sound
from junction import EXPERTS, Net, draw_scenes, judge
from matplotlib import pyplot as plt
from seed_experiment import parse_options, print_table
from torch.nn import functional

import gradsound

STEPS, SCENES = 600, 64  # of a training, of a batch
USED_STEPS = [49, 199, 599]
RELAXED, WINNER, MEAN = "relaxed", "winner takes all", "mean over probabilities"
COLLAPSED = "winner takes all, five begin far away"
LOSSES = (RELAXED, WINNER, MEAN, COLLAPSED)
COLUMNS = (
    *("error of the nearest path", "of the likeliest", "of the cheapest"),
    *("collisions of the likeliest, %", "of the cheapest, %"),
    *("experts in use at step 50", "at step 200", "at step 600"),
    *("trainings", "with the alarm"),
)


@dataclass(frozen=True)
class Training:
    """What is left of a training.

    Attributes:
        net: The network.
        used: Experts in use at each step, shape (STEPS,).
        norms: Median gradient norm of each layer in the last 100 steps.
        told: The steps of its alarms of the kind "collapsed".
    """

    net: Net
    used: np.ndarray
    norms: np.ndarray
    told: list[int]


def train(loss: str, seed: int, log: Path) -> Training:
    """Trains a network, recorded by gradsound."""
    torch.manual_seed(seed)
    net, scenes = Net(), torch.Generator().manual_seed(seed)
    if loss == COLLAPSED:
        with torch.no_grad():
            net.own.bias.view(EXPERTS, -1)[1:] += 5
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    with gradsound.attach(net, optimizer, log=log) as attachment:
        for _ in range(STEPS):
            seen, own, other = draw_scenes(SCENES, scenes)
            paths, predicted, logits = net(seen)
            errors = (paths - own[:, None]).abs().sum((2, 3))
            nearest = errors.argmin(1)
            if loss == MEAN:
                error = (logits.softmax(1) * errors).sum(1).mean()
            else:
                share = 0.05 if loss == RELAXED else 0.0
                error = (1 - share) * errors.amin(1).mean() + share * errors.mean()
                error = error + 0.1 * functional.cross_entropy(logits, nearest)
            optimizer.zero_grad()
            (error + (predicted - other).abs().sum((1, 2)).mean()).backward()
            counts = torch.bincount(nearest, minlength=EXPERTS)
            attachment.log_values(experts=gradsound.in_use(counts))
            optimizer.step()
    run = gradsound.read_run(log)
    steps = list(run.steps)
    return Training(
        net,
        np.array([step.values["experts"] for step in steps]),
        np.median([step.norms for step in steps[-100:]], axis=0),
        [alarm.step for alarm in run.alarms() if alarm.kind == "collapsed"],
    )


def main() -> None:
    """Trains, prints the table and what it says, writes the sound and the picture."""
    options = parse_options("experts that predict paths, and their collapse", seeds=5)
    trainings: dict[str, list[Training]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for loss in LOSSES:
            count = options.seeds * (2 if loss in {RELAXED, COLLAPSED} else 1)
            log = Path(folder) / "run.jsonl"
            trainings[loss] = [train(loss, seed, log) for seed in range(count)]
    results = {
        loss: np.array([judge(one.net) for one in trainings[loss][: options.seeds]])
        for loss in LOSSES
    }
    rows = {}
    for loss in LOSSES:
        used = np.mean([smooth(one.used)[USED_STEPS] for one in trainings[loss]], axis=0)
        told = sum(bool(one.told) for one in trainings[loss])
        rows[loss] = [*results[loss].mean(axis=0), *used, len(trainings[loss]), told]
    print_table(COLUMNS, rows)
    print()
    for loss in (RELAXED, WINNER, MEAN):
        likeliest, cheapest = results[loss][:, 3:].T
        each, ratio = cheapest / likeliest, cheapest.mean() / likeliest.mean()
        print(
            f"{loss}: the cheapest path collides {ratio:.3f} x as often as the likeliest, "
            f"{each.min():.3f} to {each.max():.3f} in {len(each)} seeds."
        )
    steps = [one.told[0] if one.told else STEPS for one in trainings[COLLAPSED]]
    early, count = sum(step < 40 for step in steps), len(steps)
    print(
        f"Collapse told within 40 steps in {early} of {count}, at step {max(steps)} at the "
        f"latest; alarms in {rows[RELAXED][-1]} of {count} healthy trainings (relaxed)."
    )
    usual, collapsed = (
        np.array([one.norms for one in trainings[loss]]) for loss in (WINNER, COLLAPSED)
    )
    each = collapsed / np.median(usual, axis=0)
    of_layers = zip(np.median(each, axis=0), each.min(axis=0), each.max(axis=0))
    ratios = ", ".join(f"{k:.2g} ({low:.2g} to {high:.2g})" for k, low, high in of_layers)
    print(f"Norms of the layers, collapsed / median of winner takes all: {ratios}.")
    first = {loss.split(",")[0]: trainings[loss][0].used for loss in (RELAXED, COLLAPSED)}
    write_sound(first, options.out / "experts.wav")
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
    draw_use(axes[0], trainings)
    draw_scene(axes[1], trainings[RELAXED][0].net)
    draw_collisions(axes[2], {loss: rows[:, 3:] for loss, rows in results.items()})
    figure.savefig(options.out / "experts.png", dpi=100)


if __name__ == "__main__":
    main()
