"""Asks Adam how sure a network of digits is, and plays where it is not.

    python demos/l2m.py [--seeds 5] [--out out] [--fashion DIR]

Adam's second moments are nearly the curvature of the loss. So they are a posterior of the
weights for nothing: L2M (Perone and others, arXiv 2107.04695). The table has it beside the
trained weights alone (MAP), a temperature, weights that are all equally unsure, and what
does not work: a plain reading, all layers, inputs of the last layer without a LayerNorm.
The prior of each row has the least loss on held-out training digits.

The demo writes l2m.wav and l2m.png. Eight samples of the last layer play the digits that
they see, two semitones a digit: test digits, the same turned, noise, and clothes of
Fashion-MNIST, if Debian's package dataset-fashion-mnist is installed or DIR has them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from adam_posterior import Posterior
from calibration import find_accuracy, find_auroc, find_ece, find_entropy, find_nll
from digits import DEVIATION, MEAN, load_digits, load_images, load_test_digits
from seed_experiment import parse_options, print_table
from votes import HEARD, draw_votes, render_votes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HELD_OUT = 1000  # training digits that choose priors and the temperature
PRIORS = (1, 3, 10, 30, 100, 300, 1000, 3000)
TEMPERATURES = np.linspace(1, 4, 31)
FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian
MAP, L2M = "MAP", "last layer, N B v + prior"


def main() -> None:
    """Trains, prints the table, writes the sound and the picture."""
    options = parse_options(
        __doc__, seeds=5, fashion="folder with t10k-images-idx3-ubyte.gz of Fashion-MNIST"
    )
    images, labels = load_test_digits()
    kinds = {"digits": images, "turned": images.rot90(1, (2, 3)), "noise": make_noise()}
    kinds |= load_fashion(options.fashion)
    figures: dict[str, list[list[float]]] = {}
    for seed in range(options.seeds):
        rows = train(seed)
        for name, (posterior, choice) in rows.items():
            predictions = [posterior.predict(x, **choice) for x in kinds.values()]
            figures.setdefault(name, []).append(judge(predictions, labels))
        if not seed:
            posterior, choice = rows[L2M]
            votes = {
                name: posterior.sample(x, **choice, samples=HEARD).argmax(dim=2)
                for name, x in kinds.items()
            }
    means = {name: np.mean(rows, axis=0) for name, rows in figures.items()}
    strange = [*kinds][1:]
    print_table(["accuracy", "NLL", "ECE", *(f"AUROC {name}" for name in strange)], means)
    print_claims(np.array(figures[MAP]), np.array(figures[L2M]), strange)
    for name, digits in votes.items():
        notes = np.mean([len(of_image.unique()) for of_image in digits.T])
        print(f"Different notes of {HEARD} samples, {name}: {notes:.1f}.")
    render_votes(votes, options.out / "l2m.wav")
    draw_votes(kinds, votes, options.out / "l2m.png")


def train(seed: int) -> dict[str, tuple[Posterior, dict[str, Any]]]:
    """Trains with and without LayerNorm; returns how each row of the table predicts."""
    images, labels = load_digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    normal, bare = (
        Posterior(images[rest], labels[rest], seed, normalized=normalized)
        for normalized in (True, False)
    )

    def best(posterior: Posterior, choices: Iterable[dict[str, Any]]) -> Any:
        """Returns the choice with the least loss on held-out digits."""
        return posterior, min(
            choices,
            key=lambda one: find_nll(posterior.predict(images[held], **one), labels[held]),
        )

    def priors(posterior: Posterior, **kind: Any) -> Any:
        widths = (posterior.widths(prior, **kind) for prior in PRIORS)
        return best(posterior, ({"widths": one} for one in widths))

    return {
        MAP: (normal, {}),
        "MAP, temperature": best(normal, [{"temperature": t} for t in TEMPERATURES]),
        L2M: priors(normal),
        "last layer, N v + prior": priors(normal, factor=1),
        "last layer, prior alone": priors(normal, factor=0),
        "all layers, N B v + prior": priors(normal, last=False),
        "all layers, N v + 1": (normal, {"widths": normal.widths(1, factor=1, last=False)}),
        "no LayerNorm: MAP": (bare, {}),
        "no LayerNorm: last layer": priors(bare),
    }


def judge(predictions: Sequence[torch.Tensor], labels: torch.Tensor) -> list[float]:
    """Returns accuracy, NLL and ECE of digits, then the AUROC of each other kind."""
    known, *others = predictions
    entropy = find_entropy(known)
    scores = [find_auroc(entropy, find_entropy(other)) for other in others]
    return [find(known, labels) for find in (find_accuracy, find_nll, find_ece)] + scores


def make_noise() -> torch.Tensor:
    """Returns 1,000 images whose pixels are equally likely to be of any brightness."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(1000, 1, 28, 28, generator=generator) - MEAN) / DEVIATION


def load_fashion(folder: Path | None) -> dict[str, torch.Tensor]:
    """Returns clothes, or nothing if no folder is given and Debian's is not there."""
    path = (folder or FASHION) / "t10k-images-idx3-ubyte.gz"
    if folder is None and not path.exists():
        print("Without Fashion-MNIST (Debian's dataset-fashion-mnist, or --fashion DIR).")
        return {}
    try:
        return {"Fashion": load_images(path)}
    except (OSError, EOFError, ValueError, IndexError) as error:
        sys.stderr.write(f"l2m.py: --fashion needs a folder with {path.name}: {error}\n")
        sys.exit(2)


def print_claims(plain: np.ndarray, l2m: np.ndarray, strange: Sequence[str]) -> None:
    """Prints a sentence for each figure of the claim; figures have a row for each seed."""
    accuracy, nll, ece, *aurocs = np.mean(l2m - plain, axis=0)
    _, plain_nll, plain_ece, *_ = np.mean(plain, axis=0)
    print(f"ECE of L2M to MAP's: {1 + ece / plain_ece:.2f} (claim: 0.8 or less).")
    print(f"NLL of L2M to MAP's: {1 + nll / plain_nll:.2f} (claim: 1 or less).")
    print(f"Accuracy of L2M less MAP's: {accuracy:+.4f} (claim: within 0.005).")
    for column, (name, auroc) in enumerate(zip(strange, aurocs), 3):
        better = f"{(l2m > plain)[:, column].sum()} of {len(l2m)} seeds"
        print(
            f"AUROC of L2M less MAP's, {name}: {auroc:+.4f} (claim: 0 or more), "
            f"higher in {better}."
        )


if __name__ == "__main__":
    main()
