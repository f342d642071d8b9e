"""Trains by DeepSpeed through Accelerate, the Trainer and Lightning, on the CPU.

    python tests/engines/deepspeed_frameworks.py

It prints one line of JSON a case, and exits with 0 if all is right. The norms of the
gradient that DeepSpeed's ``safe_get_full_grad`` gathers, and its clip factor, decide.
Lightning's strategy refuses a machine without GPU; here a subclass does not.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deepspeed_ranks import print_cases, run_ranks
from torch import nn

import gradsound

_CLIP = 1 / 13
_STEPS = 5
_Started = Callable[[Any, nn.Module], None]  # called with the engine and the model


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(7, 13), nn.Linear(13, 5)

    def forward(self, x: torch.Tensor, **_: Any) -> dict[str, torch.Tensor]:
        return {"loss": self.last(self.first(x).tanh()).square().mean()}


def _data() -> torch.Tensor:
    return torch.randn(80, 7, generator=torch.Generator().manual_seed(2))


def _config(stage: int) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": 4,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
        "zero_optimization": {
            "stage": stage,
            "stage3_param_persistence_threshold": 0,
        },
    }


def accelerate(stage: int, started: _Started, *, attached: bool) -> None:
    """A loop of one's own, with what Accelerate prepares."""
    from accelerate import Accelerator, DeepSpeedPlugin

    config = {**_config(stage), "gradient_clipping": _CLIP}
    accelerator = Accelerator(deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=config))
    net = _Net()
    engine, optimizer = accelerator.prepare(net, torch.optim.SGD(net.parameters(), lr=0.1))
    attachment = None
    if attached:
        attachment = gradsound.attach(engine, optimizer, log="run.jsonl")
    started(engine, net)
    for x in _data().split(4)[:_STEPS]:
        accelerator.backward(engine(x)["loss"])
        optimizer.step()
        optimizer.zero_grad()
    if attachment is not None:
        attachment.close()


def trainer(stage: int, started: _Started, *, attached: bool) -> None:
    """The Trainer of Transformers."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Start(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            started(training.deepspeed, net)

    net = _Net()
    callbacks: list[Any] = [Start()]
    if attached:
        callbacks.append(gradsound.TransformersCallback(log="run.jsonl"))
    training = Trainer(
        net,
        TrainingArguments(
            "trainer",
            max_steps=_STEPS,
            per_device_train_batch_size=4,
            max_grad_norm=_CLIP,
            optim="sgd",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            deepspeed={**_config(stage), "gradient_clipping": "auto"},
        ),
        train_dataset=[{"x": x, "labels": x} for x in _data()],
        callbacks=callbacks,
    )
    training.train()


def lightning(stage: int, started: _Started, *, attached: bool) -> None:
    """Lightning's strategy."""
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy

    class OnCpu(DeepSpeedStrategy):
        def setup_environment(self) -> None:
            DDPStrategy.setup_environment(self)

        def setup_distributed(self) -> None:
            self.set_world_ranks()
            self._init_deepspeed_distributed()

        @property
        def root_device(self) -> torch.device:
            return torch.device("cpu", 0)

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = _Net()

        def training_step(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)["loss"]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Start(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            started(trainer.strategy.model, pl_module.net)

    callbacks: list[Any] = [Start()]
    if attached:
        callbacks.append(gradsound.LightningCallback(log="run.jsonl"))
    Trainer(
        accelerator="cpu",
        devices=int(os.environ["WORLD_SIZE"]),
        strategy=OnCpu(config=_config(stage), process_group_backend="gloo"),
        gradient_clip_val=_CLIP,
        max_steps=_STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    ).fit(Module(), torch.utils.data.DataLoader(_data(), batch_size=4))


_FRAMEWORKS = {one.__name__: one for one in (accelerate, trainer, lightning)}


def _work(name: str, stage: str, attached: str) -> None:
    """Trains in one rank; rank 0 prints the true norms and the weights."""
    truth: list[list[float]] = []
    seen: list[nn.Module] = []

    def start(engine: Any, net: nn.Module) -> None:
        from deepspeed.utils import safe_get_full_grad

        original = engine.step
        seen.append(net)

        def step(*args: Any, **kwargs: Any) -> None:
            parts = [
                [safe_get_full_grad(p).double().flatten() for p in layer.parameters()]
                for layer in (net.first, net.last)
            ]
            truth.append([torch.cat(one).norm().item() for one in parts])
            original(*args, **kwargs)

        engine.step = step

    # The ranks of one training share a folder, but each writes its files in its own.
    folder = Path(f"rank{os.environ['RANK']}")
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    _FRAMEWORKS[name](int(stage), start, attached=attached == "attached")
    from deepspeed.utils import safe_get_full_fp32_param

    weights = [safe_get_full_fp32_param(p).flatten().tolist() for p in seen[0].parameters()]
    if os.environ["RANK"] == "0":
        line = {"case": name, "message": "", "truth": truth, "weights": weights}
        sys.stdout.write(f"\n{json.dumps(line)}\n")


def _check(name: str, stage: int, ranks: int) -> dict[str, Any]:
    """Returns what is right in a case."""
    words = f"{name}, ZeRO {stage}, {ranks} rank" + "s" * (ranks > 1)
    before = Path.cwd()
    script = str(Path(__file__).resolve())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            bare, *failed = run_ranks(script, name, str(stage), "bare", ranks=ranks)
            attached, *more = run_ranks(script, name, str(stage), "attached", ranks=ranks)
            if failed or more:
                return {"case": words, "message": str(failed + more)}
            run = gradsound.read_run("rank0/run.jsonl")
            steps = [*run.steps]
        finally:
            os.chdir(before)
    layers = [
        next(k for k, layer in enumerate(run.header.layers) if layer.endswith(end))
        for end in ("first", "last")
    ]
    truth = np.array(attached["truth"])
    total = np.sqrt(np.square(truth).sum(axis=1, keepdims=True))
    applied = truth * np.minimum(1, _CLIP / (total + 1e-6))
    return {
        "case": words,
        "norms": _are_equal([step.norms[layers] for step in steps], applied),
        "raw": _are_equal(
            [step.raw[layers] for step in steps if step.raw is not None], truth
        ),
        "steps": [step.number for step in steps] == [*range(_STEPS)],
        "weights": bare["weights"] == attached["weights"] != [],
        "message": "",
    }


def _are_equal(norms: list[np.ndarray], truth: np.ndarray) -> bool:
    return len(norms) == len(truth) and np.allclose(norms, truth, rtol=1e-4, atol=0)


if __name__ == "__main__":
    if "RANK" in os.environ:
        _work(*sys.argv[1:])
    else:
        cases = (
            _check(name, stage, ranks)
            for name in _FRAMEWORKS
            for stage, ranks in ((2, 1), (3, 2))
        )
        sys.exit(not print_cases(cases))
