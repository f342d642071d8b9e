"""MosaicML Composer: ComposerCallback, and `attach` in a user's own callback."""

from __future__ import annotations

from functools import partial

import fitting_torchvision  # noqa: F401 (before composer, which imports torchvision)
import torch
from checked_case import RUN, Training, check, copies, data
from composer import Trainer
from composer.algorithms import SAM, GradientClipping
from composer.core import Algorithm, Callback, Event, Precision
from composer.models import ComposerModel
from composer.trainer import trainer as composer_trainer
from helpers.models import small
from helpers.oracle import true_norms
from torch.utils.data import DataLoader

import gradsound


class Model(ComposerModel):
    """A small model whose loss is the mean square of its output."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Returns the output for a batch."""
        return self.net(batch)

    def loss(self, outputs: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Returns the loss of a batch."""
        return outputs.float().square().mean()


class Unclipped(Algorithm):
    """Adds the true norms to a training before GradientClipping.

    Composer calls algorithms in reverse after a batch: this is the last in the list.
    """

    def __init__(self, done: Training) -> None:
        self._done = done

    def match(self, event: Event, state: object) -> bool:
        """Chooses the event after which GradientClipping clips."""
        return event == Event.AFTER_TRAIN_BATCH

    def apply(self, event: Event, state: object, logger: object) -> None:
        """Looks at complete gradients."""
        self._done.raw.append(true_norms(state.model))


class Applied(Callback):
    """Adds the true norms to a training when the gradients of a batch are complete."""

    def __init__(self, done: Training) -> None:
        self._done, self._losses, self._norms, self._before = done, [], None, []

    def batch_start(self, state: object, logger: object) -> None:
        """Keeps the weights before the step."""
        self._before = copies(state.model)

    def before_train_batch(self, state: object, logger: object) -> None:
        """Forgets a batch that SAM evaluates again."""
        self._losses.clear()

    def before_backward(self, state: object, logger: object) -> None:
        """Keeps the loss of a microbatch."""
        self._losses.append(state.loss.item())

    def after_train_batch(self, state: object, logger: object) -> None:
        """Looks at the gradients that the optimizer applies."""
        self._norms = true_norms(state.model)

    def batch_end(self, state: object, logger: object) -> None:
        """Adds what the last evaluation of the batch made."""
        self._done.applied.append(self._norms)
        self._done.losses.append(sum(self._losses) / len(self._losses))
        pairs = zip(self._before, state.model.parameters())
        self._done.skipped.append(all(torch.equal(old, new) for old, new in pairs))


class Attaching(Callback):
    """A user's own callback."""

    def fit_start(self, state: object, logger: object) -> None:
        """Attaches."""
        self._attachment = gradsound.attach(state.model, state.optimizers[0], log=RUN)

    def fit_end(self, state: object, logger: object) -> None:
        """Ends the run."""
        self._attachment.close()


def train(
    attached: bool,
    *algorithms: object,
    callback: type | None = None,
    clip: bool = False,
    **options: object,
) -> Training:
    """Fits a small model for two epochs."""
    model = Model()
    done = Training(raw=[] if clip else None)
    algorithms = [*algorithms]
    if clip:
        algorithms += [GradientClipping("norm", 1 / 13), Unclipped(done)]
    ours = [] if not attached else [callback() if callback else _ours()]
    applied = Applied(done)
    trainer = Trainer(
        model=model,
        train_dataloader=DataLoader(data(), batch_size=4),
        optimizers=torch.optim.AdamW(model.parameters(), lr=0.01),
        max_duration="2ep",
        algorithms=algorithms,
        callbacks=[applied, *ours],
        progress_bar=False,
        device="cpu",
        **options,
    )
    trainer.fit()
    trainer.close()
    if callback:
        done.losses.clear()  # it logs none
    done.weights = copies(model)
    return done


def _ours() -> Callback:
    return gradsound.ComposerCallback(log=RUN)


def autocast_on_a_cpu(precision: Precision, *_: object, **__: object) -> torch.autocast:
    """Returns the context in which composer computes losses, on a CPU."""
    half = precision == Precision.AMP_FP16
    dtype = torch.float16 if half else torch.bfloat16
    return torch.autocast("cpu", dtype, enabled=precision != Precision.FP32)


def train_with_loss_scale(attached: bool, scale: float, **options: object) -> Training:
    """Fits in float16; with a loss scale that is too large, Composer skips first steps."""
    composer_trainer.GradScaler = partial(torch.amp.GradScaler, "cpu", init_scale=scale)
    return train(attached, precision="amp_fp16", **options)


def train_with_skipped_steps(attached: bool) -> Training:
    """Fits with a loss scale of which not all steps get usable gradients."""
    done = train_with_loss_scale(attached, 2.0**24, clip=True)
    if not 0 < sum(done.skipped) < len(done.skipped):
        raise RuntimeError(f"{sum(done.skipped)} of {len(done.skipped)} steps skipped")
    return done


check("fit", train)
check("clipped", partial(train, clip=True))
check("microbatches, clipped", partial(train, clip=True, device_train_microbatch_size=2))
check("SAM (closure)", lambda on: train(on, SAM(rho=0.05)))
check("attach in a callback", partial(train, callback=Attaching))
# Composer refuses mixed precision on a CPU, where torch has both of these too.
composer_trainer._validate_precision = lambda *_: None
composer_trainer.get_precision_context = autocast_on_a_cpu
check("amp_bf16, clipped", partial(train, clip=True, precision="amp_bf16"))
check(
    "amp_bf16, microbatches",
    partial(train, precision="amp_bf16", device_train_microbatch_size=2),
)
check("amp_bf16, SAM", lambda on: train(on, SAM(rho=0.05), precision="amp_bf16"))
check("amp_fp16", partial(train_with_loss_scale, scale=2.0**8))
check("amp_fp16, clipped", partial(train_with_loss_scale, scale=2.0**8, clip=True))
check("amp_fp16, clipped, steps skipped", train_with_skipped_steps)
check(
    "amp_fp16, attach in a callback",
    partial(train_with_loss_scale, scale=2.0**8, clip=True, callback=Attaching),
)
