"""Renders samples/: the sounds, captions and pictures of docs/listening.md.

    python demos/samples.py

It renders the runs in samples/runs. demos/five_runs.py recorded them: the first five with
seed 10, the sixth as the fifth with seed 12. Run it after a change of any sound; a test
fails until you do.
"""

from __future__ import annotations

from pathlib import Path

import gradsound

SAMPLES = Path(__file__).parents[1] / "samples"
RUNS = sorted((SAMPLES / "runs").glob("*.jsonl"))
FIVE = RUNS[:5]  # the runs of the post


def write_sounds(folder: Path) -> None:
    """Writes all sounds and captions of ``samples`` to a folder."""
    perone = folder / "perone2019"
    perone.mkdir(parents=True, exist_ok=True)
    for run in RUNS:
        gradsound.render(run, folder / f"{run.stem}.ogg", speed=2)
    for run in FIVE:
        gradsound.render(run, perone / f"{run.stem}.flac", preset="perone2019")
    sgd, adam = RUNS[1], RUNS[4]
    gradsound.render(sgd, folder / "sgd-and-adam.ogg", other=adam, speed=2)
    gradsound.render(sgd, folder / "ambient.ogg", preset="ambient")
    gradsound.legend(sgd, folder / "legend.ogg")


def write_pictures(folder: Path) -> None:
    """Writes a picture of each run to a folder."""
    for run in RUNS:
        gradsound.plot(run, folder / f"{run.stem}.png")


if __name__ == "__main__":
    write_sounds(SAMPLES)
    write_pictures(SAMPLES)
