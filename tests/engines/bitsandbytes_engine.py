"""bitsandbytes: optimizers with states of 8 bits."""

from __future__ import annotations

import torch
from bitsandbytes import optim
from optimizer_case import check_optimizer
from torch import nn


def wide() -> nn.Module:
    """Returns a model with tensors large enough for states of 8 bits."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2048), nn.ReLU(), nn.Linear(2048, 4))


for name in ("AdamW8bit", "Lion8bit"):
    kind = getattr(optim, name)
    check_optimizer(name, lambda m, kind=kind: kind(m.parameters(), lr=0.01), model=wide)
