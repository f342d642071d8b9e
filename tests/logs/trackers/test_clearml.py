"""Offline runs of ClearML: scalars are read from a folder, a zip file, the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers.tracker_logs import (
    BEGIN,
    clearml_event,
    clearml_lines,
    entries_of,
    make_zip,
)

from gradsound.logs.trackers import clearml
from gradsound.logs.trackers.zip_file import read_names

if TYPE_CHECKING:
    from pathlib import Path


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def names_of(path: Path) -> list[str]:
    """Returns the names of all entries."""
    return [name for name, *_ in entries_of(clearml.read(path, refuse))]


@pytest.mark.parametrize("kind", ["folder", "zip", "file"])
def test_scalars_come_as_they_were_logged(tmp_path: Path, kind: str) -> None:
    """Names, steps, times and values are kept, wherever the file of metrics lies."""
    batches = [clearml_event("grad_norm", "fc1", step, step / 3) for step in range(3)]
    lines = clearml_lines(batches[:2], batches[2:])
    path = tmp_path / "offline-1.zip"
    make_zip(path, {"task.json": b"{}", "metrics.jsonl": lines, "log.jsonl": b""})
    if kind != "zip":
        (tmp_path / "metrics.jsonl").write_bytes(lines)
        path = tmp_path if kind == "folder" else tmp_path / "metrics.jsonl"
    assert [*entries_of(clearml.read(path, refuse))] == [
        ("grad_norm/fc1", step, BEGIN + step / 2, step / 3) for step in range(3)
    ]


@pytest.mark.parametrize(
    ("title", "series", "name"),
    [
        ("grad_2.0_norm", "fc1.weight", "grad_2.0_norm/fc1.weight"),
        ("loss", "loss", "loss"),
        ("grad_norm", "train", "train/grad_norm"),  # as the Trainer's integration has it
        ("loss", "eval", "eval/loss"),
        ("train", "loss", "train/loss"),
    ],
)
def test_title_and_series_become_a_name(tmp_path, title, series, name) -> None:
    """A slash joins them; the series train and eval come first."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(clearml_lines([clearml_event(title, series, 0, 1.0)]))
    assert names_of(path) == [name]


def test_plots_and_the_summary_are_left_out(tmp_path: Path) -> None:
    """A summary has no step: ClearML gives it the lowest number of 32 bits."""
    plot = {**clearml_event("hist", "x", 0, 1.0), "type": "plot", "plot_str": "{}"}
    summary = clearml_event("Summary", "best", -(2**31), 1.0)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(clearml_lines([plot, summary], [clearml_event("a", "a", 0, 1.0)]))
    assert names_of(path) == ["a"]


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[1]", b'[{"type": "training_stats_scalar"}]', b"null", b'[{"type": [1]}]'],
    ids=repr,
)
def test_other_json_is_passed_over(tmp_path: Path, line: bytes) -> None:
    """A line of another form is no event."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line + b"\n" + clearml_lines([clearml_event("a", "a", 0, 1.0)]))
    assert names_of(path) == ["a"]


def test_a_run_is_followed_before_its_first_metric(tmp_path: Path) -> None:
    """ClearML makes the file of metrics seconds after the folder."""
    path, batches = tmp_path / "metrics.jsonl", iter([None, [0.5], [1.5, 2.5]])

    def grow() -> bool:
        values = next(batches, ())
        if values:
            with path.open("ab") as file:
                file.write(clearml_lines(clearml_event("a", "a", 0, x) for x in values))
        return values != ()

    groups = [
        None if piece is None else piece.values.tolist()
        for piece in clearml.read(tmp_path, refuse, grow)
    ]
    assert groups == [None, None, [0.5], None, [1.5, 2.5], None]


def test_offline_runs_are_known_by_their_files(tmp_path: Path) -> None:
    """A folder and a zip file have the same files; the file of metrics has its begin."""
    make_zip(tmp_path / "x.zip", {"task.json": b"{}", "metrics.jsonl": b""})
    assert clearml.is_offline_run(read_names(tmp_path / "x.zip"))
    assert clearml.is_offline_run(["task.json", "log.jsonl", "data"])
    assert not clearml.is_offline_run(["task.json"])
    assert not clearml.is_offline_run(["metrics.jsonl"])
    assert clearml.is_metrics_file(clearml_lines([clearml_event("a", "a", 0, 1.0)]))
    assert not clearml.is_metrics_file(b'[{"timestamp": 1}]\n')
