"""Logs of other tools, read as runs; the tools write them where they are installed."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from helpers.logs import PUBLISHED, log_of, mlflow_run, write_events
from helpers.pages import Page, served
from helpers.recordings import matches_file
from helpers.runs import make_run
from helpers.sound_server import SoundServer

import gradsound
from gradsound import read_run
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.log_run import build_run
from gradsound.logs.row import Row
from gradsound.runs.model import Run
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter


def read_steps(run: Run) -> list[tuple[int, list[float | None], dict[str, float]]]:
    """Returns number, norms (None where absent) and values of each step."""
    return [
        (
            step.number,
            [None if no else float(x) for x, no in zip(step.norms, step.absent)],
            dict(step.values),
        )
        for step in run.steps
    ]


def run_of_rows(rows: Sequence[Row], globs: Sequence[str] | None = None) -> Run:
    """Returns the run of some rows."""
    return build_run("made", log_of(rows), globs)


def test_a_published_trainer_state(tmp_path: Path) -> None:
    """NaN stays NaN; values logged without a norm belong to the next step with one."""
    (tmp_path / "any.name").write_text(PUBLISHED)
    run = read_run(tmp_path / "any.name")
    first, second, third = read_steps(run)

    assert run.header.layers == ("grad_norm",)
    assert first == (
        1,
        [np.float32(33.36528015136719)],
        {"epoch": 0.0, "lr": 6.666666666666667e-06, "loss": 14577.9766},
    )
    assert (second[0], second[2]["loss"], second[2]["lr"]) == (2, 0.0, 5e-06)
    np.testing.assert_equal((second[1], second[2]["eval_loss"]), ([np.nan], np.nan))
    assert third == (
        4,
        [np.inf],
        {
            "epoch": 1.0,
            "loss": 0.0,
            "eval_loss": 0.125,
            "train_loss": 0.11943,
            "train_runtime": 80.2776,
        },
    )


def test_a_state_that_transformers_saves(tmp_path: Path) -> None:
    """The state, the folder of its checkpoint and its history alone are the same run."""
    state = pytest.importorskip("transformers").trainer_callback.TrainerState()
    state.log_history = [
        {
            "loss": 1 / 3,
            "grad_norm": k / 7,
            "learning_rate": 1e-4,
            "epoch": k / 5,
            "step": k,
        }
        for k in range(1, 11)
    ]
    (tmp_path / "out" / "checkpoint-10").mkdir(parents=True)
    path = tmp_path / "out" / "checkpoint-10" / "trainer_state.json"
    state.save_to_json(str(path))
    (tmp_path / "list").write_text(json.dumps(state.log_history))

    assert [(n, v["epoch"]) for n, _, v in read_steps(read_run(path))] == [
        (k, k // 5) for k in range(1, 11)
    ]
    for other in (path.parent, tmp_path / "out", tmp_path / "list"):
        assert read_steps(read_run(other)) == read_steps(read_run(path))


def test_the_last_checkpoint_counts(tmp_path: Path) -> None:
    """A folder of checkpoints is one run: the last checkpoint contains the others."""
    entries = [{"step": step, "grad_norm": step / 7} for step in range(1, 1001)]
    for step in (5, 90, 1000):
        path = tmp_path / f"checkpoint-{step}" / "trainer_state.json"
        path.parent.mkdir()
        path.write_text(json.dumps({"log_history": entries[:step]}))
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-best" / "trainer_state.json").write_text("{}")

    assert len(read_steps(read_run(tmp_path))) == 1000
    (tmp_path / "trainer_state.json").write_text(json.dumps(entries[:7]))
    assert len(read_steps(read_run(tmp_path))) == 7


def test_a_state_that_ends_early(tmp_path: Path) -> None:
    """A state that is cut anywhere reads to the cut, with one warning that says where."""
    begin, end = PUBLISHED.index('"log_history"'), PUBLISHED.index(" ],")
    for cut in range(begin + 30, end, 3):
        (tmp_path / "x").write_text(PUBLISHED[:cut])
        entries = PUBLISHED[:cut].count("    }")
        if not entries:
            with pytest.raises(RunFormatError, match="ends or is damaged, at character"):
                read_run(tmp_path / "x")
            continue
        with pytest.warns(
            GradsoundWarning, match=f"after entry {entries} of log_h"
        ) as warned:
            numbers = [step.number for step in read_run(tmp_path / "x").steps]
        assert len(warned) == 1
        assert numbers == [1, 2, 4][: len(numbers)]
        assert len(numbers) == PUBLISHED[:cut].rpartition("    }")[0].count('norm": ')


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> Path:
    """Returns a folder with one event file."""
    folder = tmp_path_factory.mktemp("events")
    write_events(folder, range(10))
    return folder


def test_scalars_agree_with_tensorboard(events: Path) -> None:
    """Scalars and times are the same as from TensorBoard's own reader."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = module.EventAccumulator(str(events), size_guidance={"scalars": 0})
    accumulator.Reload()
    run = read_run(events)
    begin = accumulator.Scalars("train/loss")[0].wall_time  # the last of its step

    assert run.header.layers == ("fc1", "fc2")
    assert datetime.fromisoformat(run.header.start).timestamp() == pytest.approx(
        begin, abs=1e-5
    )
    scalars = {"grad_norm/fc1": [], "grad_norm/fc2": [], "train/loss": []}
    times = []
    for step in run.steps:
        times.append(step.time)
        for name, norm, absent in zip(scalars, step.norms, step.absent):
            if not absent:
                scalars[name].append((step.number, float(norm)))
        if "loss" in step.values:
            scalars["train/loss"].append((step.number, step.values["loss"]))
    for name, numbers in scalars.items():
        expected = [(event.step, event.value) for event in accumulator.Scalars(name)]
        np.testing.assert_equal(numbers, expected)
    last = [event.wall_time - begin for event in accumulator.Scalars("train/loss")]
    np.testing.assert_allclose(times[:10], last, atol=1e-6)  # of doubles near 2e9


def test_tensors_of_tensorflow_2(tmp_path: Path) -> None:
    """A tensor of one number is a scalar, as TensorFlow 2 writes it; others are skipped."""
    util = pytest.importorskip("tensorboard.util.tensor_util")
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    tensors = {
        "grad_norm/float": np.float32(1 / 3),
        "grad_norm/double": np.float64(2 / 3),
        "grad_norm/content": np.float32(0.0),
        "grad_norm/none": np.ones((2, 3), np.float32),
        "grad_norm/text": "text",
    }
    writer = EventFileWriter(str(tmp_path))
    values = [
        summary_pb2.Summary.Value(tag=tag, tensor=util.make_tensor_proto(tensor))
        for tag, tensor in tensors.items()
    ]
    values[2].tensor.ClearField("float_val")
    values[2].tensor.tensor_content = np.float32(3 / 7).tobytes()
    event = event_pb2.Event(step=5, summary=summary_pb2.Summary(value=values))
    writer.add_event(event)
    writer.close()
    run = read_run(tmp_path)

    assert run.header.layers == ("float", "double", "content")
    assert read_steps(run) == [(5, [np.float32(x) for x in (1 / 3, 2 / 3, 3 / 7)], {})]


def test_a_training_that_was_resumed(tmp_path: Path) -> None:
    """If two event files have the same step, the later file counts."""
    write_events(tmp_path, range(10))
    (old,) = tmp_path.iterdir()
    old.rename(tmp_path / "events.out.tfevents.0000000001.host.1.0")
    write_events(tmp_path, range(6, 14), factor=2.0)
    steps = read_steps(read_run(tmp_path))

    assert [number for number, _, _ in steps] == [*range(15)]
    assert [norms[0] for _, norms, _ in steps] == [
        np.float32(7.0 if k == 14 else (2.0 if k >= 6 else 1.0) / (k + 1))
        for k in range(15)
    ]


def test_scalars_that_were_added_together(tmp_path: Path) -> None:
    """Subfolders of add_scalars() belong to the run; subfolders of other runs do not."""
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        for step in range(3):
            norms = {f"layers.{k}": step + k / 3 for k in range(11)}
            writer.add_scalars("train/grad_norm", norms, step)
            writer.add_scalar("loss", step / 7, step)
    write_events(tmp_path / "other", range(5))
    write_events(tmp_path / "grad_norm", range(5))
    run = read_run(tmp_path)

    assert run.header.layers == tuple(f"layers.{k}" for k in range(11))
    assert read_steps(run) == [
        (
            step,
            [float(np.float32(step + k / 3)) for k in range(11)],
            {"loss": float(np.float32(step / 7))},
        )
        for step in range(3)
    ]


def test_damaged_events(events: Path, tmp_path: Path) -> None:
    """A cut file reads to the cut, a damaged event is left out, each with a warning."""
    (file,) = events.iterdir()
    content = file.read_bytes()
    whole = read_steps(read_run(file))
    for cut in range(len(content) - 400, len(content) - 1, 7):
        (tmp_path / "x").write_bytes(content[:cut])
        with pytest.warns(
            GradsoundWarning, match=r"x ends or is damaged at byte [\d,]+ of"
        ):
            np.testing.assert_equal(read_steps(read_run(tmp_path / "x")), whole[:-1])
    at = content.index(np.float32(1 / 5).tobytes())
    (tmp_path / "x").write_bytes(content[:at] + b"\0" + content[at + 1 :])
    with pytest.warns(GradsoundWarning, match="has a damaged record at byte .*, left out"):
        assert [number for number, _, _ in read_steps(read_run(tmp_path / "x"))] == [
            number for number, _, _ in whole if number != 4
        ]


def test_wandb_records_longer_than_a_block(wandb_runs: tuple[Path, Path]) -> None:
    """A record in several pieces is read whole; each call of W&B's log() is a step."""
    run = read_run(wandb_runs[0])
    steps = [*run.steps]

    assert run.header.layers == tuple(f"layers.{k}.{'x' * 30}" for k in range(2000))
    assert [step.number for step in steps] == [*range(5)]
    expected = [[(step + k) / 3 for k in range(2000)] for step in range(5)]
    np.testing.assert_array_equal(
        [step.norms for step in steps], np.array(expected, np.float32)
    )
    assert steps[0].time == 0 < steps[-1].time < 60
    assert datetime.fromisoformat(run.header.start).year > 2020


def test_the_step_of_the_trainer_wins_in_wandb(wandb_runs: tuple[Path, Path]) -> None:
    """The step that a trainer logs counts, also for later entries without it."""
    (file,) = wandb_runs[1].rglob("*.wandb")
    steps = read_steps(read_run(file))

    assert read_run(file).header.layers == ("train/grad_norm",)
    np.testing.assert_equal(
        steps,
        [
            (10, [np.float32(10 / 7)], {"before": 1.0, "loss": 1 / 3, "nested.a": 10 / 3}),
            (20, [np.nan], {"loss": 1 / 3, "nested.a": 20 / 3}),
            (30, [np.inf], {"loss": 1 / 3, "nested.a": 30 / 3}),
        ],
    )


def test_damaged_wandb_runs(wandb_runs: tuple[Path, Path], tmp_path: Path) -> None:
    """A W&B run that is cut anywhere reads to the cut, with a warning."""
    (file,) = wandb_runs[0].rglob("*.wandb")
    content, counts = file.read_bytes(), set()
    whole = read_steps(read_run(file))
    for cut in range(len(content) // 3, len(content), 20_011):
        (tmp_path / "x").write_bytes(content[:cut])
        with pytest.warns(GradsoundWarning, match=r"x: ends or is damaged at byte"):
            steps = read_steps(read_run(tmp_path / "x"))
        counts.add(len(steps))
        assert steps == whole[: len(steps)]
    assert counts >= {2, 3, 4}
    at = content.index(b"0.333333", len(content) // 2)  # of a step in the middle
    (tmp_path / "x").write_bytes(content[:at] + b"9" + content[at + 1 :])
    with pytest.warns(GradsoundWarning, match=r"x: ends or is damaged at byte"):
        steps = read_steps(read_run(tmp_path / "x"))
    assert 3 <= len(steps) <= 4
    assert all(step in whole for step in steps)
    assert steps[-1] == whole[-1]
    (tmp_path / "x").write_bytes(content[:9_000])
    with pytest.raises(
        RunFormatError, match=r"x: no number could be read: ends or is dama"
    ):
        read_run(tmp_path / "x")


def test_wandb_blocks_end_anywhere(wandb_runs: tuple[Path, Path], tmp_path: Path) -> None:
    """A block without room for the head of a piece ends in zeros, which are skipped."""
    (file,) = wandb_runs[1].rglob("*.wandb")
    content = file.read_bytes()
    block, head = 1 << 15, 7
    for remaining in range(head):
        size = block - 2 * head - remaining
        filling = b"\x08\x80\x00"[: 3 * (size % 2)]  # a message without fields of interest
        filling += bytes(size - len(filling))
        check = zlib.crc32(filling, zlib.crc32(b"\1"))
        first = struct.pack("<IHB", check, len(filling), 1) + filling + bytes(remaining)
        (tmp_path / "x").write_bytes(content[:head] + first + content[head:])
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            np.testing.assert_equal(
                read_steps(read_run(tmp_path / "x")), read_steps(read_run(file))
            )
        assert not [str(warning.message) for warning in warned]


def test_mlflow(tmp_path: Path) -> None:
    """The folder of a run, and any folder with a single run, read as that run."""
    run = read_run(mlflow_run(tmp_path))
    steps = read_steps(run)

    assert run.header.layers == ("layers.2", "layers.10")
    assert run.header.start == "2023-11-14T22:13:20+00:00"
    assert [norms for _, norms, _ in steps] == [
        [np.float32(2 / (k + 1)), np.float32(10 / (k + 1))] for k in range(5)
    ]
    np.testing.assert_equal([steps[0][2], steps[4][2]], [{"loss": np.nan}, {"loss": 0.5}])
    assert [step.time for step in run.steps] == [0, 0.5, 1, 1.5, 2]
    for folder in (tmp_path, tmp_path / "mlruns"):
        np.testing.assert_equal(read_steps(read_run(folder)), steps)


def test_a_folder_of_several_runs_lists_them(tmp_path: Path) -> None:
    """The error for a folder with several runs lists them."""
    run = mlflow_run(tmp_path)
    other = run.parent / "other"
    run.rename(other)
    run = mlflow_run(tmp_path)

    with pytest.raises(
        RunFormatError, match=r"has 2 runs, give one: .*2d5e4c9a.*, .*other"
    ):
        read_run(tmp_path)
    with pytest.raises(IsADirectoryError, match="without a log that is known"):
        read_run(run / "metrics" / "grad_norm")


def test_torn_mlflow(tmp_path: Path) -> None:
    """A line without its newline may lack digits of its step, so it is left out."""
    run = mlflow_run(tmp_path)
    file = run / "metrics" / "grad_norm" / "layers.10"
    file.write_text(file.read_text()[:-1] + "1")
    with pytest.warns(GradsoundWarning, match=r"line 5 of grad_norm/layers\.10 is torn"):
        assert read_steps(read_run(run))[-1][:2] == (4, [np.float32(2 / 5), None])


def test_lightning(tmp_path: Path) -> None:
    """CSVLogger's metrics are a run with grad_norm()'s layers, in the model's order."""
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    from lightning.pytorch.utilities import grad_norm
    from torch import nn, ones

    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(11)])
    logger = loggers.CSVLogger(str(tmp_path), "")
    norms = []
    for step in range(4):
        model(ones(1, 2)).sum().backward()
        norms.append(grad_norm(model, 2))
        logger.log_metrics({**norms[-1], "epoch": step // 2}, step)
        logger.log_metrics({"train_loss": 1 / (step + 1), "epoch": step // 2}, step)
    logger.save()
    for path in (tmp_path, Path(logger.log_dir), Path(logger.log_dir, "metrics.csv")):
        run = read_run(path)
        assert run.header.layers == tuple(
            f"{layer}.{kind}" for layer in range(11) for kind in ("bias", "weight")
        )
        for step, logged in zip(run.steps, norms):
            expected = [
                logged[f"grad_2.0_norm/{name}"].item() for name in run.header.layers
            ]
            assert step.norms.tolist() == expected
            assert dict(step.values) == {
                "grad_2.0_norm_total": pytest.approx(logged["grad_2.0_norm_total"].item()),
                "epoch": step.number // 2,
                "loss": 1 / (step.number + 1),
            }


@pytest.mark.parametrize(
    "text",
    [
        "step,grad_norm,loss,time\n0,0.25,1,0\n1,,2,1\n2,nan,3,2.5\n",
        "\ufeffStep;grad_norm;loss;time\r\n0;0,25;1;0\r\n1;;2;1\r\n2;nan;3;2,5\r\n",
        "iteration\tgrad_norm\tloss\twall_time\n0\t.25\t1\t5\n1\t\t2\t6\n2\tnan\t3\t7.5\n",
        '"loss","global_step","grad_norm","step","time"\n1,0,"0.25",7,0\n2,1,"",8,1\n'
        '3,2,"NaN",9,2.5\n',
        "_step,grad_norm,loss,timestamp\n0.0,0.25,1,2024-01-01 12:00:00\n"
        "1.0,,2,2024-01-01 12:00:01\n2.0,nan,3,2024-01-01 12:00:02.500\n",
        "step,grad_norm,loss,timestamp\n0,.25,1,1700000000000\n\n2,nan,3,1700000002500",
    ],
    ids=["comma", "semicolon", "tab", "quotes", "dates", "milliseconds"],
)
def test_tables(tmp_path: Path, text: str) -> None:
    """A table is a run with any delimiter, quotes, decimal commas and clocks."""
    (tmp_path / "x.txt").write_text(text, newline="")
    run = read_run(tmp_path / "x.txt")
    steps = [*run.steps]

    assert run.header.layers == ("grad_norm",)
    np.testing.assert_equal([float(step.norms[0]) for step in steps], [0.25, np.nan])
    assert [(step.number, step.time) for step in steps] == [(0, 0), (2, 2.5)]
    assert [step.values["loss"] for step in steps] == [1, 3]
    dated = "date" in text or "timestamp" in text
    assert run.header.start[:2] == (
        "20" if dated else ""
    )  # a clock that begins at 0 has none


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "\n\n", "# my run, of 3\n", "sep=;\n"])
def test_tables_of_windows(tmp_path: Path, encoding: str, end: str, before: str) -> None:
    """Byte order marks, any line ending and lines before the header are understood."""
    text = f"{before}Step;grad_norm;größe\n0;0,25;1\n1;0,5;2".replace("\n", end)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "x.txt").write_bytes((mark + text).encode(encoding))

    assert read_steps(read_run(tmp_path / "x.txt")) == [
        (0, [0.25], {"größe": 1.0}),
        (1, [0.5], {"größe": 2.0}),
    ]


def test_a_state_of_windows(tmp_path: Path) -> None:
    """A state in UTF-16, as PowerShell writes it, reads as the same run."""
    (tmp_path / "x").write_text(PUBLISHED, encoding="utf-16")
    (tmp_path / "y").write_text(PUBLISHED)

    np.testing.assert_equal(
        read_steps(read_run(tmp_path / "x")), read_steps(read_run(tmp_path / "y"))
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("trainer_state.json", "Hugging Face"),
        ("events.out.tfevents.1", "TensorBoard"),
        ("run-1.wandb", "W&B"),
        ("metrics.csv", "CSV"),
    ],
)
def test_an_empty_file_is_reported_as_empty(tmp_path: Path, name: str, kind: str) -> None:
    """The error names the tool that the file name belongs to."""
    (tmp_path / name).touch()
    with pytest.raises(RunFormatError, match=f"{name}: is empty, expected a log .{kind}"):
        read_run(tmp_path / name)


def test_steps_that_were_not_logged(tmp_path: Path) -> None:
    """One step for all values, or no step, causes a warning or an error."""
    (tmp_path / "x.csv").write_text("step,grad_norm\n" + "0,1\n" * 9 + "0,2\n")
    with pytest.warns(GradsoundWarning, match="all was logged at step 0, where the last"):
        assert read_steps(read_run(tmp_path / "x.csv")) == [(0, [2.0], {})]
    (tmp_path / "x.csv").write_text("step,grad_norm,loss\n0,1,\n0,,2\n")
    assert read_steps(read_run(tmp_path / "x.csv")) == [(0, [1.0], {"loss": 2.0})]
    with pytest.raises(RunFormatError, match=r"no number .*: 2 entries without a"):
        run_of_rows([Row(None, None, {"grad_norm": 1.0})] * 2)


def test_damaged_tables(tmp_path: Path) -> None:
    """Lines without a step, and a torn line, are left out and counted."""
    path = tmp_path / "x.csv"
    path.write_text("step,grad_norm\n0,1\nx,grad_norm\n-1,2\n1.5,2\nnan,2\n1,3\n2")
    with pytest.warns(GradsoundWarning) as warned:
        assert read_steps(read_run(path)) == [(0, [1.0], {}), (1, [3.0], {})]
    (message,) = [str(warning.message) for warning in warned]

    assert message == f"{path}: line 3 has no step, left out (and 2 more)"
    path.write_text("phase,loss\n0,1\n")
    with pytest.raises(RunFormatError, match=r"has a column of steps \(.*'phase,loss'"):
        read_run(path)
    path.write_text("\n" * 20)
    with pytest.raises(RunFormatError, match="got blank lines"):
        read_run(path)


def test_the_order_of_rows_makes_no_difference() -> None:
    """Steps are in order, each once; if a value was logged twice, the later one counts."""
    generator = np.random.default_rng(0)
    rows = [
        Row(step, None, {f"grad_norm/{k}": step + k / 3, "loss": step / 7})
        for step in range(0, 3000, 3)
        for k in range(3)
    ]
    expected = [
        (step, [float(np.float32(step + k / 3)) for k in range(3)], {"loss": step / 7})
        for step in range(0, 3000, 3)
    ]
    stale = [Row(row.step, None, dict.fromkeys(row.values, -5.0)) for row in rows]
    names = [Row(0, None, {f"grad_norm/{k}": 0.0}) for k in range(3)]
    for order in ([*range(3000)], generator.permutation(3000)):
        again = [rows[k] for k in order]
        assert read_steps(run_of_rows([*names, *again])) == expected
        assert read_steps(run_of_rows([*names, *stale[::-1], *again])) == expected


def test_norms_that_are_no_numbers() -> None:
    """A missing norm is absent; -1 is NaN as in DeepSpeed; 1e300 is infinite."""
    rows = [
        Row(0, None, {"grad_norm/a": -1.0, "grad_norm/b": 1e300}),
        Row(1, None, {"grad_norm/b": 0.0}),
        Row(2, None, {"loss": 1.0}),
    ]
    with pytest.warns(GradsoundWarning, match="grad_norm/a is -1 at step 0, read as NaN"):
        run = run_of_rows(rows)
    first, second = run.steps

    np.testing.assert_equal(first.norms, np.array([np.nan, np.inf], np.float32))
    assert (first.absent.tolist(), second.absent.tolist()) == ([False] * 2, [True, False])


def test_times_are_not_invented() -> None:
    """Without a clock, every step is at 0 s, so no stall is detected."""
    rows = [Row(step * step, None, {"grad_norm": 1 / 3}) for step in range(100)]
    run = run_of_rows(rows)

    assert {step.time for step in run.steps} == {0.0}
    watch = RunDetector(run.header, Thresholds())
    assert not [
        alarm for found in watch.detect(make_block([*run.steps])) for alarm in found
    ]
    assert run.header.start == ""
    assert watch.end_alarm().text == "end of the run: 100 steps"


@pytest.mark.parametrize("every", [1, 37, 500])
def test_a_plateau_is_found_at_any_spacing_of_steps(every: int) -> None:
    """The plateau detector counts losses, not step numbers."""
    losses = [*np.geomspace(9, 1, 100), *[1.0] * 150, *np.geomspace(0.9, 0.1, 100)]
    rows = [
        Row(3 + k * every, None, {"grad_norm": 1.0, "loss": loss})
        for k, loss in enumerate(losses)
    ]
    run = run_of_rows(rows)
    watch = RunDetector(run.header, Thresholds(plateau_steps=50))
    alarms = [alarm for found in watch.detect(make_block([*run.steps])) for alarm in found]
    first, second = ((alarm.step - 3) // every for alarm in alarms)

    assert [alarm.kind for alarm in alarms] == ["plateau", "recovery"]
    assert alarms[0].text.startswith("plateau: the loss stays at 1 since step ")
    assert 110 <= first < 250
    assert 250 < second <= 300


def test_times_do_not_go_back() -> None:
    """Time counts from the first step and never falls, even if the clock does."""
    clock = [1e9 + 5, 1e9 + 7, None, 1e9 + 6, np.nan, 1e300, 1e9 + 9]
    rows = [Row(k, time, {"grad_norm": 1 / 3}) for k, time in enumerate(clock)]
    run = run_of_rows([Row(0, 1e9, {"loss": 1.0}), *rows])

    assert [step.time for step in run.steps] == [0, 2, 2, 2, 2, 2, 4]
    assert run.header.start == "2001-09-09T01:46:45+00:00"


def test_several_threads_can_read_steps_at_once() -> None:
    """Each of several readers gets all steps."""
    rows = [Row(step, None, {"grad_norm": step / 7}) for step in reversed(range(2000))]
    run = run_of_rows(rows)
    expected = [*range(2000)]
    numbers: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: numbers.append([s.number for s in run.steps]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    half = iter(run.steps)
    assert [next(half).number for _ in range(50)] == expected[:50]
    for thread in threads:
        thread.join()

    assert numbers == [expected] * 4
    assert [step.number for step in half] == expected[50:]


def test_the_number_of_names_is_bounded() -> None:
    """A file with more than 100,000 names is refused, so that memory stays bounded."""
    with pytest.raises(RunFormatError, match="made: more than 100,000 different names"):
        run_of_rows([Row(k, None, {f"x{k}": 0.0}) for k in range(100_001)])


def test_a_run_file_is_no_log(tmp_path: Path) -> None:
    """Names of layers and comments never make a run file the log of another tool."""
    run = make_run([[1 / 3]], layers=("log_history",), comment='"log_history": [, step')
    writer = RunWriter(tmp_path / "run.jsonl", run.header)
    writer.write(make_block([*run.steps]))
    writer.close()

    assert read_run(tmp_path / "run.jsonl").header == run.header
    with pytest.raises(ValueError, match="a run file says itself what its norms are"):
        read_run(tmp_path / "run.jsonl", norms="x")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs gradsound with these arguments."""
    line = [sys.executable, "-m", "gradsound", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_commands_take_logs(tmp_path: Path) -> None:
    """Commands that take a run file take a log; --norms selects its norms."""
    path = tmp_path / "x.csv"
    path.write_text("step,a,b\n" + "".join(f"{k},{k + 1},2\n" for k in range(9)))
    refused = command("info", path)
    info = command("info", path, "--norms", "a", "--norms", "b", "--layers", "a")
    rendered = command("render", path, "-o", tmp_path / "x.wav", "--norms", "a")
    gradsound.render(read_run(path, norms="a"), tmp_path / "y.wav")
    located = command("locate", path, "--norms", "[ab]", "--step", "3")

    assert refused.returncode == 2
    assert refused.stderr.endswith(
        "there are: a, b; say which with --norms GLOB, in Python norms=GLOB\n"
    )
    first, steps, norm, *_ = info.stdout.splitlines()
    assert (first, steps) == (str(path), "9 steps")
    assert norm == "a               typical 5, lowest 1 at step 0, highest 9 at step 8"
    assert rendered.returncode == 0, rendered.stderr
    assert (tmp_path / "x.wav").read_bytes() == (tmp_path / "y.wav").read_bytes()
    assert located.returncode == 0, located.stderr


@pytest.mark.realtime
def test_a_log_is_played(server: SoundServer) -> None:
    """The sound device gets the samples that `gradsound render` writes."""
    Path("x.csv").write_text("step,grad_norm\n" + "".join(f"{k},{k}\n" for k in range(9)))
    with server.recording() as recording:
        played = command("play", "x.csv")
    gradsound.render("x.csv", "x.wav", subtype="FLOAT")

    assert (played.returncode, played.stdout) == (0, "")
    assert played.stderr.endswith("end of the run: 9 steps\n")
    assert matches_file(recording, "x.wav")


def test_a_log_is_served(tmp_path: Path) -> None:
    """The page gets the layers that --norms and --layers select, and every step."""
    (tmp_path / "x.csv").write_text(
        "step,a,b\n" + "".join(f"{k},{k},2\n" for k in range(9))
    )
    with served(tmp_path / "x.csv", "--norms", "[ab]", "--layers", "a") as (url, _):
        page = Page(url)
        page.receive_until(lambda: "marks" in page.kinds(), "there is no picture")

        assert [row["name"] for row in page.rows] == ["a"]
        assert [float(column.norms[0]) for column in page.columns] == [*range(9)]
