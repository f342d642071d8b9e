"""Alarms end the training in the way of its framework, and become alerts of trackers."""

import logging
import pickle
import sys
from contextvars import ContextVar
from enum import Enum
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
import wandb
from accelerate.state import AcceleratorState
from helpers.keras_models import keras, sequential
from helpers.models import sgd, small
from helpers.monitors import attach_with_parts
from helpers.processes import until
from helpers.ranks import run_ranks
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.integrations import tracker_alerts
from gradsound.integrations.alarm_actions import check_stop_on
from gradsound.integrations.callback import AttachedTraining
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.step_queue import StepQueue

pytestmark = [
    pytest.mark.usefixtures("own_folder", "_every_step"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*You may ignore this warning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
]
BATCHES, BAD = 6, 3
ROWS = 3 * torch.rand(BATCHES * 4, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emits each step at once: these trainings are faster than a tenth of a second."""
    attach_with_parts(monkeypatch, MonitorParts(queue=partial(StepQueue, max_delay=0)))


def step_count(path: str = "run.jsonl") -> int:
    return len([*gradsound.read_run(path).steps])


class Spoiled(nn.Module):
    """A model whose loss is NaN in the forward pass of one number."""

    def __init__(self, bad: int = BAD) -> None:
        super().__init__()
        self.net, self.bad, self.forwards = small(), bad, 0

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        loss = self.net(x).square().mean()
        if self.forwards == self.bad:
            loss = loss * torch.nan
        self.forwards += 1
        return {"loss": loss}


class Fit(lightning.LightningModule):
    def __init__(self, bad: int = BAD) -> None:
        super().__init__()
        self.spoiled = Spoiled(bad)

    def training_step(self, x: torch.Tensor, _: int) -> torch.Tensor:
        return self.spoiled(x)["loss"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return sgd(self)


def fit(callback: object, **options: object) -> lightning.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    usual = {"max_epochs": 2, "accelerator": "cpu", "enable_checkpointing": False}
    trainer = lightning.Trainer(callbacks=[callback], **{**quiet, **usual, **options})
    trainer.fit(Fit(), DataLoader(ROWS, batch_size=4))
    return trainer


def train(callback: object, **options: object) -> Trainer:
    AcceleratorState._reset_state(reset_partial_state=True)
    usual = {
        "output_dir": "out",
        "use_cpu": True,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    trainer = Trainer(
        Spoiled(),
        TrainingArguments(**{**usual, **options}),
        train_dataset=[{"x": row} for row in ROWS],
        callbacks=[callback],
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("stop_on", ["nonfinite", ("loss", "nonfinite")])
@pytest.mark.parametrize("saves", [False, True])
def test_lightning(stop_on: object, saves: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The fit ends after the alarm's batch; the log says why; a checkpoint if asked."""
    callback = gradsound.LightningCallback(stop_on=stop_on, save_on_stop=saves)
    with caplog.at_level(logging.WARNING, "gradsound"):
        trainer = fit(callback, default_root_dir="root")

    assert step_count() == trainer.global_step == BAD + 1
    assert [record.message.partition(";")[2] for record in caplog.records] == [
        " the training ends (stop_on='nonfinite')"
    ]
    assert f"step {BAD}: the loss is NaN" in caplog.text
    files = [path.name for path in Path().glob("root/*")]
    assert files == [f"stopped-step={BAD + 1}.ckpt"] * saves
    if saves:
        saved = torch.load(Path("root", files[0]), weights_only=False)
        assert saved["global_step"] == BAD + 1


def test_lightning_goes_on_at_other_alarms_and_fits_again() -> None:
    """Another kind of alarm ends nothing; a second fit begins without the first's alarm."""
    assert fit(gradsound.LightningCallback(stop_on="loss")).global_step == 2 * BATCHES
    callback = gradsound.LightningCallback(stop_on="nonfinite")
    trainer = fit(callback)
    trainer.fit(Fit(bad=-1), DataLoader(ROWS, batch_size=4))
    assert step_count() == BATCHES  # of the second epoch
    assert trainer.global_step == BAD + 1 + BATCHES


@pytest.mark.parametrize("saves", [False, True])
def test_transformers(saves: bool) -> None:
    """The training ends after the step of the alarm; a checkpoint of it if asked."""
    callback = gradsound.TransformersCallback(stop_on="nonfinite", save_on_stop=saves)
    trainer = train(callback)
    assert step_count() == trainer.state.global_step == BAD + 1
    assert [path.name for path in Path().glob("out/*")] == [f"checkpoint-{BAD + 1}"] * saves
    assert train(gradsound.TransformersCallback()).state.global_step == 2 * BATCHES


def test_keras() -> None:
    """The fit ends after the batch of the alarm."""
    rows = ROWS.numpy().copy()
    rows[BAD * 4] = np.nan
    model, optimizer = sequential()
    model.compile(optimizer=optimizer, loss="mse")
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    callback = gradsound.KerasCallback(stop_on=("nonfinite",))
    model.fit(rows, rows.sum(1), callbacks=[callback], **options)
    assert step_count() == int(model.optimizer.iterations) == BAD + 1
    assert keras.backend.backend() == "torch"


def test_stop_training_leaves_a_fit() -> None:
    """A StopTraining of on_alarm passes through the framework; the files are whole."""

    def stop(alarm: gradsound.Alarm) -> None:
        raise gradsound.StopTraining(alarm.text)

    for run, kind in (
        (fit, gradsound.LightningCallback),
        (train, gradsound.TransformersCallback),
    ):
        callback = kind(on_alarm=stop, stop_on="nonfinite")
        with pytest.raises(gradsound.StopTraining, match="NaN"):
            run(callback)
        callback._training.end()
        assert step_count() == BAD + 1


def test_stop_training_leaves_a_fit_of_keras() -> None:
    """It passes through the guards around Keras's optimizer, which would end the run."""
    rows = ROWS.numpy().copy()
    rows[BAD * 4] = np.nan
    model, optimizer = sequential()
    model.compile(optimizer=optimizer, loss="mse")

    def stop(alarm: gradsound.Alarm) -> None:
        raise gradsound.StopTraining(alarm.text)

    callback = gradsound.KerasCallback(on_alarm=stop)
    with pytest.raises(gradsound.StopTraining, match="NaN"):
        model.fit(rows, rows.sum(1), batch_size=4, verbose=0, callbacks=[callback])
    callback.close()
    assert step_count() == BAD + 1


def test_ranks_stop_together(tmp_path: Path) -> None:
    """Rank 0 alone has the alarm, and both ranks of a real Trainer end at one step."""
    code = f"""
    import lightning
    from torch.utils.data import DataLoader
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from test_stop_on import Fit, ROWS
    callback = gradsound.LightningCallback(stop_on="nonfinite", save_on_stop=True)
    trainer = lightning.Trainer(
        strategy="ddp", accelerator="cpu", devices=2, max_epochs=50, logger=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
        enable_checkpointing=False,
    )
    module = Fit(bad=3)
    module.on_train_batch_end = lambda *_: time.sleep(0.02)
    trainer.fit(module, DataLoader(ROWS, batch_size=4))
    print_line("stopped", trainer.global_step, trainer.should_stop)
"""
    done = run_ranks(code, tmp_path)
    lines = [line for line in done.stdout.splitlines() if line.startswith("stopped")]
    assert len(lines) == 2, done.stderr
    assert lines[0] == lines[1]
    assert lines[0].endswith("True")
    assert BAD < int(lines[0].split()[1]) < 30
    assert len([*tmp_path.glob("stopped-step=*.ckpt")]) == 1


@pytest.mark.parametrize("kind", ["nonfinit", "recovery", "end", "rank", 3])
def test_an_unknown_kind(kind: object) -> None:
    """One sentence names the kinds, before any training."""
    with pytest.raises(
        ValueError, match=rf"^stop_on={kind!r} is no kind.*nonfinite, loss,"
    ):
        gradsound.LightningCallback(stop_on=(kind,))


def test_every_other_kind_can_end_a_training() -> None:
    """check_stop_on takes each kind that a training may have."""
    kinds = ("nonfinite", "loss", "stall", "dead", "spike", "rise", "vanishing", "skipped")
    others = ("slow", "overfit", "plateau", "often", "drift")
    assert check_stop_on(kinds + others) == kinds + others
    assert check_stop_on("loss") == ("loss",)


@pytest.mark.parametrize("name", ["LightningCallback", "TransformersCallback"])
def test_a_checkpoint_needs_an_end(name: str) -> None:
    """A callback that never ends a training has no checkpoint to write."""
    with pytest.raises(ValueError, match=r"^save_on_stop=True needs stop_on: name the"):
        getattr(gradsound, name)(save_on_stop=True)


def test_a_copy_has_no_alarm_of_the_training() -> None:
    """A pickled callback keeps stop_on, and wants no stop."""
    training = AttachedTraining(False, {}, ["nonfinite"])
    model = small()
    optimizer = sgd(model)
    training.attach(model, optimizer)
    training._actions.hear(gradsound.Alarm("nonfinite", 3, "NaN"))
    assert training.must_stop()
    copy = pickle.loads(pickle.dumps(training))  # noqa: S301 (its own)
    training.end()
    assert not copy.must_stop()
    copy.attach(model, optimizer)
    copy._actions.hear(gradsound.Alarm("nonfinite", 3, "NaN"))
    assert copy.must_stop()
    copy.end()


def test_a_callback_without_any_action_looks_for_no_alarm() -> None:
    """Without stop_on, on_alarm and a tracker, nothing is searched in the training."""
    training = AttachedTraining(False, {})
    model = small()
    training.attach(model, None)
    (attachment,) = training._attachments.values()
    assert attachment._recorder.listener is None
    training.end()


# Trackers


def test_wandb_gets_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real offline run of W&B has the alarms; without a run, nothing is sent."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    fit(gradsound.LightningCallback())
    with wandb.init(mode="offline", dir=Path.cwd()):  # its process has another folder
        fit(gradsound.LightningCallback())

    def content() -> bytes:
        files = Path().glob("wandb/offline-run-*/run-*.wandb")
        return b"".join(file.read_bytes() for file in files)

    title = b"gradsound: nonfinite"  # of the loss and of the norms
    # A process of W&B writes the file.
    until(lambda: content().count(title) == 2, "an alert is missing")
    assert f"step {BAD}: the loss is NaN".encode() in content()
    assert b"ERROR" in content()


class Sent:
    """The alerts that a tracker is asked for, in place of its own function."""

    def __init__(self, error: Exception | None = None) -> None:
        self.fields, self.error = [], error

    def __call__(self, **fields: object) -> None:
        self.fields.append(fields)
        if self.error is not None:
            raise self.error

    def send(self) -> None:
        alerts = tracker_alerts.TrackerAlerts()
        alerts.send(gradsound.Alarm("spike", 1234, "spike in fc", ("fc",)))
        alerts.send(gradsound.Alarm("recovery", 1250, "usual", ("fc",), resolves="spike"))


def test_a_tracker_that_fails_hurts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an alert raises becomes one warning."""
    sent = Sent(OSError("no network"))
    monkeypatch.setattr(wandb, "run", object())
    monkeypatch.setattr(wandb, "alert", sent)
    with pytest.warns(GradsoundWarning, match=r"wandb.alert raised OSError") as caught:
        sent.send()
    assert len(caught) == 1
    assert len(sent.fields) == 2


@pytest.mark.parametrize("run", [None, "run"])
def test_trackio_gets_alerts(run: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run is on, as trackio 0.43 tells it, there is an alert with a level of its.

    Its own package, which no test installs, was tried with a webhook.
    """
    trackio, sent = ModuleType("trackio"), Sent()
    trackio.AlertLevel = Enum("AlertLevel", {"INFO": "info", "WARN": "warn"})
    trackio.context_vars = SimpleNamespace(current_run=ContextVar("run", default=run))
    trackio.alert = sent
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    sent.send()
    assert tracker_alerts.has_tracker_run() == (run is not None)
    if run is None:
        assert not sent.fields
        return
    assert [fields["level"].value for fields in sent.fields] == ["warn", "info"]
    assert sent.fields[0]["title"] == "gradsound: spike"
    assert sent.fields[0]["text"] == "step 1,234: spike in fc"
