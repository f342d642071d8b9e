"""The samples of docs/listening.md: sounds, captions and pictures of the runs beside them.

    python demos/samples.py

Writes them anew from samples/runs, which demos/five_runs.py recorded: the first five with
seed 10, the sixth is its fifth with seed 12. To be run when something sounds otherwise; a
test fails until then.
"""

from __future__ import annotations

from pathlib import Path

import gradsound

SAMPLES = Path(__file__).parents[1] / "samples"
RUNS = sorted((SAMPLES / "runs").glob("*.jsonl"))
FIVE = RUNS[:5]  # those of the post


def write_sounds(folder: Path) -> None:
    """All sounds and their captions, as in ``samples``."""
    old = folder / "perone2019"
    old.mkdir(parents=True, exist_ok=True)
    for run in RUNS:
        gradsound.render(run, folder / f"{run.stem}.ogg", speed=2)
    for run in FIVE:
        gradsound.render(run, old / f"{run.stem}.flac", preset="perone2019")
    sgd, adam = RUNS[1], RUNS[4]
    gradsound.render(sgd, folder / "sgd-and-adam.ogg", other=adam, speed=2)
    gradsound.render(sgd, folder / "ambient.ogg", preset="ambient")
    gradsound.legend(sgd, folder / "legend.ogg")


def write_pictures(folder: Path) -> None:
    """A picture of each run."""
    for run in RUNS:
        gradsound.plot(run, folder / f"{run.stem}.png")


if __name__ == "__main__":
    write_sounds(SAMPLES)
    write_pictures(SAMPLES)
