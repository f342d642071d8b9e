"""Logs of other tools are followed while they grow, whatever their format is."""

import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.event_files import event, event_file, simple, tfrecord
from helpers.logs import wandb_entry, wandb_file
from helpers.tracker_logs import add_mlflow_run, log_mlflow, make_mlflow_database

from gradsound.errors import RunFormatError
from gradsound.live.run_source import RunSource
from gradsound.logs import log_folders
from gradsound.runs.log_choice import NO_CHOICE, LogChoice
from gradsound.runs.step import Step

GRADSOUND = [sys.executable, "-m", "gradsound"]
PATIENCE = 20.0  # seconds, after which a test that waits for a step gives up


def append(path: Path, data: bytes | str) -> None:
    """Appends to a file, which it makes."""
    with path.open("ab") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def log_csv(path: Path, steps: range) -> None:
    """Appends rows to a table."""
    if not path.exists():
        append(path, "step,loss,grad_norm\n")
    append(path, "".join(f"{k},0.5,{k / 8}\n" for k in steps))


def log_lightning(path: Path, steps: range) -> None:
    """Writes a table anew with all its rows, as Lightning does for a new column."""
    rows = "".join(f"{k / 8},{k},\n" for k in range(1, steps.stop))
    path.write_text(f"grad_norm,step,val_loss{steps.start}\n{rows}")


def log_json(path: Path, steps: range) -> None:
    """Appends JSON lines."""
    for k in steps:
        append(path, json.dumps({"step": k, "data": {"actor/grad_norm": k / 8}}) + "\n")


def log_console(path: Path, steps: range) -> None:
    """Appends lines as Megatron-LM prints them, after other text."""
    if not path.exists():
        append(path, "> setting tensorboard ...\n")
    for k in steps:
        append(path, f" iteration {k:8}/ 100 | lm loss: 2.0E+00 | grad norm: {k / 8} |\n")


def log_events(path: Path, steps: range) -> None:
    """Appends to an event file of TensorBoard in a folder."""
    path.mkdir(exist_ok=True)
    events = [event(k, [simple("grad_norm", k / 8)], 1.7e9 + k) for k in steps]
    file = path / "events.out.tfevents.1"
    append(file, b"".join(map(tfrecord, events)) if file.exists() else event_file(events))


def log_wandb(path: Path, steps: range) -> None:
    """Appends to a run file of W&B, of which all records fit into one block."""
    path.mkdir(exist_ok=True)
    whole = wandb_file(
        wandb_entry({"grad_norm": str(k / 8), "_step": str(k)}, k)
        for k in range(1, steps.stop)
    )
    file = path / "run-1.wandb"
    append(file, whole[file.stat().st_size if file.exists() else 0 :])


def log_trainer(path: Path, steps: range) -> None:
    """Writes the state of a new checkpoint, as Hugging Face's Trainer does."""
    folder = path / f"checkpoint-{steps.stop - 1}"
    folder.mkdir(parents=True)
    history = [{"step": k, "grad_norm": k / 8} for k in range(1, steps.stop)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))


def log_mlflow_database(path: Path, steps: range) -> None:
    """Adds rows to a database of MLflow."""
    if not path.exists():
        make_mlflow_database(path)
        add_mlflow_run(path, "a1", "able-cat")
    log_mlflow(path, "a1", "grad_norm", {k: k / 8 for k in steps})


WRITERS: dict[str, tuple[str, Callable[[Path, range], None]]] = {
    "CSV": ("metrics.csv", log_csv),
    "Lightning": ("metrics.csv", log_lightning),
    "JSON lines": ("log.jsonl", log_json),
    "console": ("train.log", log_console),
    "TensorBoard": ("run", log_events),
    "W&B": ("wandb", log_wandb),
    "Hugging Face": ("output", log_trainer),
    "MLflow": ("mlflow.db", log_mlflow_database),
}


@pytest.fixture
def follow() -> Iterator[Callable[[Path], "Follower"]]:
    """Returns a function that follows a path in a thread, until the test ends."""
    followers: list[Follower] = []

    def start(path: Path, choice: LogChoice = NO_CHOICE) -> Follower:
        followers.append(Follower(path, choice))
        return followers[-1]

    yield start
    for follower in followers:
        follower.close()


class Follower:
    """Follows a path in a thread.

    Attributes:
        waits: What it said while there was no run.
        steps: The steps so far.
        error: The error that ended it, if any.
    """

    def __init__(self, path: Path, choice: LogChoice) -> None:
        self.waits: list[str] = []
        self.steps: list[Step] = []
        self.error: Exception | None = None
        self._source = RunSource(path, choice, self.waits.append)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for step in self._source.run(growing=True).steps:
                self.steps.append(step)
        except (OSError, ValueError) as error:
            self.error = error

    def wait_for(self, condition: Callable[["Follower"], bool]) -> None:
        """Waits until a condition holds, or fails."""
        end = time.monotonic() + PATIENCE
        while not condition(self):
            assert self._thread.is_alive(), self.error
            assert time.monotonic() < end, (self.waits, self.steps)
            time.sleep(0.01)

    def wait_for_steps(self, count: int) -> list[float]:
        """Returns the norms of the steps, once there are some number of them."""
        self.wait_for(lambda own: len(own.steps) >= count)
        return [float(step.norms[0]) for step in self.steps]

    def close(self) -> None:
        self._source.close()
        self._thread.join()


@pytest.mark.parametrize("tool", WRITERS)
@pytest.mark.filterwarnings("ignore::gradsound.errors.GradsoundWarning")
def test_a_log_is_followed_from_before_it_exists(tool: str, follow, tmp_path) -> None:
    """A log that does not exist yet is waited for; all its steps come, each once."""
    name, write = WRITERS[tool]
    follower = follow(tmp_path / name)
    follower.wait_for(lambda own: bool(own.waits))
    write(tmp_path / name, range(1, 4))
    first = follower.wait_for_steps(3)
    write(tmp_path / name, range(4, 6))
    all_norms = follower.wait_for_steps(5)

    assert follower.waits[0] == (f"waiting for {tmp_path / name}, which does not exist yet")
    assert first == [k / 8 for k in range(1, 4)]
    assert all_norms == [k / 8 for k in range(1, 6)]
    assert [step.number for step in follower.steps] == [1, 2, 3, 4, 5]


def test_an_empty_log_is_waited_for(follow, tmp_path) -> None:
    """A file without a step yet is waited for, and the sentence says for what."""
    path = tmp_path / "train.log"
    path.touch()
    follower = follow(path)
    follower.wait_for(lambda own: bool(own.waits))
    append(path, "loading data\n")
    time.sleep(0.4)
    log_json(tmp_path / "train.log", range(1, 2))
    follower.wait_for(lambda own: len(own.waits) > 0)

    assert follower.waits[0] == f"waiting for a run to begin in {path}"


def test_a_log_that_is_empty_for_a_moment_is_waited_for(
    follow, tmp_path, monkeypatch
) -> None:
    """A training may empty its log to write it anew, while gradsound looks at it."""
    path, find_log = tmp_path / "metrics.csv", log_folders.find_log
    log_csv(path, range(1, 3))
    looks = []

    def find_meanwhile(*arguments: object) -> object:
        if not looks:
            path.write_text("")
        looks.append(arguments)
        return find_log(*arguments)

    monkeypatch.setattr(log_folders, "find_log", find_meanwhile)
    follower = follow(path)
    follower.wait_for(lambda own: bool(own.waits))
    path.unlink()
    log_csv(path, range(1, 4))

    assert follower.wait_for_steps(3) == [0.125, 0.25, 0.375]


def test_norms_are_chosen_in_a_log_that_grows(follow, tmp_path) -> None:
    """--norms and --step choose as in a finished log."""
    path = tmp_path / "table.csv"
    path.write_text("n,a,grad_norm\n1,0.5,1.0\n2,0.25,1.0\n")
    follower = follow(path, LogChoice(norms=("a",), step="n"))

    assert follower.wait_for_steps(2) == [0.5, 0.25]


def test_several_runs_are_refused_while_they_grow(follow, tmp_path) -> None:
    """A database of two runs lists them, as it does for a finished one."""
    path = tmp_path / "mlflow.db"
    make_mlflow_database(path)
    for run, name in ("a1", "able-cat"), ("b2", "bold-dog"):
        add_mlflow_run(path, run, name)
        log_mlflow(path, run, "grad_norm", {1: 0.5 if run == "a1" else 0.25})
    follower = follow(path)
    end = time.monotonic() + PATIENCE
    while follower.error is None and time.monotonic() < end:
        time.sleep(0.01)

    assert str(follower.error) == (
        f"{path}: has 2 runs, give one: {path}/able-cat, {path}/bold-dog"
    )
    assert isinstance(follower.error, RunFormatError)
    assert follow(path / "bold-dog").wait_for_steps(1) == [0.25]


@pytest.mark.filterwarnings("ignore::gradsound.errors.GradsoundWarning")
@pytest.mark.parametrize("tool", ["CSV", "JSON lines", "console"])
def test_a_pipe_is_followed_until_it_ends(tool: str, tmp_path) -> None:
    """A log that comes through a pipe is read as it comes."""
    pipe, text = tmp_path / "pipe", tmp_path / WRITERS[tool][0]
    os.mkfifo(pipe)
    WRITERS[tool][1](text, range(1, 40))
    seen: list[int] = []

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            data = text.read_bytes()
            file.write(data[:300])
            end = time.monotonic() + PATIENCE
            while not seen and time.monotonic() < end:
                time.sleep(0.01)
            file.write(data[300:])

    writer = threading.Thread(target=write)
    writer.start()
    with RunSource(pipe) as source:
        for step in source.run(growing=False).steps:
            seen.append(step.number)
    writer.join()

    assert seen == [*range(1, 40)]


@pytest.mark.parametrize("keys_first", [True, False])
def test_a_pipe_with_a_run_is_told_by_its_first_line(keys_first, tmp_path) -> None:
    """A run may come in pieces; a console that mentions the format is no run."""
    header = {"layers": [f"b{k}" for k in range(100)], "parameters": [1] * 100}
    named = {"format": "gradsound-run", "version": "1.2"}
    header = {**named, **header} if keys_first else {**header, **named}
    run = f"{json.dumps(header)}\n" + json.dumps(
        {"step": 7, "time": 0.5, "norms": [2.0] * 100}
    )
    console = 'step 7 grad_norm 2.0\nwrites "gradsound-run" to a file\n'
    for text in (f"{run}\n", console):
        pipe = tmp_path / f"pipe{len(text)}"
        os.mkfifo(pipe)

        def write(path: Path = pipe, data: bytes = text.encode()) -> None:
            with path.open("wb", buffering=0) as file:
                for begin in range(0, len(data), 300):
                    file.write(data[begin : begin + 300])
                    time.sleep(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        with warnings.catch_warnings(), RunSource(pipe) as source:
            warnings.simplefilter("ignore")  # that it is read as a console
            steps = [*source.run(growing=False).steps]
        writer.join()

        assert [(step.number, float(step.norms[0])) for step in steps] == [(7, 2.0)]


def test_standard_input_without_a_log_is_refused() -> None:
    """A text that ends without a step is one clear sentence without a temporary path."""
    process = subprocess.run(
        [*GRADSOUND, "play", "--follow", "-"],
        input="no log\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == (
        "gradsound: standard input: has neither a run nor a log"
    )
