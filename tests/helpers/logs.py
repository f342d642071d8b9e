"""Makes logs of other tools, with these tools where they are installed."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.records import field, leveldb_file

from gradsound.logs.log import Log
from gradsound.logs.scalars import make_scalars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gradsound.logs.row import OnDamage, Row
    from gradsound.logs.scalars import Scalars, WaitForMore

# In the form of published files: float16 overflows, and Trainer logs a NaN loss as 0.
PUBLISHED = """{
  "best_metric": null,
  "epoch": 1.0,
  "global_step": 4,
  "log_history": [
    {
      "epoch": 0.25,
      "grad_norm": 33.36528015136719,
      "learning_rate": 6.666666666666667e-06,
      "loss": 14577.9766,
      "step": 1
    },
    {
      "epoch": 0.5,
      "grad_norm": NaN,
      "learning_rate": 5e-06,
      "loss": 0.0,
      "step": 2
    },
    {
      "epoch": 0.5,
      "eval_loss": NaN,
      "eval_runtime": 0.6448,
      "step": 2
    },
    {
      "epoch": 0.75,
      "eval_loss": 0.125,
      "step": 3
    },
    {
      "epoch": 1.0,
      "loss": 0.0,
      "step": 3
    },
    {
      "epoch": 1.0,
      "grad_norm": Infinity,
      "loss": 0.0,
      "remaining_time": "59h:30m:19s",
      "step": 4
    },
    {
      "epoch": 1.0,
      "step": 4,
      "train_loss": 0.11943,
      "train_runtime": 80.2776
    }
  ],
  "logging_steps": 1,
  "stateful_callbacks": {"TrainerControl": {"args": {"should_log": false}}},
  "trial_name": null
}
"""


def log_of(rows: Iterable[Row]) -> Log:
    """Returns a log that has these rows."""

    def read(_: OnDamage, wait_for_more: WaitForMore) -> Iterator[Scalars | None]:
        remaining = iter(rows)
        while piece := [*islice(remaining, 16)]:
            yield make_scalars(piece)
        yield None
        wait_for_more()

    return Log(Path("made"), read, "made", Path("made"))


def write_events(folder: Path, steps: range, factor: float = 1.0) -> None:
    """Writes an event file with torch."""
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(folder))
    for step in steps:
        writer.add_scalar("grad_norm/fc1", factor / (step + 1), step)
        if step % 2:
            writer.add_scalar(
                "grad_norm/fc2", factor * np.nan if step == 3 else 1 / 3, step
            )
        writer.add_scalar("train/loss", -factor * step, step)
    writer.add_histogram("h", np.arange(9.0), 1)
    writer.add_text("t", "text", 1)
    writer.add_image("i", np.zeros((3, 999, 999), np.uint8), 1)
    writer.add_scalar("grad_norm/fc1", 7.0, steps.stop)
    writer.close()


WANDB = """
import sys
import wandb

settings = wandb.Settings(console="off", silent=True)
with wandb.init(mode="offline", dir=sys.argv[1], settings=settings) as run:
    for step in range(5):
        run.log({f"grad_norm/layers.{k}.{'x' * 30}": (step + k) / 3 for k in range(2000)})
with wandb.init(mode="offline", dir=sys.argv[2], settings=settings) as run:
    run.log({"before": 1})
    for step in range(10, 40, 10):
        norm = {20: float("nan"), 30: float("inf")}.get(step, step / 7)
        nested = {"a": step / 3, "b": "text", "c": wandb.Histogram([1, 2])}
        run.log({"train/grad_norm": norm, "train/loss": 1 / 3, "train/global_step": step})
        run.log({"nested": nested, "true": True})
"""


@pytest.fixture(scope="module")
def wandb_runs(tmp_path_factory) -> tuple[Path, Path]:
    """Returns two folders, each with an offline run of W&B."""
    pytest.importorskip("wandb")
    folders = tmp_path_factory.mktemp("long"), tmp_path_factory.mktemp("trainer")
    subprocess.run([sys.executable, "-c", WANDB, *map(str, folders)], check=True)
    return folders


def mlflow_run(folder: Path) -> Path:
    """Writes a run in the layout of MLflow's file store; returns its folder."""
    run = folder / "mlruns" / "0" / "2d5e4c9ab8f04c1e8f3a5b6c7d8e9f00"
    (run / "metrics" / "grad_norm").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: 2d5e4c9ab8f04c1e8f3a5b6c7d8e9f00\n")
    (run.parent / "meta.yaml").write_text("experiment_id: '0'\n")
    for layer in (2, 10):
        (run / "metrics" / "grad_norm" / f"layers.{layer}").write_text(
            "".join(f"{1700000000000 + 500 * k} {layer / (k + 1)} {k}\n" for k in range(5))
        )
    (run / "metrics" / "loss").write_text("1700000000100 nan 0\n1700000002000 0.5 4 d x\n")
    return run


def wandb_entry(items: Mapping[str, str], step: int) -> bytes:
    """Encodes a record of W&B's history, with JSON texts by name."""
    encoded = b"".join(
        field(1, field(2, name.encode()) + field(16, text.encode()))
        for name, text in items.items()
    )
    return field(2, encoded + field(2, field(1, step)))


def wandb_file(records: Iterable[bytes]) -> bytes:
    """Returns a run file of W&B."""
    return leveldb_file(b":W&B\xe1\xbe\0", records)
