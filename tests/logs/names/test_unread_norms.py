"""A norm that is no number is left out with a report, whichever tool wrote it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers.event_files import event, event_file, simple
from helpers.logs import mlflow_run, wandb_entry, wandb_file
from helpers.records import field, leveldb_file
from helpers.tracker_logs import (
    add_mlflow_run,
    clearml_event,
    clearml_lines,
    comet_lines,
    log_mlflow,
    log_neptune,
    log_trackio,
    make_mlflow_database,
    make_neptune_database,
    make_trackio_database,
    neptune_snapshot,
    swanlab_line,
)

from gradsound import read_run
from gradsound.errors import GradsoundWarning
from gradsound.logs.names.unread_norms import may_be_norm

# Each writes a log with the norms 0.5 and 0.25 at steps 1 and 3, and with one that is no
# number, and returns its path.


def write_csv(folder: Path) -> Path:
    rows = ["step,grad_norm,note", "1,0.5,a", "2,None,b", "3,0.25,c"]
    (folder / "x.csv").write_text("\n".join(rows))
    return folder / "x.csv"


def write_long_table(folder: Path) -> Path:
    rows = ["run_id,key,value,step", "a,grad_norm,0.5,1", "a,grad_norm,None,2"]
    rows += ["a,note,text,2", "a,grad_norm,0.25,3"]
    (folder / "x.csv").write_text("\n".join(rows))
    return folder / "x.csv"


def write_state(folder: Path) -> Path:
    entries = [
        {"step": step, "grad_norm": norm, "note": "text"}
        for step, norm in enumerate((0.5, None, 0.25), 1)
    ]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": entries}))
    return folder / "trainer_state.json"


def write_json_lines(folder: Path) -> Path:
    entries = [
        {"step": step, "grad_norm": norm, "note": "text"}
        for step, norm in enumerate((0.5, "None", 0.25), 1)
    ]
    (folder / "x.jsonl").write_text("".join(json.dumps(x) + "\n" for x in entries))
    return folder / "x.jsonl"


def write_console(folder: Path) -> Path:
    lines = [f"step {k} | grad_norm {n}\n" for k, n in ((1, 0.5), (2, None), (3, 0.25))]
    (folder / "x.log").write_text("".join(lines))
    return folder / "x.log"


def write_early_console(folder: Path) -> Path:
    """Its first line with a step already has the norm that is none."""
    lines = ["iter 0: grad norm: n/a", "iter 1: grad norm: 0.5", "iter 3: grad norm: 0.25"]
    (folder / "x.log").write_text("\n".join([*lines, ""]))
    return folder / "x.log"


def write_blocks(folder: Path) -> Path:
    blocks = [
        f"[step={k}/9,epoch=1]\n    CE loss=2\n    total grad norm={n}\n"
        for k, n in ((1, 0.5), (2, "None"), (3, 0.25))
    ]
    (folder / "x.log").write_text("".join(blocks))
    return folder / "x.log"


def write_wandb(folder: Path) -> Path:
    records = [
        wandb_entry({"grad_norm": text, "note": '"text"', "_step": str(step)}, step)
        for step, text in enumerate(("0.5", "null", "0.25"), 1)
    ]
    (folder / "run-1.wandb").write_bytes(wandb_file(records))
    return folder / "run-1.wandb"


def write_unusual_wandb(folder: Path) -> Path:
    """One text is no JSON, so all records are parsed one by one."""
    records = [
        wandb_entry({"grad_norm": text, "_step": str(step)}, step)
        for step, text in enumerate(("0.5", "null", "0.25"), 1)
    ]
    records.append(wandb_entry({"x": '"' + "x" * 200 + '"', "grad_norm": "null"}, 2))
    (folder / "run-1.wandb").write_bytes(wandb_file(records))
    return folder / "run-1.wandb"


def write_mlflow(folder: Path) -> Path:
    run = mlflow_run(folder)
    (run / "metrics" / "grad_norm" / "layers.2").write_text("1 0.5 1\n2 None 2\n3 0.25 3\n")
    return run


def write_mlflow_database(folder: Path) -> Path:
    path = folder / "mlflow.db"
    make_mlflow_database(path)
    add_mlflow_run(path, "a1", "able-cat")
    log_mlflow(path, "a1", "grad_norm", {1: 0.5, 2: float("nan"), 3: 0.25})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE metrics SET value = 'None', is_nan = 0 WHERE step = 2")
    return path


def write_trackio(folder: Path) -> Path:
    path = folder / "project.db"
    make_trackio_database(path)
    norms = ((1, 0.5), (2, None), (3, 0.25))
    log_trackio(path, "a", "first", {k: {"grad_norm": n, "note": "text"} for k, n in norms})
    return path


def write_neptune(folder: Path) -> Path:
    path = folder / "run.sqlite3"
    make_neptune_database(path, "a", "first")
    log_neptune(path, {1: {"grad_norm": 0.5}})
    text = field(8, field(1, "grad_norm") + field(2, field(4, "None")))
    operation = neptune_snapshot(2, {}) + text
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "INSERT INTO run_operations VALUES (NULL, 0, 0, ?, ?)",
            (operation, len(operation)),
        )
    log_neptune(path, {3: {"grad_norm": 0.25}})
    return path


def write_swanlab(folder: Path) -> Path:
    norms = enumerate((0.5, "None", 0.25), 1)
    lines = [swanlab_line("grad_norm", step, norm) for step, norm in norms]
    (folder / "x.swanlab").write_bytes(leveldb_file(b":SWL\xd6\xe1\0", lines))
    return folder / "x.swanlab"


def write_clearml(folder: Path) -> Path:
    events = [clearml_event("grad_norm", "train", k, 1 / (k + 1)) for k in (1, 2, 3)]
    events[1]["value"] = None
    (folder / "task.json").write_text("{}")
    (folder / "metrics.jsonl").write_bytes(clearml_lines(events))
    return folder


def write_comet(folder: Path) -> Path:
    (folder / "experiment.json").write_text("{}")
    lines = comet_lines("grad_norm", {1: 0.5, 2: "None", 3: 0.25})
    (folder / "messages.json").write_bytes(lines)
    return folder


@pytest.mark.parametrize(
    ("write", "report"),
    [
        (write_csv, "line 3 has 'None' for 'grad_norm', left out"),
        (write_long_table, "line 3 has 'None' for 'grad_norm', left out"),
        (write_state, "'grad_norm' is null at step 2, left out"),
        (write_json_lines, "'grad_norm' is 'None' at step 2, left out"),
        (write_console, "line 2 has 'None' for 'grad_norm', left out"),
        (write_early_console, "line 1 has 'n/a' for 'grad norm', left out"),
        (write_blocks, "line 6 has 'None' for 'total grad norm', left out"),
        (write_wandb, "'grad_norm' is null at step 2, left out"),
        (write_unusual_wandb, "'grad_norm' is null at step 2, left out (and 1 more)"),
        (write_mlflow, "line 2 of grad_norm/layers.2 is torn or damaged, left out"),
        (write_mlflow_database, "'grad_norm' is 'None' at step 2, left out"),
        (write_trackio, "'grad_norm' is null at step 2, left out"),
        (write_neptune, "'grad_norm' is 'text' at step 2, left out"),
        (write_swanlab, "'grad_norm' is 'None' at step 2, left out"),
        (write_clearml, "'train/grad_norm' is null at step 2, left out"),
        (write_comet, "'grad_norm' is 'None' at step 2, left out"),
    ],
)
def test_a_norm_that_is_no_number_is_reported(
    write: Callable[[Path], Path], report: str, tmp_path: Path
) -> None:
    """A norm that is no number is in the one warning; texts of other names are not."""
    path = write(tmp_path)
    with pytest.warns(GradsoundWarning) as warned:
        run = read_run(path)
    steps = {step.number: step.norms for step in run.steps}

    (warning,) = warned
    assert str(warning.message).endswith((f": {report}", f"; {report}"))
    assert [float(steps[step][0]) for step in (1, 3)] == [0.5, 0.25]
    assert 2 not in steps or write is write_mlflow  # where another layer has it


def test_an_event_of_tensorboard_has_a_number_or_is_no_scalar(tmp_path: Path) -> None:
    """TensorBoard's scalars are floats, so none of them can be unreadable; NaN is NaN."""
    norms = (0.5, float("nan"), 0.25)
    events = [event(k, [simple("grad_norm", n)], 1.7e9) for k, n in enumerate(norms)]
    (tmp_path / "events.out.tfevents.1").write_bytes(event_file(events))

    assert [str(step.norms[0]) for step in read_run(tmp_path).steps] == [
        "0.5",
        "nan",
        "0.25",
    ]


@pytest.mark.parametrize(
    "name", ["grad_norm", "train/grad_norm", "gnorm", "x/norm", "norm"]
)
def test_names_of_norms_may_be_norms(name: str) -> None:
    """The names that a run takes for norms are those of which a value is missed."""
    assert may_be_norm(name)


@pytest.mark.parametrize("name", ["max_grad_norm", "layer_norm_type", "loss", "note", ""])
def test_other_names_are_no_norms(name: str) -> None:
    """A text under another name is no norm that cannot be read."""
    assert not may_be_norm(name)
