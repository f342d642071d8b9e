"""Trains ensembles with randomized priors, and lets a listener hear where they disagree.

    python demos/prior_ensemble.py [--seeds 5] [--out out]

A member of an ensemble is a trained network plus a fixed random one, its prior (Osband and
others, arXiv 1806.03335; C. S. Perone's post of 2019). 50 members fit a curve to two clumps
of points. They should agree at the data, and disagree in the gap between. The table has the
prior beside none, beside one that all members share, beside sines, without bootstrap, and
in the settings of the post.

The demo writes prior_ensemble.wav and prior_ensemble.png. Eight members are a chord that
walks along x, an octave a unit: first without the prior, then with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from member_sound import GLIDE, render_members
from randomized_priors import CLUMPS, Settings, X, draw_data, fit, truth
from seed_experiment import parse_options, print_table

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HEARD = 8
POST = {"scale": 1.0, "decay": 0.0, "gain": 1.0}
ROWS = {
    "no prior": Settings("none"),
    "random prior": Settings("networks"),
    "one random prior for all": Settings("network"),
    "one sine for all": Settings("sine", scale=1.0),
    "a sine each": Settings("sines", scale=1.0),
    "no prior, no bootstrap": Settings("none", bootstrap=False),
    "random prior, no bootstrap": Settings("networks", bootstrap=False),
    "one for all, no bootstrap": Settings("network", bootstrap=False),
    "post: no prior": Settings("none", **POST),
    "post: random prior": Settings("networks", **POST),
    "post: one sine for all": Settings("sine", **POST),
    "post: a sine each": Settings("sines", **POST),
}
COLUMNS = ("spread at data", "in the gap", "far away", "gap / data", "covered")


def main() -> None:
    """Trains all ensembles, prints the table, writes the sound and the picture."""
    options = parse_options(__doc__, seeds=5)
    ensembles = {
        name: [fit(seed, settings) for seed in range(options.seeds)]
        for name, settings in ROWS.items()
    }
    figures = {name: np.array([*map(judge, all_)]) for name, all_ in ensembles.items()}
    print_table(COLUMNS, {name: rows.mean(axis=0) for name, rows in figures.items()})
    print_claims(figures)
    heard = [ensembles[name][0][:HEARD].T for name in ("no prior", "random prior")]
    silence = torch.full((10, HEARD), torch.nan)
    walk = torch.cat([heard[0], silence, heard[1]])
    render_members(walk, options.out / "prior_ensemble.wav", GLIDE)
    draw(ensembles, options.out / "prior_ensemble.png")


def judge(outputs: torch.Tensor) -> list[float]:
    """Returns the figures of one ensemble, in the order of COLUMNS.

    A spread is the standard deviation of the members. Covered is the share of x from -1 to
    1 at which the truth is within two spreads of the mean.
    """
    spread, distance = outputs.std(dim=0), X.abs()
    (_, begin), (end, _) = CLUMPS
    zones = (
        (distance >= end) & (distance <= CLUMPS[1][1]),  # the clumps are symmetric
        (begin / 2 < X) & (end / 2 > X),
        distance > 1.2,
    )
    data, gap, far = (float(spread[zone].mean()) for zone in zones)
    near = (truth(X) - outputs.mean(dim=0)).abs() < 2 * spread
    return [data, gap, far, gap / data, float(near[distance < 1].float().mean())]


def print_claims(figures: Mapping[str, np.ndarray]) -> None:
    """Prints a sentence for each figure by which the claim stands or falls."""
    gap = {name: rows[:, 1].mean() for name, rows in figures.items()}
    ratios, covered = figures["random prior"][:, 3:].T
    better = (covered > figures["no prior"][:, 4]).sum()
    more = gap["random prior"] / gap["no prior"]
    shared = gap["random prior"] / gap["one random prior for all"]
    post = gap["post: random prior"] / gap["post: no prior"]
    print(f"Spread in the gap, with the prior to without: {more:.1f} (claim: 2 or more).")
    print(f"Spread with it, gap to data: {ratios.mean():.1f} (claim: 3 or more).")
    print(f"Covered with it, of any seed: {covered.min():.0%} or more (claim: 50%).")
    print(f"Covered more than without: {better} of {len(covered)} seeds (claim: all).")
    print(f"Spread in the gap, a prior each to one for all: {shared:.1f} (a control).")
    print(f"In the post's settings, spread in the gap, with to without: {post:.2f} (none).")


def draw(ensembles: Mapping[str, Sequence[torch.Tensor]], path: Path) -> None:
    """Draws the members of both ensembles that are heard, and the spread of all."""
    figure, panels = plt.subplots(3, 1, figsize=(8, 9), sharex=True, layout="constrained")
    for panel, name in zip(panels, ("no prior", "random prior")):
        outputs = ensembles[name][0]
        panel.plot(X, outputs[HEARD:].T, color="0.85", linewidth=0.6)
        panel.plot(X, outputs[:HEARD].T, linewidth=1.0)
        panel.plot(X, truth(X), "k--", linewidth=1.2, label="truth")
        panel.plot(*draw_data(0), "ko", markersize=4, label="data")
        panel.set(title=f"{name}: 50 members, {HEARD} of them heard", ylim=(-3.5, 3.5))
        panel.set(ylabel="y (octaves)")
        panel.legend(loc="upper left")
        panels[2].plot(X, outputs.std(dim=0), label=name)
    panels[2].set(title="spread of the members", xlabel="x", ylabel="y (octaves)", ylim=0)
    panels[2].legend(loc="upper center")
    for panel in panels:
        for low, high in CLUMPS:
            panel.axvspan(low, high, color="0.94", zorder=0)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
