"""skorch: `attach` after initialize(), with the optimizer of the net."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from checked_case import RUN, Training, check, copies, data
from helpers.models import small
from helpers.oracle import true_norms
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback, GradientNormClipping

import gradsound


class Looking(Callback):
    """Adds the true norms to a training when gradients are complete."""

    def __init__(self, norms: list[dict[str, float]]) -> None:
        self.norms = norms

    def on_grad_computed(self, net: NeuralNetRegressor, **_: object) -> None:
        """Looks at the gradients, clipped by the callbacks before this one."""
        self.norms.append(true_norms(net.module_))


def train(attached: bool, optimizer: type = torch.optim.AdamW, clip: float = 0) -> Training:
    """Fits a small model for two epochs."""
    done = Training(raw=[] if clip else None)
    callbacks = [("applied", Looking(done.applied))]
    if clip:
        clipping = GradientNormClipping(clip)
        callbacks = [("raw", Looking(done.raw)), ("clipping", clipping), *callbacks]
    net = NeuralNetRegressor(
        small,
        optimizer=optimizer,
        lr=0.01,
        max_epochs=2,
        batch_size=4,
        train_split=None,
        callbacks=callbacks,
        iterator_train__shuffle=False,
        verbose=0,
    ).initialize()
    recording = nullcontext()
    if attached:
        recording = gradsound.attach(net.module_, net.optimizer_, log=RUN)
    with recording:
        net.partial_fit(data(), data()[:, :1])
    done.weights = copies(net.module_)
    return done


check("AdamW (closure)", train)
check("AdamW (closure), clipped", partial(train, clip=1 / 13))
check("SGD (closure), clipped", partial(train, optimizer=torch.optim.SGD, clip=1 / 13))
