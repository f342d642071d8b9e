"""Finds by name which values of a log are norms, loss, learning rate and epoch.

It knows the names that trainers write; docs/logs.md lists them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.name_matching import list_some
from gradsound.runs.value_roles import USUAL_VALUES, find_usual

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTED_MAX = 20  # names that an error message lists; more are hard to read
_NAME_WIDTH = 80  # characters of each of them; a damaged log may have longer ones

_KIND = r"(?:total|global|overall|all|default[ _]optimizer|l2|l?\d+(?:\.\d+)?|inf)"
_NORM = (  # a norm of a gradient
    rf"(?:(?:total|global|overall)[ _-])?grad(?:ient)?s?(?:[ _/-]{_KIND})*[ _/-]?g?norms?"
    r"|gnorms?|(?:l2[ _-])?norms?/grad(?:ient)?s?"
)
_WHEN = r"(?:step|epoch|un|un-?clipped|clipped|(?:before|after|pre|post)[ _-]?clip\w*)"
_TOTAL_NORM = re.compile(
    rf"(?:.*[/._ :-])?(?:{_NORM})(?:[/._ -](?:{_KIND}|{_WHEN}))*", re.IGNORECASE
)
_LAYER_NORM = re.compile(
    rf"(?:.*[/._ :-])?(?:{_NORM})[/.:|_](?P<layer>.+)"
    r"|(?:.*/)?grad(?:ient)?s?[/.](?P<inner_layer>.+)[/._](?:l2[ _-])?norm",
    re.IGNORECASE,
)
# Statistics and limits of norms, which are no norms.
_STATISTIC = re.compile(
    r"(?:.*[/._ :-])?(?:max|min|mean|avg|average|median|std|var|clip|target|log)[/._ -]"
    rf"(?:{_NORM})(?:\W.*)?"
    r"|.*[/._ :-](?:max|min|mean|avg|average|median|std|var|ratio|threshold|coef\w*|scale"
    r"|limit|num|count)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ClassifiedNames:
    """The names of a log, split into norms and other values.

    Attributes:
        layers: Layer name by index of the norm's name, in the order of the layers.
        values: Value name by index of every other name.
    """

    layers: dict[int, str]
    values: dict[int, str]


def classify_names(names: Sequence[str], globs: Sequence[str] | None) -> ClassifiedNames:
    """Splits the names of a log into norms and other values.

    Args:
        names: All names of the log.
        globs: Globs that select the norms. None finds them by their usual names.

    Raises:
        RunFormatError: If no name is a norm, or a glob matches none.
    """
    norms = _find_norms(names) if globs is None else _match_globs(names, globs)
    # Lightning's CSVLogger and file systems sort as text: layers.10 before layers.2.
    if [names[k] for k in norms] == sorted(names[k] for k in norms):
        norms.sort(key=lambda k: _natural_key(names[k]))
    layers = [_layer_name(names[k]) or names[k] for k in norms]
    if len({*layers}) < len(layers):  # two models may have layers of the same name
        layers = [names[k] for k in norms]
    return ClassifiedNames(dict(zip(norms, layers)), _name_values(names, {*norms}))


def _match_globs(names: Sequence[str], globs: Sequence[str]) -> list[int]:
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise RunFormatError(f"nothing matches --norms {glob!r}; {_list_names(names)}")
    return [k for k, name in enumerate(names) if any(fnmatchcase(name, g) for g in globs)]


def _find_norms(names: Sequence[str]) -> list[int]:
    """Returns the indices of the layers' norms; without these, of the total norms."""
    totals, layers = [], []
    for k, name in enumerate(names):
        if _TOTAL_NORM.fullmatch(name) and not _STATISTIC.fullmatch(name):
            totals.append(k)
        elif _layer_name(name):
            layers.append(k)
    present = {*names}
    totals = [  # Lightning logs a norm twice, for the step and for the epoch
        k
        for k in totals
        if not (
            names[k].endswith("_epoch")
            and names[k].removesuffix("_epoch") + "_step" in present
        )
    ]
    if not (layers or totals):
        raise RunFormatError(
            f"nothing in it is called as the norm of a gradient is; {_list_names(names)}; "
            "say which with --norms GLOB, in Python norms=GLOB"
        )
    return layers or totals


def _layer_name(name: str) -> str | None:
    """Returns the layer of a norm's name; None if it is not the norm of one layer."""
    if _STATISTIC.fullmatch(name) or _TOTAL_NORM.fullmatch(name):
        return None
    match = _LAYER_NORM.fullmatch(name)
    return match and (match["layer"] or match["inner_layer"])


def _name_values(names: Sequence[str], norms: set[int]) -> dict[int, str]:
    """Returns the value name by index; loss, lr and epoch get gradsound's names."""
    values = {k: name for k, name in enumerate(names) if k not in norms}
    indices = {name: k for k, name in values.items()}
    for usual in USUAL_VALUES:
        name = find_usual(usual, values.values())
        if name is not None:
            values[indices[name]] = usual
    return values


def _list_names(names: Sequence[str]) -> str:
    return f"there are: {list_some([*map(_printable, names)], _LISTED_MAX)}"


def _printable(name: str) -> str:
    """Returns a name, shortened and without control characters, for a one-line message."""
    return "".join(c if c.isprintable() else "?" for c in name[:_NAME_WIDTH])


def _natural_key(name: str) -> list[str | int]:
    """Returns a sort key by which numbers in names sort as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]
