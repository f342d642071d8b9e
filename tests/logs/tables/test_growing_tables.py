"""Tables that grow while they are read, or are written anew."""

from __future__ import annotations

import csv as python_csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.growing import Entry, read_growing

from gradsound.logs.tables import csv


def follow(path: Path, *texts: str, damage: list[str] | None = None) -> list[list[Entry]]:
    """Returns what the reader yields of each successive content of a table."""
    reports: list[str] = []
    path.write_text(texts[0])
    edits = [partial(path.write_text, text) for text in texts[1:]]
    seen = read_growing(lambda wait: csv.read(path, reports.append, wait), *edits)
    assert reports == (damage or [])
    return seen


def test_rows_that_are_appended_are_read(tmp_path: Path) -> None:
    """A line is read when it is whole; the header too may come late."""
    texts = [
        "st",
        "step,norm\n0,1\n1,",
        "step,norm\n0,1\n1,2\n2,3",
        "step,norm\n0,1\n1,2\n2,3\n",
    ]
    assert follow(tmp_path / "x.csv", *texts) == [
        [],
        [("norm", 0, 1)],
        [("norm", 1, 2)],
        [("norm", 2, 3)],
    ]


def test_a_line_that_is_torn_in_the_end_is_reported(tmp_path: Path) -> None:
    """While the table may grow, a part of a line is no damage."""
    seen = follow(
        tmp_path / "x.csv",
        "step,norm\n0,1\n1",
        "step,norm\n0,1\n1,5\n2",
        damage=["line 4 is torn, left out"],
    )
    assert seen == [[("norm", 0, 1)], [("norm", 1, 5)]]


def test_a_column_that_comes_later(tmp_path: Path) -> None:
    """Of a table that is written anew, only rows that are new are read."""
    assert follow(
        tmp_path / "x.csv",
        "step,norm\n0,1\n1,2\n",
        "loss,norm,step\n,1,0\n,2,1\n7,3,2\n",
        "loss,norm,step,x\n,1,0,\n,2,1,\n7,3,2,\n,4,3,8\n",
    ) == [
        [("norm", 0, 1), ("norm", 1, 2)],
        [("loss", 2, 7), ("norm", 2, 3)],
        [("norm", 3, 4), ("x", 3, 8)],
    ]


def test_cells_of_the_last_row_that_come_later(tmp_path: Path) -> None:
    """Of the last row that is known, only cells that are new are read."""
    assert follow(
        tmp_path / "x.csv",
        "step,norm,loss\n0,1,2\n1,nan,\n",
        "step,norm,loss\n0,1,2\n1,nan,5\n2,3,4\n",
    ) == [
        [("norm", 0, 1), ("loss", 0, 2), pytest.approx(("norm", 1, np.nan), nan_ok=True)],
        [("loss", 1, 5), ("norm", 2, 3), ("loss", 2, 4)],
    ]


def test_a_table_that_is_emptied_and_filled_again(tmp_path: Path) -> None:
    """While it is written anew, a table may have fewer rows; they are known."""
    assert follow(
        tmp_path / "x.csv",
        "step,norm\n0,1\n1,2\n2,3\n",
        "",
        "step,norm,loss\n0,1,\n",
        "norm,step,loss\n1,0,\n",
        "norm,loss,step\n1,,0\n2,,1\n3,,2\n4,5,3\n",
    ) == [
        [("norm", 0, 1), ("norm", 1, 2), ("norm", 2, 3)],
        [],
        [],
        [],
        [("norm", 3, 4), ("loss", 3, 5)],
    ]


def test_another_training_in_the_same_table(tmp_path: Path) -> None:
    """From the first row on that is another, all rows are new."""
    assert follow(
        tmp_path / "x.csv",
        "step,norm\n0,1\n1,2\n2,3\n",
        "step,norm\n0,1\n1,9\n",
        "step,norm\n0,1\n1,9\n2,8\n",
    ) == [
        [("norm", 0, 1), ("norm", 1, 2), ("norm", 2, 3)],
        [("norm", 1, 9)],
        [("norm", 2, 8)],
    ]


def test_columns_of_a_long_table_that_change_their_names(tmp_path: Path) -> None:
    """The begin tells that a table was written anew, if its end is the same."""
    rows = "".join(f"{k},1\n" for k in range(2000))
    texts = [f"step,norm\n{rows}", f"step,loss\n{rows}", f"step,loss\n{rows}2000,1\n"]

    seen = follow(tmp_path / "x.csv", *texts)
    assert [len(part) for part in seen] == [2000, 0, 1]
    assert seen[2] == [("loss", 2000, 1)]


def test_a_table_that_is_replaced_by_a_file(tmp_path: Path) -> None:
    """A file that was renamed over the table is the table; without one, nothing comes."""
    path, new = tmp_path / "x.csv", tmp_path / "new"
    path.write_text("step,norm\n0,1\n")
    new.write_text("step,norm\n0,1\n1,2\n")
    read = partial(csv.read, path, pytest.fail)
    seen = read_growing(
        read, lambda: path.rename(tmp_path / "old"), lambda: new.rename(path)
    )

    assert seen == [[("norm", 0, 1)], [], [("norm", 1, 2)]]


@pytest.mark.parametrize("again", ["step,norm", "norm,step", "step,loss,norm"])
def test_a_header_in_the_middle_begins_a_table(tmp_path: Path, again: str) -> None:
    """A training that was resumed writes a header again, with the same or other columns."""
    cells = {"step": "1", "norm": "5", "loss": "7"}
    row = ",".join(cells[name] for name in again.split(","))
    (entries,) = follow(tmp_path / "x.csv", f"step,norm\n0,1\n1,2\n{again}\n{row}\n")

    values = [(name, 1, float(cells[name])) for name in again.split(",") if name != "step"]
    assert entries == [("norm", 0, 1), ("norm", 1, 2), *values]


def test_durations_add_up_over_a_header_in_the_middle(tmp_path: Path) -> None:
    """The clock of a resumed training goes on."""
    (tmp_path / "x.csv").write_text(
        "step,norm,step_time\n0,1,2\n1,1,3\nstep,norm,step_time\n"
        "step,step_time,norm\n2,4,1\n"
    )
    (scalars, *_) = parts = [
        part for part in csv.read(tmp_path / "x.csv", pytest.fail) if part is not None
    ]

    assert scalars.names == ["norm"]
    assert np.concatenate([part.times for part in parts]).tolist() == [2, 5, 9]


def test_lightning_while_it_logs(tmp_path: Path) -> None:
    """Lightning writes a table anew for each new column; each cell comes once."""
    logger = pytest.importorskip("lightning.pytorch.loggers").CSVLogger(str(tmp_path))
    path = Path(logger.log_dir) / "metrics.csv"
    logged = [
        {"grad_norm/fc1": 1 / 3},
        {"grad_norm/fc1": 2 / 3, "loss": 1 / 7},
        {"val_loss": 2 / 7},
        {"grad_norm/fc1": 1 / 9, "a": 4.0},
    ]

    def log(step: int) -> None:
        logger.log_metrics(logged[step], step)
        logger.save()

    log(0)
    edits = [partial(log, step) for step in range(1, 4)]
    seen = read_growing(lambda wait: csv.read(path, pytest.fail, wait), *edits)

    assert [{name: value for name, _, value in part} for part in seen] == logged
    assert [{step for _, step, _ in part} for part in seen] == [{0}, {1}, {2}, {3}]


def test_a_table_of_python_on_windows(tmp_path: Path) -> None:
    """A carriage return and a newline end a line, also if a read ends between them."""
    path = tmp_path / "x.csv"

    def append(data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    append(b"step,norm\r\n0,1\r")
    seen = read_growing(
        lambda wait: csv.read(path, pytest.fail, wait),
        partial(append, b"\n1,2\r\n2,"),
        partial(append, b"3\r\n"),
    )
    assert [entry for part in seen for entry in part] == [
        ("norm", k, k + 1) for k in range(3)
    ]
    with path.open(newline="") as file:
        assert len([*python_csv.reader(file)]) == 4
