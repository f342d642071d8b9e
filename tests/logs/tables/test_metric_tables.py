"""Folders of one table a value, as DVCLive 3.49, DeepSpeed and TensorBoard's page save."""

from __future__ import annotations

import csv
import os
from functools import partial
from pathlib import Path

import pytest
from helpers.growing import list_entries, read_growing

from gradsound.logs.tables import metric_tables


def dvclive_log(folder: Path, name: str, step: int, value: float, time: int = 0) -> None:
    """Writes a row as `dvclive.plots.metric.Metric.dump` does; the time in milliseconds."""
    path = folder / "plots" / "metrics" / f"{name}.tsv"
    path.parent.mkdir(exist_ok=True, parents=True)
    row = {"timestamp": time} if time else {}
    row |= {"step": step, os.path.basename(name): value}  # noqa: PTH119 - as DVCLive does
    existed = path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, row.keys(), delimiter="\t", lineterminator="\n")
        if not existed:
            writer.writeheader()
        writer.writerow(row)


class DeepSpeedMonitor:
    """Writes tables as `deepspeed.monitor.csv_monitor` does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, set[str]()

    def write(self, name: str, value: float, step: int) -> None:
        """Writes a row, and a header if this run has not written one."""
        file_name = name.replace("/", "_").replace(" ", "_")
        with (self.folder / f"{file_name}.csv").open("a+") as file:
            writer = csv.writer(file)
            if file_name not in self.names:
                self.names.add(file_name)
                writer.writerow(["step", name.split("/")[-1]])
            writer.writerow([step, value])


def read_all(folder: Path) -> list[tuple[str, float | None, float]]:
    """Returns the entries in a folder."""
    names = [path.name for path in folder.iterdir()]
    assert metric_tables.is_run_folder(folder, names)
    parts = metric_tables.read(folder, pytest.fail)
    return [entry for part in parts if part is not None for entry in list_entries(part)]


def test_dvclive(tmp_path: Path) -> None:
    """The path of a table in the folder names its value; times are in milliseconds."""
    for step in range(2):
        dvclive_log(tmp_path, "train/grad_norm", step, step / 3, 1_700_000_000_000 + step)
        dvclive_log(tmp_path, "loss", step, step / 7)
    (tmp_path / "metrics.json").write_text("{}")
    parts = [part for part in metric_tables.read(tmp_path, pytest.fail) if part is not None]

    assert read_all(tmp_path) == [
        *(("loss", k, k / 7) for k in range(2)),
        *(("train/grad_norm", k, k / 3) for k in range(2)),
    ]
    assert parts[1].times.tolist() == pytest.approx([1.7e9, 1.7e9 + 1e-3], abs=1e-6)


def test_deepspeed_after_a_resume(tmp_path: Path) -> None:
    """Each run of a training writes the header again; the name is its last part."""
    for begin in (0, 2):
        monitor = DeepSpeedMonitor(tmp_path)
        for step in range(begin, begin + 2):
            monitor.write("Train/Samples/train_loss", step / 7, step)
            monitor.write("Train/Samples/grad_norm", step / 3, step)

    assert read_all(tmp_path) == [
        *(("grad_norm", k, k / 3) for k in range(4)),
        *(("train_loss", k, k / 7) for k in range(4)),
    ]


def test_two_values_of_one_last_part_keep_their_names(tmp_path: Path) -> None:
    """If the last parts of names are the same, the names of the files tell them apart."""
    monitor = DeepSpeedMonitor(tmp_path)
    for name in ("Train/loss", "Eval/loss", "Train/lr"):
        monitor.write(name, 1.0, 0)

    assert read_all(tmp_path) == [("Eval_loss", 0, 1), ("Train_loss", 0, 1), ("lr", 0, 1)]


def test_tables_that_tensorboard_saved(tmp_path: Path) -> None:
    """The names of the files name the values."""
    for name in ("loss", "grad_norm"):
        text = f"Wall time,Step,Value\n1700000000.5,3,{len(name)}\n"
        (tmp_path / f"run-a-tag-{name}.csv").write_text(text)

    assert read_all(tmp_path) == [("grad_norm", 3, 9), ("loss", 3, 4)]


def test_tables_that_grow(tmp_path: Path) -> None:
    """Rows come from all tables, and from tables that come later."""
    log = partial(dvclive_log, tmp_path)
    log("grad_norm", 0, 1.0)

    def log_both() -> None:
        log("grad_norm", 1, 2.0)
        log("loss", 1, 3.0)

    seen = read_growing(
        lambda wait: metric_tables.read(tmp_path, pytest.fail, wait),
        log_both,
        lambda: None,
        lambda: log("loss", 2, 4.0),
    )
    assert seen == [
        [("grad_norm", 0, 1)],
        [("grad_norm", 1, 2), ("loss", 1, 3)],
        [],
        [("loss", 2, 4)],
    ]


def test_a_torn_table_is_reported(tmp_path: Path) -> None:
    """When the log ends, each table reports its last line."""
    (tmp_path / "loss.csv").write_text("step,loss\n0,1\n1")
    reports: list[str] = []

    assert [*metric_tables.read(tmp_path, reports.append)][-1] is None
    assert reports == ["loss.csv: line 3 is torn, left out"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.csv", "step,loss,grad_norm\n0,1,2\n"),
        ("loss.csv", "name,loss\nA,1\n"),
        ("prices.csv", "step,loss\n0,1\n"),
        ("key.csv", "step,key,value\n0,a,1\n"),
        ("loss.txt", "step,loss\n0,1\n"),
        ("empty.csv", ""),
    ],
)
def test_other_folders(tmp_path: Path, name: str, text: str) -> None:
    """A table of several values, or with another name than its value, is none of these."""
    (tmp_path / name).write_text(text)

    assert not metric_tables.is_run_folder(tmp_path, [name])


def test_a_table_that_stays_is_opened_once(tmp_path: Path, monkeypatch) -> None:
    """A look at a folder that grows opens only the tables that changed since the last."""
    log, opened = partial(dvclive_log, tmp_path), list[str]()
    log("grad_norm", 0, 1.0)
    log("loss", 0, 2.0)
    read_name = metric_tables._read_name

    def note(table: Path) -> str | None:
        opened.append(table.stem)
        return read_name(table)

    monkeypatch.setattr(metric_tables, "_read_name", note)
    read_growing(
        lambda wait: metric_tables.read(tmp_path, pytest.fail, wait),
        lambda: None,
        lambda: log("loss", 1, 3.0),
        lambda: None,
    )
    assert sorted(opened) == ["grad_norm", "loss", "loss"]
