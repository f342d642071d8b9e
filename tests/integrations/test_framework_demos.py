"""The demos of frameworks, each run as a script."""

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
def test_a_demo_writes_its_run_and_its_sound(
    tmp_path: Path, demo: str, stem: str, steps: int, clipped: bool
) -> None:
    """A demo writes its files and prints its last loss, without a network."""
    launcher = RANKS if demo == "torchrun_ddp" else []
    process = subprocess.run(
        [sys.executable, *launcher, str(DEMOS / f"{demo}.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    run = gradsound.read_run(tmp_path / f"{stem}.jsonl")
    steps_of_run = [*run.steps]
    losses = [step.values["loss"] for step in steps_of_run if "loss" in step.values]

    assert f"{steps} steps" in process.stdout
    assert f"hear {stem}.wav" in process.stdout
    assert {path.name for path in tmp_path.iterdir()} - {"gpt2"} == {
        f"{stem}.{ending}" for ending in ("jsonl", "wav", "vtt")
    }
    assert [step.number for step in steps_of_run] == [*range(steps)]
    assert all(np.isfinite(step.norms).all() for step in steps_of_run)
    assert soundfile.info(tmp_path / f"{stem}.wav").duration > steps * 0.2
    assert len(losses) >= steps - 1
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    raw = [
        step.raw is not None and np.linalg.norm(step.raw) > 1.01 for step in steps_of_run
    ]
    applied = [np.linalg.norm(step.norms) for step in steps_of_run]
    assert any(raw) == clipped
    assert not clipped or max(applied) < 1.0001


def test_the_dashboards_demo(tmp_path: Path) -> None:
    """TensorBoard, W&B, matplotlib and the notebook page each have the run."""
    process = subprocess.run(
        [sys.executable, str(DEMOS / "dashboards.py")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (wandb_file,) = tmp_path.glob("wandb/offline-run-*/files/media/audio/*.wav")
    sound, rate = soundfile.read(wandb_file)
    (tensorboard_clip,) = events.Audio("gradsound/sound")
    html = (tmp_path / "run.html").read_text()

    assert tensorboard_clip.length_frames == len(sound) > 10 * rate
    assert tensorboard_clip.step == 49
    assert events.Tags()["images"] == ["gradsound/picture"]
    assert np.abs(sound).max() > 0.05
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "50 steps in" in html
    assert "<audio controls src=" in html
