"""Opacus: the model and the optimizer that make_private() returns."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from checked_case import RUN, Training, check, copies, data
from helpers.oracle import true_norms
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gradsound


def train(attached: bool) -> Training:
    """Trains privately for two epochs."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model, optimizer, batches = PrivacyEngine().make_private(
        module=model,
        optimizer=optimizer,
        data_loader=DataLoader(TensorDataset(data(), data()[:, :1]), batch_size=4),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        poisson_sampling=False,
        noise_generator=torch.Generator().manual_seed(2),
    )
    done = Training()
    # Opacus makes the private gradients inside of its step, just before the inner one.
    optimizer.original_optimizer.register_step_pre_hook(
        lambda *_: done.applied.append(true_norms(model))
    )
    recording = gradsound.attach(model, optimizer, log=RUN) if attached else nullcontext()
    with recording:
        for _ in range(2):
            for x, y in batches:
                optimizer.zero_grad()
                nn.functional.mse_loss(model(x), y).backward()
                optimizer.step()
    done.weights = copies(model)
    return done


check("DPOptimizer", train)
