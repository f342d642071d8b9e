"""Keras on torch: KerasCallback with what Keras does to gradients, and loops of torch."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import keras
import numpy as np
import torch
from checked_case import RUN, Training, check
from helpers.keras_models import Oracle, layer_norms, sequential

import gradsound


def train(attached: bool, *, jit: bool = False, **options: object) -> Training:
    """Fits a small model for two epochs."""
    model, optimizer = sequential(**options)
    model.compile(optimizer=optimizer, loss="mse", jit_compile=jit)
    x = np.random.default_rng(0).random((24, 3), dtype="float32")
    callbacks = [gradsound.KerasCallback(log=RUN)] if attached else []
    oracle = Oracle(model)
    with oracle if attached else nullcontext():
        model.fit(
            *(x, x.sum(1, keepdims=True)),
            **{"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0},
            callbacks=callbacks,
        )
    return Training(
        [torch.tensor(weight) for weight in model.get_weights()],
        oracle.applied,
        oracle.raw or None,
        oracle.losses,
        oracle.skipped if any(oracle.skipped) else [],
    )


def train_by_torch(attached: bool) -> Training:
    """Trains a Keras model by a loop and an optimizer of torch."""
    model, _ = sequential()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    done = Training()
    recording = gradsound.attach(model, optimizer, log=RUN) if attached else nullcontext()
    with recording:
        for x in torch.rand(24, 3, generator=torch.Generator().manual_seed(1)).split(4):
            optimizer.zero_grad()
            model(x, training=True).square().mean().backward()
            done.applied.append(layer_norms(model))
            optimizer.step()
    done.weights = [p.detach().clone() for p in model.parameters()]
    return done


check("Adam", train)
for name, value in (
    *(("clipnorm", 1 / 13), ("global_clipnorm", 1 / 13), ("clipvalue", 1 / 99)),
    *(("loss_scale_factor", 128.0), ("gradient_accumulation_steps", 3)),
):
    check(name, partial(train, **{name: value}))
check(
    "accumulated, clipped",
    partial(train, gradient_accumulation_steps=3, global_clipnorm=1 / 13),
)
check("LossScaleOptimizer, a step skipped", partial(train, loss_scale=2.0**127))
check("mixed_float16, clipped", partial(train, policy="mixed_float16", clipnorm=1 / 13))
check("SGD, weight decay, EMA", partial(train, kind=keras.optimizers.SGD, use_ema=True))
check("jit_compile", partial(train, jit=True))
check("loop of torch", train_by_torch)
