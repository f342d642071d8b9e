"""Roles of logged values in the picture: loss, evaluation loss, learning rate."""

from __future__ import annotations

import re

from gradsound.summary.value_statistics import evaluation_losses

_LEARNING_RATES = {"lr", "learning_rate"}
# Of values that have "loss" in their name and are none, such as the scale of a GradScaler.
_NO_LOSS = {"scale", "scaler", "weight", "coef", "coefficient", "ratio", "lr", "norm"}


def find_role(name: str) -> str | None:
    """Returns "loss", "evaluation" or "rate"; None for another value.

    Args:
        name: The name of the value, such as "loss", "eval_loss" or "val/loss".
    """
    if name.lower() in _LEARNING_RATES:
        return "rate"
    if evaluation_losses([name]):
        return "evaluation"
    words = {*re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())}
    return "loss" if "loss" in words and not words & _NO_LOSS else None
