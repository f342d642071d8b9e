"""The demos of frameworks, run as a newcomer runs them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import gradsound

ENVIRONMENT = os.environ | {"HF_HUB_OFFLINE": "1"}
DEMOS = Path(__file__).parents[2] / "demos"
RANKS = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.mark.parametrize(
    ("demo", "stem", "steps", "clipped"),
    [
        ("lightning_fit", "lightning", 64, True),
        ("huggingface_trainer", "gpt2", 64, True),
        ("accelerate_loop", "accelerate", 32, True),
        ("torchrun_ddp", "ddp", 50, False),
    ],
)
def test_a_demo_leaves_its_run_and_its_sound(
    tmp_path: Path, demo: str, stem: str, steps: int, clipped: bool
) -> None:
    """And says so, with what it came to; nothing is asked of any network."""
    launcher = RANKS if demo == "torchrun_ddp" else []
    done = subprocess.run(
        [sys.executable, *launcher, str(DEMOS / f"{demo}.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = gradsound.read_run(tmp_path / f"{stem}.jsonl")
    recorded = [*run.steps]
    losses = [step.values["loss"] for step in recorded if "loss" in step.values]

    assert f"{steps} steps" in done.stdout
    assert f"hear {stem}.wav" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} - {"gpt2"} == {
        f"{stem}.{ending}" for ending in ("jsonl", "wav", "vtt")
    }
    assert [step.number for step in recorded] == [*range(steps)]
    assert all(np.isfinite(step.norms).all() for step in recorded)
    assert soundfile.info(tmp_path / f"{stem}.wav").duration > steps * 0.2
    assert len(losses) >= steps - 1
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    raw = [step.raw is not None and np.linalg.norm(step.raw) > 1.01 for step in recorded]
    applied = [np.linalg.norm(step.norms) for step in recorded]
    assert any(raw) == clipped
    assert not clipped or max(applied) < 1.0001


def test_the_demo_of_dashboards(tmp_path: Path) -> None:
    """The run is in all four, as what reads them finds it there."""
    done = subprocess.run(
        [sys.executable, str(DEMOS / "dashboards.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (kept,) = tmp_path.glob("wandb/offline-run-*/files/media/audio/*.wav")
    sound, rate = soundfile.read(kept)
    (in_tensorboard,) = events.Audio("gradsound/sound")
    html = (tmp_path / "run.html").read_text()

    assert in_tensorboard.length_frames == len(sound) > 10 * rate
    assert in_tensorboard.step == 49
    assert events.Tags()["images"] == ["gradsound/picture"]
    assert np.abs(sound).max() > 0.05
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "50 steps in" in html
    assert "<audio controls src=" in html
