"""Accelerate: the model and the optimizer that prepare() returns."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from checked_case import RUN, Training, check, copies, data, watch
from helpers.models import small
from helpers.oracle import true_norms

import gradsound


def train(attached: bool, **options: object) -> Training:
    """Trains for two epochs, clipped."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, **options)
    model = small()
    own = torch.optim.AdamW(model.parameters(), lr=0.01)
    done = Training(raw=[])
    watch(model, own, done)
    loader = torch.utils.data.DataLoader(data(), batch_size=4)
    prepared, optimizer, loader = accelerator.prepare(model, own, loader)
    recording = nullcontext()
    if attached:
        recording = gradsound.attach(prepared, optimizer, log=RUN)
    with recording:
        for _ in range(2):
            for x in loader:
                with accelerator.accumulate(prepared):
                    accelerator.backward(prepared(x).float().square().mean())
                    if accelerator.sync_gradients:
                        done.raw.append(true_norms(model))
                        accelerator.clip_grad_norm_(prepared.parameters(), 1 / 13)
                    optimizer.step()
                    optimizer.zero_grad()
    done.weights = copies(model)
    return done


check("fp32", train)
check("bf16", partial(train, mixed_precision="bf16"))
check("3 batches a step", partial(train, gradient_accumulation_steps=3))
