"""The optimizers of torch itself."""

from __future__ import annotations

import torch
from optimizer_case import check_optimizer
from torch import nn


def embedding() -> nn.Module:
    """Returns an embedding with sparse gradients, and a sum."""
    torch.manual_seed(0)
    return nn.Sequential(nn.EmbeddingBag(5, 4, mode="sum", sparse=True))


def matrices() -> nn.Module:
    """Returns two linear layers without a bias: Muon is for matrices alone."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 4, bias=False))


for name in (
    *("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta"),
    *("RMSprop", "Rprop", "ASGD", "Adafactor", "Lion"),
):
    if (kind := getattr(torch.optim, name, None)) is not None:
        check_optimizer(name, lambda model, kind=kind: kind(model.parameters(), lr=0.01))
check_optimizer("AdamW, fused", lambda m: torch.optim.AdamW(m.parameters(), fused=True))
check_optimizer(
    "SparseAdam",
    lambda model: torch.optim.SparseAdam(model.parameters()),
    model=embedding,
    loss=lambda model, x: model(x.long()).square().mean(),
    clip=False,
)
if hasattr(torch.optim, "Muon"):
    check_optimizer(
        "Muon",
        lambda model: torch.optim.Muon(model.parameters()),
        model=matrices,
    )
check_optimizer(
    "LBFGS",
    lambda model: torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3),
    clip=False,
    closure=True,
)
