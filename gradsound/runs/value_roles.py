"""Roles of logged values, found by name: loss, learning rate, epoch, experts in use.

It knows the names that trainers write; docs/logs.md lists them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EPOCH_NAMES = ("epoch", "train/epoch", "trainer/epoch", "_epoch", "epochs")
# Names by gradsound's own name. The first that a log has wins.
_USUAL_NAMES = {
    "loss": (
        *("loss", "train_loss", "train/loss", "loss/train", "training_loss"),
        *("training/loss", "train/train_loss", "loss_step", "train_loss_step"),
        *("train/loss_step", "lm_loss", "reduced_train_loss", "total_loss"),
        *("train/total_loss", "loss/total", "loss_metrics/global_avg_loss"),
    ),
    "lr": (
        *("lr", "learning_rate", "train/learning_rate", "train/lr", "lr/train"),
        *("optim/learning_rate", "optim/lr", "learning_rate/group0"),
    ),
    "epoch": EPOCH_NAMES,
}
USUAL_VALUES = (*_USUAL_NAMES,)  # in the order in which captions show them
_LR_MONITOR = re.compile(r"lr-[A-Za-z]\w*(?:/pg1)?")  # Lightning's LearningRateMonitor
_DATA = "(?:val|valid|validation|eval|evaluation|dev|test)"
_EVALUATION_LOSS = re.compile(
    rf"(?:.*[/._ -])?(?:{_DATA}(?:[/._ -].*)?[/._ -]?loss|loss[/._ -]{_DATA})"
    r"(?:[/._ -](?:epoch|step))?",
    re.IGNORECASE,
)
# The number that `gradsound.in_use` returns, of a model or of one of its layers.
_EXPERTS_IN_USE = re.compile(
    r"(?:.*/)?experts|(?:.*[/_])?experts[/_]in[/_]use(?:[/_](?:layers?[/_]?)?\d+)?"
)
# Of values that have "loss" in their name and are none, such as the scale of a GradScaler.
_NO_LOSS = {"scale", "scaler", "weight", "coef", "coefficient", "ratio", "lr", "norm"}


def find_usual(usual: str, names: Iterable[str]) -> str | None:
    """Returns the name of a usual value; None if no name is that of the value.

    Args:
        usual: One of `USUAL_VALUES`.
        names: The names of a run's values, such as "train_loss" or "Train/Loss".
    """
    names = [*names]
    plain = {_normalize(name): name for name in names}
    found = next((plain[name] for name in _USUAL_NAMES[usual] if name in plain), None)
    if found is None and usual == "lr":
        found = next((name for name in names if _LR_MONITOR.fullmatch(name)), None)
    return found


def _normalize(name: str) -> str:
    """Returns a name in lower case, with slashes for the points of W&B's nested names."""
    return name.lower().replace(" ", "_").replace("-", "_").replace(".", "/")


def is_evaluation_loss(name: str) -> bool:
    """Whether a name is that of an evaluation loss, such as "eval_loss" or "val/loss"."""
    return _EVALUATION_LOSS.fullmatch(name) is not None


def are_experts_in_use(name: str) -> bool:
    """Whether a name is that of the experts in use, such as "layer3/experts_in_use"."""
    return _EXPERTS_IN_USE.fullmatch(_normalize(name)) is not None


def find_role(name: str) -> str | None:
    """Returns "loss", "evaluation" or "rate"; None for another value.

    Args:
        name: The name of the value, such as "loss", "policy_loss", "eval_loss" or "lr".
    """
    if find_usual("lr", [name]):
        return "rate"
    if is_evaluation_loss(name):
        return "evaluation"
    words = {*re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())}
    return "loss" if "loss" in words and not words & _NO_LOSS else None
