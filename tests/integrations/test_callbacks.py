"""Callbacks in their real frameworks: the run holds what the framework trained with."""

import copy
import json
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import lightning
import numpy as np
import pytest
import pytorch_lightning
import soundfile
import torch
from accelerate.state import AcceleratorState
from helpers.models import small, true_norm
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import gradsound
from gradsound.integrations.lightning import LightningCallback
from gradsound.integrations.transformers import TransformersCallback

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    # Lightning warns of machines and loaders as small as a test's.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:.*You may ignore this warning"),
    # Newer releases of torch warn Lightning.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]
CALLBACKS = [LightningCallback, TransformersCallback]
TORCH_CLIP = torch.nn.utils.clip_grad_norm_
DATA = 3 * torch.rand(24, 3, generator=torch.Generator().manual_seed(1))


def steps_of(path: str = "run.jsonl") -> list[gradsound.Step]:
    return [*gradsound.read_run(path).steps]


def values(steps: list[gradsound.Step], name: str) -> list[float]:
    return [step.values[name] for step in steps]


def clipping_is_unpatched() -> bool:
    """Returns whether torch's clipping function is torch's own again."""
    return torch.nn.utils.clip_grad_norm_ is TORCH_CLIP


def norms_of(model: torch.nn.Module) -> list[float]:
    return [true_norm(model[0]), true_norm(model[2])]


class Fit(lightning.LightningModule):
    """Keeps its losses, and its norms before and after clipping."""

    def __init__(self, bad: int | None = None) -> None:
        super().__init__()
        self.net, self.bad = small(), bad
        self.losses, self.raw, self.applied = [], [], []

    def training_step(self, x: torch.Tensor, index: int) -> torch.Tensor:
        loss = self.net(x).float().square().mean()
        if index == self.bad:
            loss = loss * torch.nan
        self.losses.append(loss.item())
        return loss

    def validation_step(self, x: torch.Tensor, _: int) -> None:
        self.net(x)

    def configure_gradient_clipping(
        self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None
    ) -> None:
        self.raw.append(norms_of(self.net))
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.applied.append(norms_of(self.net))

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.SGD(self.parameters(), lr=1 / 64)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1 / 3)  # an epoch
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def loader(rows: torch.Tensor = DATA) -> DataLoader:
    return DataLoader(rows, batch_size=4)  # 6 batches


def trainer(*callbacks: object, kind: type = lightning.Trainer, **options: object):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    usual = {"max_epochs": 2, "accelerator": "cpu", "enable_checkpointing": False}
    return kind(callbacks=[*callbacks], **{**quiet, **usual, **options})


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("algorithm", ["norm", "value"])
@pytest.mark.parametrize("clip", [None, 1 / 13])
def test_a_fit(precision: str, accumulate: int, algorithm: str, clip: float | None) -> None:
    """The run has the fit's norms, raw norms where it clips, loss, lr and epoch."""
    module = Fit()
    trainer(
        LightningCallback(),
        precision=precision,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=clip,
        gradient_clip_algorithm=algorithm,
    ).fit(module, loader(), loader())
    steps = steps_of()
    losses = np.reshape(module.losses, (-1, accumulate)).mean(axis=1)
    half = len(steps) // 2

    assert len(steps) == 12 // accumulate
    assert gradsound.read_run("run.jsonl").header.layers == ("net.0", "net.2")
    np.testing.assert_allclose([s.norms for s in steps], module.applied, rtol=1e-5)
    if clip is None:
        assert [step.raw for step in steps] == [None] * len(steps)
    else:
        np.testing.assert_allclose([s.raw for s in steps], module.raw, rtol=1e-5)
        assert not np.allclose(module.raw, module.applied, rtol=0.1)
    np.testing.assert_allclose(values(steps, "loss"), losses, rtol=1e-6)
    np.testing.assert_allclose(values(steps, "lr"), [1 / 64] * half + [1 / 192] * half)
    assert values(steps, "epoch") == [0.0] * half + [1.0] * half
    assert clipping_is_unpatched()


def test_a_fit_with_a_scaler() -> None:
    """Norms and losses are without the loss scale; the scaler's skipped step is marked."""
    module = Fit(bad=2)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    precision = MixedPrecision("16-mixed", "cpu", scaler)
    callback = LightningCallback()
    fit = trainer(callback, max_epochs=1, plugins=[precision], gradient_clip_val=1 / 13)
    fit.fit(module, loader())
    steps = steps_of()

    assert [step.skipped for step in steps] == [False, False, True, False, False, False]
    np.testing.assert_allclose([s.norms for s in steps], module.applied, rtol=1e-3)
    np.testing.assert_allclose(values(steps, "loss"), module.losses, rtol=1e-3)


class Two(Fit):
    """Steps two optimizers by hand: clips the first, steps the second every other time."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second, self.losses = [], [], ([], [])

    def training_step(self, x: torch.Tensor, index: int) -> None:
        for k, optimizer in enumerate(self.optimizers()[: 1 + index % 2]):
            loss = (k + 1) * self.net(x).square().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            self.losses[k].append(loss.item())
            if k == 0:
                self.first.append(true_norm(self.net[0]))
                self.clip_gradients(optimizer, 1 / 13, "norm")
            else:
                self.second.append(true_norm(self.net[2]))
            optimizer.step()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.SGD(self.net[0].parameters(), lr=1 / 64),
            torch.optim.Adam(self.net[2].parameters(), lr=1 / 128),
        ]


def test_two_optimizers_record_two_runs(capfd: pytest.CaptureFixture[str]) -> None:
    """Each optimizer records its own layers, steps, losses and lr; the first plays."""
    module = Two()
    callback = LightningCallback(wav="out.wav", web=0)
    trainer(callback, max_epochs=1).fit(module, loader())
    first, second = steps_of("run.optimizer0.jsonl"), steps_of("run.optimizer1.jsonl")

    assert capfd.readouterr().err.count("hear it at") == 1
    assert gradsound.read_run("run.optimizer1.jsonl").header.layers == ("net.2",)
    np.testing.assert_allclose([s.raw for s in first], np.c_[module.first], rtol=1e-5)
    np.testing.assert_allclose([s.norms for s in first], 1 / 13, rtol=1e-4)
    np.testing.assert_allclose([s.norms for s in second], np.c_[module.second], rtol=1e-5)
    assert [step.raw for step in second] == [None] * 3
    np.testing.assert_allclose(values(first, "loss"), module.losses[0], rtol=1e-6)
    np.testing.assert_allclose(values(second, "loss"), module.losses[1], rtol=1e-6)
    assert values(second, "lr") == [1 / 128] * 3
    assert Path("out.optimizer0.wav").exists()
    assert Path("out.optimizer1.wav").exists()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_failed_fit_leaves_whole_files(kind: type[BaseException]) -> None:
    """The files end at the step before, no hook remains, the fit's exception passes."""

    class Failing(Fit):
        def training_step(self, x: torch.Tensor, index: int) -> torch.Tensor:
            if index == 4:
                raise kind("four")
            return super().training_step(x, index)

    module = Failing()
    fit = trainer(LightningCallback(wav="run.wav"))
    with pytest.raises(SystemExit if kind is KeyboardInterrupt else kind):
        fit.fit(module, loader())

    assert len(steps_of()) == 4
    assert soundfile.info("run.wav").duration > 4 * 0.2
    assert not fit.optimizers[0]._optimizer_step_pre_hooks
    assert clipping_is_unpatched()


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_a_checkpoint_contains_no_callback() -> None:
    """A checkpoint has no trace of gradsound; a fit that resumes from it is recorded."""
    module, again = Fit(), Fit()
    options = {"dirpath": "saved", "filename": "at", "every_n_train_steps": 6}
    for model, max_steps, path in ((module, 6, None), (again, 12, "saved/at.ckpt")):
        callbacks = [LightningCallback(), ModelCheckpoint(**options)]
        fit = trainer(*callbacks, max_steps=max_steps, enable_checkpointing=True)
        fit.fit(model, loader(), ckpt_path=path)

    assert b"gradsound" not in Path("saved/at.ckpt").read_bytes().lower()
    assert len(steps_of("run.1.jsonl")) == 6
    np.testing.assert_allclose([s.norms for s in steps_of()], again.applied, rtol=1e-5)
    assert len(again.applied) == 6
    assert [step.number for step in steps_of()] == [*range(6, 12)]


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_a_fit_goes_on_in_its_run_file() -> None:
    """With resume=True, steps after the checkpoint take those of the killed fit back."""
    first, again = Fit(), Fit()
    options = {"dirpath": "saved", "filename": "at", "every_n_train_steps": 6}
    for model, max_steps, path in ((first, 9, None), (again, 12, "saved/at.ckpt")):
        callbacks = [LightningCallback(resume=True), ModelCheckpoint(**options)]
        fit = trainer(*callbacks, max_steps=max_steps, enable_checkpointing=True)
        fit.fit(model, loader(), ckpt_path=path)
    steps = steps_of()

    assert [step.number for step in steps] == [*range(12)]
    norms = first.applied[:6] + again.applied
    np.testing.assert_allclose([step.norms for step in steps], norms, rtol=1e-5)
    assert (np.diff([step.time for step in steps]) > 0).all()


def test_a_second_fit_keeps_the_first_run() -> None:
    """One trainer with one callback fits twice: two runs, the older under another name."""
    module, fit = Fit(), trainer(LightningCallback(), max_epochs=1)
    fit.fit(module, loader())
    fit.fit_loop.max_epochs = 2
    fit.fit(module, loader())
    both = [step.norms for name in ("run.1.jsonl", "run.jsonl") for step in steps_of(name)]

    np.testing.assert_allclose(both, module.applied, rtol=1e-5)


def test_a_fit_without_an_optimizer() -> None:
    """If Lightning has no optimizer, the callback records any optimizer that steps."""

    class Own(Fit):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.own = torch.optim.SGD(self.net.parameters(), lr=1 / 64)

        def training_step(self, x: torch.Tensor, _: int) -> None:
            self.net(x).square().mean().backward()
            self.applied.append(norms_of(self.net))
            self.own.step()
            self.own.zero_grad()

        def configure_optimizers(self) -> None:
            return None

    module = Own()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*will run with no optimizer")
        trainer(LightningCallback()).fit(module, loader())

    np.testing.assert_allclose([s.norms for s in steps_of()], module.applied, rtol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "last_line"),
    [
        ("lightning", "callback of pytorch_lightning"),
        ("lightning pytorch_lightning", "No module named 'lightning'"),
    ],
)
def test_where_lightning_is_not_installed(hidden: str, last_line: str) -> None:
    """It falls back to pytorch_lightning; without both, the error names lightning."""
    code = f"""
import sys
from importlib.machinery import PathFinder

class Hiding:
    def find_spec(self, name, path=None, target=None):
        hidden = name.split(".")[0] in {hidden.split()!r}
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding()
from gradsound.integrations.lightning import Callback, LightningCallback

LightningCallback()
print("callback of", Callback.__module__)
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert last_line in (process.stdout + process.stderr).splitlines()[-1]


def test_pytorch_lightning() -> None:
    """The callback records a fit of the Trainer in pytorch_lightning."""

    class Module(pytorch_lightning.LightningModule):
        training_step, configure_optimizers = Fit.training_step, Fit.configure_optimizers

        def __init__(self) -> None:
            super().__init__()
            self.net, self.bad, self.losses = small(), None, []

    module = Module()
    callback = LightningCallback()
    trainer(callback, kind=pytorch_lightning.Trainer).fit(module, loader())

    np.testing.assert_allclose(values(steps_of(), "loss"), module.losses, rtol=1e-6)


def test_a_fit_on_a_page(capfd: pytest.CaptureFixture[str]) -> None:
    """web= serves the page during the fit."""
    urls = []

    class Watching(Fit):
        def on_train_batch_end(self, *_: object) -> None:
            attachments = callback._training._attachments.values()
            urls.append([attachment.url for attachment in attachments])

    callback = LightningCallback(web=0)
    trainer(callback, max_epochs=1).fit(Watching(), loader())

    assert f"hear it at {urls[-1][0]}" in capfd.readouterr().err


# Hugging Face


def gpt2() -> GPT2LMHeadModel:
    """Returns a seeded GPT-2 of the smallest size."""
    torch.manual_seed(0)
    size = {"vocab_size": 16, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 1}
    drop = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(**size, **drop, **ends))


def norms_by_name(model: torch.nn.Module, names: tuple[str, ...]) -> list[float]:
    modules = dict(model.named_modules())
    return [true_norm(modules[name]) for name in names]


class RecordingTrainer(Trainer):
    """Keeps its losses, and its norms before and after clipping."""

    def __init__(self, *callbacks: object, bad: int = -1, **options: object) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)  # as in a new process
        usual = {
            "output_dir": "out",
            "use_cpu": True,
            "per_device_train_batch_size": 4,
            "num_train_epochs": 2,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }
        tokens = torch.randint(16, (24, 8), generator=torch.Generator().manual_seed(1))
        rows = [{"input_ids": row, "labels": row} for row in tokens]
        super().__init__(
            gpt2(),
            TrainingArguments(**{**usual, **options}),
            train_dataset=rows,
            eval_dataset=rows[:4],
            callbacks=[_AppliedNorms(self), *callbacks],
        )
        self.micro, self.applied, self.batches, self.bad = [], [], 0, bad
        self.names = ("transformer.wte", "transformer.wpe", "transformer.h.0.ln_1")

    def training_step(self, *args: object, **kwargs: object) -> torch.Tensor:
        if self.batches == self.bad:
            raise KeyboardInterrupt
        self.batches += 1
        loss = super().training_step(*args, **kwargs)
        self.micro.append(norms_by_name(self.model, self.names))
        return loss

    def logged(self, name: str) -> list[float]:
        return [row[name] for row in self.state.log_history if name in row]


class _AppliedNorms(TrainerCallback):
    def __init__(self, trainer: RecordingTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, *_: object, **__: object) -> None:
        norms = norms_by_name(self.trainer.model, self.trainer.names)
        self.trainer.applied.append(norms)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("max_norm", [0.0, 1 / 13])
def test_a_trainer(bf16: bool, accumulate: int, max_norm: float) -> None:
    """The run has the Trainer's norms before and after clipping, its loss, lr and epoch."""
    trainer = RecordingTrainer(
        TransformersCallback(layers=["*wte", "*wpe", "*ln*", "*attn*", "*mlp*"]),
        bf16=bf16,
        gradient_accumulation_steps=accumulate,
        max_grad_norm=max_norm,
        eval_strategy="epoch",
    )
    trainer.train()
    run = gradsound.read_run("run.jsonl")
    steps, half = [*run.steps], 6 // accumulate
    columns = [run.header.layers.index(name) for name in trainer.names]
    raw = np.array([step.raw for step in steps])

    assert len(steps) == 2 * half
    applied = np.array([step.norms for step in steps])
    np.testing.assert_allclose(applied[:, columns], trainer.applied, rtol=1e-5)
    micro = trainer.micro[accumulate - 1 :: accumulate]
    np.testing.assert_allclose(raw[:, columns], micro, rtol=1e-5)
    total = np.linalg.norm(raw, axis=1)  # over all layers
    np.testing.assert_allclose(total, trainer.logged("grad_norm"), rtol=1e-5)
    if max_norm:
        np.testing.assert_allclose(np.linalg.norm(applied, axis=1), max_norm, rtol=1e-4)
    np.testing.assert_allclose(values(steps, "lr"), trainer.logged("learning_rate"))
    np.testing.assert_allclose(values(steps[1:], "loss"), trainer.logged("loss")[:-1])
    assert values(steps, "epoch") == [0.0] * half + [1.0] * half
    assert clipping_is_unpatched()


def test_an_interrupted_trainer() -> None:
    """An interrupted training has whole files after close(), or once it trains again."""
    callback = TransformersCallback(wav="run.wav")
    trainer = RecordingTrainer(callback, bad=5)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    callback.close()

    assert len(steps_of()) == 5
    assert soundfile.info("run.wav").duration > 5 * 0.2
    assert clipping_is_unpatched()

    trainer.bad = 8
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.bad = -1
    trainer.train()

    assert [len(steps_of(name)) for name in ("run.1.jsonl", "run.2.jsonl")] == [5, 3]
    assert len(steps_of()) == 12
    assert clipping_is_unpatched()


def test_a_trainer_resumes_from_a_checkpoint() -> None:
    """A checkpoint has no trace of gradsound, and the resumed training is recorded."""
    options = {"save_strategy": "steps", "save_steps": 4}
    RecordingTrainer(TransformersCallback(), max_steps=4, **options).train()
    trainer = RecordingTrainer(TransformersCallback(), **options)
    trainer.train(resume_from_checkpoint="out/checkpoint-4")

    saved = [path for path in Path("out/checkpoint-4").iterdir() if path.is_file()]
    assert not [p.name for p in saved if b"gradsound" in p.read_bytes().lower()]
    assert json.loads(Path("out/checkpoint-4/trainer_state.json").read_text())
    assert [len(steps_of(name)) for name in ("run.1.jsonl", "run.jsonl")] == [4, 8]
    np.testing.assert_allclose(
        values(steps_of(), "lr"), trainer.logged("learning_rate")[-8:]
    )
    assert [step.number for step in steps_of()] == [*range(4, 12)]


def test_a_trainer_goes_on_in_its_run_file() -> None:
    """With resume=True, the run has each step once, whatever was repeated."""
    options = {"save_strategy": "steps", "save_steps": 4}
    RecordingTrainer(TransformersCallback(resume=True), max_steps=6, **options).train()
    trainer = RecordingTrainer(TransformersCallback(resume=True), **options)
    trainer.train(resume_from_checkpoint="out/checkpoint-4")
    steps = steps_of()

    assert [step.number for step in steps] == [*range(12)]
    np.testing.assert_allclose(
        values(steps[4:], "lr"), trainer.logged("learning_rate")[-8:]
    )
    assert not Path("run.1.jsonl").exists()


# Both


def weights(kind: type, *callbacks: object) -> list[torch.Tensor]:
    if kind is LightningCallback:
        model = Fit()
        trainer(*callbacks, gradient_clip_val=1 / 13).fit(model, loader())
    else:
        recorder = RecordingTrainer(*callbacks, seed=1)
        recorder.train()
        model = recorder.model
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("kind", CALLBACKS)
def test_training_is_bit_identical(kind: type) -> None:
    """With and without the callback, the weights are equal to the last bit."""
    for ours, theirs in zip(weights(kind, kind()), weights(kind)):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", CALLBACKS)
def test_a_copy_has_no_attachment(kind: type) -> None:
    """A copy of an attached callback, pickled or not, has its options only."""
    callback = kind(log="it.jsonl", comment="copied")
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    callback._training.attach(model, optimizer)
    for copied in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):  # noqa: S301
        assert copied._training._attachments == {}
        copied._training.end()
        assert copied._training.options == {"log": "it.jsonl", "comment": "copied"}
    assert len(callback._training._attachments) == 1
    callback._training.end()

    assert gradsound.read_run("it.jsonl").header.comment == "copied"


@pytest.mark.parametrize("kind", CALLBACKS)
def test_bad_options_raise_in_the_constructor(kind: type) -> None:
    """The constructor raises one sentence, before any training."""
    with pytest.raises(
        TypeError, match=r"no option 'lgo'; there are: web, stop_on, log, wav"
    ):
        kind(lgo="run.jsonl")
    with pytest.raises(TypeError, match="no option 'scaler'"):
        kind(scaler=None)
    with pytest.raises(ValueError, match="two ways to listen, got web=9000: give one"):
        kind(web=9000, live=True)
    with pytest.raises(ValueError, match="port must be 0 to 65535, got 70000"):
        kind(web=70_000)
    with pytest.raises(ValueError, match=r"it\.aiff: a sound file ends in \.wav"):
        kind(wav="it.aiff")
    with pytest.raises(ValueError, match="no preset 'note'; did you mean 'notes'"):
        kind(preset="note")
    with pytest.raises(ValueError, match="no signal 'srn'; did you mean 'snr'"):
        kind(signals=["srn"])
    with pytest.raises(TypeError, match="voice"):
        kind(voice=3)
    assert [*Path().iterdir()] == []


def test_the_guide_runs(save, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippets of docs/frameworks.md run in order; those marked "py" cannot."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", ".")
    save([[1 / 3, 2 / 3]] * 3)
    arguments = TrainingArguments("out", use_cpu=True, report_to="none")
    namespace = {"model": gpt2(), "arguments": arguments, "data": [{"input_ids": [0]}]}
    text = (Path(__file__).parents[2] / "docs/frameworks.md").read_text()
    codes = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for code in codes:
        exec(compile(code, "frameworks.md", "exec"), namespace)  # noqa: S102 (our own document)

    assert len(codes) == 8
    assert namespace["right"].lines
    assert not namespace["left"].lines
