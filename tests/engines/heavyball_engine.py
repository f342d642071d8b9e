"""heavyball: optimizers that take the gradients away in their steps."""

from __future__ import annotations

import heavyball
from optimizer_case import check_optimizer

for name in ("AdamW", "Muon", "SOAP", "SFAdamW"):
    if (kind := getattr(heavyball, name, None)) is None:
        continue
    for closure in (False, True):
        check_optimizer(
            f"{name}{', closure' if closure else ''}",
            lambda model, kind=kind: kind(model.parameters(), lr=0.01),
            closure=closure,
        )
