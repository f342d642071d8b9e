"""Renders samples/: the sounds, captions, pages and pictures of the documentation.

    python demos/samples.py               # renders the runs in samples/runs
    python demos/samples.py closed_loop   # runs a demo of docs/seeds.md anew before

Render them after a change of any sound; a test fails until you do. demos/five_runs.py
recorded the runs in samples/runs with seed 10, the sixth as the fifth with seed 12. In
samples/runs/seeds is what the demos of docs/seeds.md hand to `gradsound.render`: runs of
other numbers than norms, each with its preset. Trainings are not equal to the last bit on
all machines, so a test can render these runs, but cannot train them. l2m.py has all of its
sounds where Debian's package dataset-fashion-mnist is installed.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from kept_runs import decode_preset, encode_preset, write_run
from PIL import Image

import gradsound

DEMOS = Path(__file__).parent
SAMPLES, PICTURES = DEMOS.parent / "samples", DEMOS.parent / "docs" / "seeds"
RUNS = sorted((SAMPLES / "runs").glob("*.jsonl"))
FIVE = RUNS[:5]  # the runs of the post
SEEDS = SAMPLES / "runs" / "seeds"
SGD, ADAM = RUNS[1], RUNS[4]


def write_sounds(folder: Path) -> None:
    """Writes all sounds and captions of ``samples`` to a folder."""
    perone, seeds = folder / "perone2019", folder / "seeds"
    for each in (perone, seeds):
        each.mkdir(parents=True, exist_ok=True)
    for run in RUNS:
        gradsound.render(run, folder / f"{run.stem}.ogg", speed=2)
    for run in FIVE:
        gradsound.render(run, perone / f"{run.stem}.flac", preset="perone2019")
    gradsound.legend(SGD, folder / "legend.ogg")
    for path in SEEDS.glob("*.json"):
        kept = json.loads(path.read_text())
        first, *others = (_read(path, name) for name in kept["runs"])
        sound, preset = seeds / f"{path.stem}.ogg", decode_preset(kept["preset"])
        gradsound.render(first, sound, other=others or None, preset=preset)


def write_pages(folder: Path) -> None:
    """Writes a page of each run to a folder, one of two runs, and one of a drone."""
    for run in RUNS:
        gradsound.render(run, folder / f"{run.stem}.html", speed=2)
    path, title = folder / "sgd-and-adam.html", "SGD left, Adam right"
    gradsound.render(SGD, path, other=ADAM, speed=2, title=title)
    gradsound.render(SGD, folder / "ambient.html", preset="ambient")


def write_pictures(folder: Path) -> None:
    """Writes a picture of each run to a folder."""
    for run in RUNS:
        path = folder / f"{run.stem}.png"
        gradsound.plot(run, path)
        _save_small(path, path)


def keep_demo(name: str) -> None:
    """Runs a demo of docs/seeds.md, and keeps what it plays and its picture."""
    with TemporaryDirectory() as folder, patch.object(gradsound, "render", _keep_runs):
        sys.argv = [name, "--out", folder]
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
        PICTURES.mkdir(exist_ok=True)
        _save_small(Path(folder, f"{name}.png"), PICTURES / f"{name}.png")


def _save_small(path: Path, small: Path) -> None:
    """Saves a picture in 256 colours, which takes a third of the bytes."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize().save(small, optimize=True)


def _keep_runs(
    run: gradsound.Run,
    path: Path,
    *,
    preset: gradsound.Preset,
    other: gradsound.Run | None = None,
) -> None:
    """Writes the runs and the preset that a demo renders; called in place of render()."""
    SEEDS.mkdir(exist_ok=True)
    runs = [run] if other is None else [run, other]
    for one in runs:
        write_run(one, _find(path, one.name))
    kept = {"runs": [one.name for one in runs], "preset": encode_preset(preset)}
    (SEEDS / f"{path.stem}.json").write_text(json.dumps(kept, indent=1) + "\n")


def _find(path: Path, name: str) -> Path:
    """Returns the file of a run that a sound plays."""
    return SEEDS / f"{path.stem}-{name.replace(' ', '-')}.jsonl.gz"


def _read(path: Path, name: str) -> gradsound.Run:
    run = gradsound.read_run(_find(path, name))
    return gradsound.Run(run.header, run.steps, name)


if __name__ == "__main__":
    for demo in sys.argv[1:]:
        if not (DEMOS / f"{demo}.py").exists():
            sys.exit(f"samples.py: there is no demo {demo!r}; docs/seeds.md names them")
        keep_demo(demo)
    write_sounds(SAMPLES)
    write_pages(SAMPLES)
    write_pictures(SAMPLES)
