"""Which names in a log are those of norms, of the loss, of the learning rate.

The names are those that trainers really write; docs/logs.md has the list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN, _WIDTH = 20, 80  # names in a message, and characters of each
_KIND = r"(?:total|global|overall|all|default[ _]optimizer|l2|l?\d+(?:\.\d+)?|inf)"
_NORM = (  # what says "norm of the gradient"
    rf"(?:(?:total|global|overall)[ _-])?grad(?:ient)?s?(?:[ _/-]{_KIND})*[ _/-]?g?norms?"
    r"|gnorms?|(?:l2[ _-])?norms?/grad(?:ient)?s?"
)
_WHEN = r"(?:step|epoch|un|un-?clipped|clipped|(?:before|after|pre|post)[ _-]?clip\w*)"
_TOTAL = re.compile(
    rf"(?:.*[/._ :-])?(?:{_NORM})(?:[/._ -](?:{_KIND}|{_WHEN}))*", re.IGNORECASE
)
_LAYER = re.compile(
    rf"(?:.*[/._ :-])?(?:{_NORM})[/.:|_](?P<layer>.+)"
    r"|(?:.*/)?grad(?:ient)?s?[/.](?P<within>.+)[/._](?:l2[ _-])?norm",
    re.IGNORECASE,
)
# A figure about norms, or what they are held to, is none.
_STATISTIC = re.compile(
    r"(?:.*[/._ :-])?(?:max|min|mean|avg|average|median|std|var|clip|target|log)[/._ -]"
    rf"(?:{_NORM})(?:\W.*)?"
    r"|.*[/._ :-](?:max|min|mean|avg|average|median|std|var|ratio|threshold|coef\w*|scale"
    r"|limit|num|count)",
    re.IGNORECASE,
)
# What gradsound knows by these names; the first that a log has counts.
_KNOWN = {
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
    "epoch": ("epoch", "train/epoch", "trainer/epoch", "_epoch", "epochs"),
}
_MONITOR = re.compile(r"lr-[A-Za-z]\w*(?:/pg1)?")  # Lightning's LearningRateMonitor


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers of a log are.

    Attributes:
        layers: Names of the layers by index of their norms' names, in order.
        values: What all others are called, by index.
    """

    layers: dict[int, str]
    values: dict[int, str]


def sort_out(names: Sequence[str], globs: Sequence[str] | None) -> Names:
    """Finds out what the numbers of a log are.

    Args:
        names: Of all numbers.
        globs: Which of them are norms; found by name if None.

    Raises:
        RunFormatError: If none is.
    """
    norms = _found(names) if globs is None else _chosen(names, globs)
    # Lightning's CSVLogger and file systems sort by letters: layers.10 before layers.2.
    if [names[k] for k in norms] == sorted(names[k] for k in norms):
        norms.sort(key=lambda k: _natural(names[k]))
    short = [_layer(names[k]) or names[k] for k in norms]
    if len({*short}) < len(short):  # of two models, for one
        short = [names[k] for k in norms]
    return Names(dict(zip(norms, short)), _values(names, {*norms}))


def _chosen(names: Sequence[str], globs: Sequence[str]) -> list[int]:
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise RunFormatError(f"nothing matches --norms {glob!r}; {_told(names)}")
    return [k for k, name in enumerate(names) if any(fnmatchcase(name, g) for g in globs)]


def _found(names: Sequence[str]) -> list[int]:
    totals, layers = [], []
    for k, name in enumerate(names):
        if _TOTAL.fullmatch(name) and not _STATISTIC.fullmatch(name):
            totals.append(k)
        elif _layer(name):
            layers.append(k)
    present = {*names}
    totals = [  # of Lightning, which logs what is of a step for the epoch, too
        k
        for k in totals
        if not (
            names[k].endswith("_epoch")
            and names[k].removesuffix("_epoch") + "_step" in present
        )
    ]
    if not (layers or totals):
        raise RunFormatError(
            f"nothing in it is called as the norm of a gradient is; {_told(names)}; "
            "say which with --norms GLOB, in Python norms=GLOB"
        )
    return layers or totals  # a total beside its parts is no layer


def _layer(name: str) -> str | None:
    """The layer whose norm has that name, if it is one of several."""
    if _STATISTIC.fullmatch(name) or _TOTAL.fullmatch(name):
        return None
    match = _LAYER.fullmatch(name)
    return match and (match["layer"] or match["within"])


def _values(names: Sequence[str], norms: set[int]) -> dict[int, str]:
    values = {k: name for k, name in enumerate(names) if k not in norms}
    plain = {
        name.lower().replace(" ", "_").replace("-", "_"): k for k, name in values.items()
    }
    for known, usual in _KNOWN.items():
        found = next((plain[name] for name in usual if name in plain), None)
        if found is None and known == "lr":
            found = next(
                (k for k, name in values.items() if _MONITOR.fullmatch(name)), None
            )
        if found is not None:
            values[found] = known
    return values


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are: {', '.join(map(_shown, names[:_SHOWN]))}{more}"


def _shown(name: str) -> str:
    """A name as it may be in a message of one line."""
    return "".join(one if one.isprintable() else "?" for one in name[:_WIDTH])


def _natural(name: str) -> list[str | int]:
    """To sort by: numbers within names count as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]
