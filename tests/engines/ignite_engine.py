"""PyTorch Ignite: `attach` as it is, with the optimizer of an Engine's step function."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from checked_case import RUN, Training, check, copies, data, watch
from helpers.models import small
from helpers.oracle import true_norms
from ignite.engine import Events, create_supervised_trainer

import gradsound


def train(attached: bool, **options: object) -> Training:
    """Trains by Ignite's own trainer."""
    model = small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    done = Training()
    watch(model, optimizer, done)
    loss = torch.nn.functional.mse_loss
    trainer = create_supervised_trainer(model, optimizer, loss, **options)
    recording = gradsound.attach(model, optimizer, log=RUN) if attached else nullcontext()
    if attached:

        @trainer.on(Events.ITERATION_COMPLETED)
        def log_loss(engine: object) -> None:
            recording.log_values(loss=engine.state.output, epoch=engine.state.epoch)

    with recording:
        trainer.run([(x, x[:, :1]) for x in data().split(4)], max_epochs=2)
    done.weights = copies(model)
    return done


def train_by_own_function(attached: bool) -> Training:
    """Trains by an Engine whose function clips."""
    model = small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    done = Training(raw=[])
    watch(model, optimizer, done)

    def update(_: object, x: torch.Tensor) -> float:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        done.raw.append(true_norms(model))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)
        optimizer.step()
        return loss.item()

    from ignite.engine import Engine

    recording = gradsound.attach(model, optimizer, log=RUN) if attached else nullcontext()
    with recording:
        Engine(update).run([*data().split(4)], max_epochs=2)
    done.weights = copies(model)
    return done


check("trainer", train)
check("trainer, 3 batches a step", lambda on: train(on, gradient_accumulation_steps=3))
check("own update, clipped", train_by_own_function)
