"""fastai: FastaiCallback with optimizers of fastai and of torch, and fastai's callbacks."""

from __future__ import annotations

from functools import partial

import fitting_torchvision  # noqa: F401 (before fastai, which imports torchvision)
import torch
from checked_case import RUN, Training, check, copies, data
from fastai.callback import fp16
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam, OptimWrapper, ranger
from helpers.models import small
from helpers.oracle import true_norms
from torch import nn

import gradsound


class Unclipped(Callback):
    """Adds the true norms to a training before GradientClip clips."""

    order = GradientClip.order - 0.5

    def __init__(self, done: Training) -> None:
        super().__init__()
        self._done = done

    def before_step(self) -> None:
        """Looks at complete gradients."""
        self._done.raw.append(true_norms(self.learn.model))


class Applied(Callback):
    """Adds the true norms to a training when the optimizer is about to step."""

    order = 1000

    def __init__(self, done: Training) -> None:
        super().__init__()
        self._done, self._losses = done, []

    def after_loss(self) -> None:
        """Keeps the loss of a batch of the training."""
        if self.learn.training:
            self._losses.append(float(self.learn.loss))

    def before_step(self, *, skipped: bool = False) -> None:
        """Looks at the gradients that the optimizer applies."""
        self._done.applied.append(true_norms(self.learn.model))
        self._done.losses.append(sum(self._losses) / len(self._losses))
        self._done.skipped.append(skipped)
        self._losses.clear()

    def after_cancel_step(self) -> None:
        """Looks at the gradients of a step that fastai skips."""
        self.before_step(skipped=True)


def train(
    attached: bool,
    *callbacks: object,
    optimizer: object = Adam,
    clip: bool = False,
    frozen: bool = False,
) -> Training:
    """Fits a small model for two epochs."""
    rows = [(x, x[:1]) for x in data()]
    model = small()
    done = Training(raw=[] if clip else None)
    callbacks = [*callbacks, Applied(done)]
    if clip:
        callbacks += [GradientClip(1 / 13), Unclipped(done)]
    if attached:
        callbacks = [gradsound.FastaiCallback(log=RUN), *callbacks]
    learner = Learner(
        DataLoaders(*(DataLoader(rows, bs=4, num_workers=0) for _ in range(2))),
        model,
        loss_func=nn.functional.mse_loss,
        opt_func=optimizer,
        cbs=callbacks,
        splitter=lambda m: [[*m[0].parameters()], [*m[2].parameters()]],
    )
    if frozen:
        learner.create_opt()
        learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit(2, 0.01)
        learner.validate()  # which begins and ends like a fit, and has no run
    done.weights = copies(model)
    return done


def train_in_half_precision(attached: bool) -> Training:
    """Fits with a loss scale that is too large at first: fastai skips these steps."""
    done = train(attached, MixedPrecision(init_scale=2.0**22))
    if not 0 < sum(done.skipped) < len(done.skipped):
        raise RuntimeError(f"{sum(done.skipped)} of {len(done.skipped)} steps skipped")
    return done


check("Adam", train)
check("Adam, clipped", partial(train, clip=True))
check("Adam, frozen body", partial(train, frozen=True))
check(
    "Adam, accumulated, clipped",
    lambda on: train(on, GradientAccumulation(8), clip=True),
)
check("ranger (Lookahead)", partial(train, optimizer=ranger))
check("SGD", partial(train, optimizer=partial(SGD, mom=0.9)))
check(
    "OptimWrapper of AdamW, clipped",
    partial(train, optimizer=partial(OptimWrapper, opt=torch.optim.AdamW), clip=True),
)
# fastai asks for CUDA in mixed precision; on a CPU, torch has both of these too.
fp16.autocast = lambda _, **options: torch.autocast("cpu", **options)
fp16.GradScaler = lambda _, **options: torch.amp.GradScaler("cpu", **options)
check("bf16", lambda on: train(on, MixedPrecision("bf16"), clip=True))
check("fp16, steps skipped", train_in_half_precision)
