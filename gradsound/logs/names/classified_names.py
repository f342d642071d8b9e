"""Classified names: which names of a log are norms, and which are other values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.names.norm_names import parse_norm_name
from gradsound.name_matching import list_some, match_names, printable
from gradsound.runs.value_roles import USUAL_VALUES, find_usual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.logs.names.norm_names import NormName

_LISTED_MAX = 20  # names that an error message lists; more are hard to read
_TAKEN_MAX = 3  # names that a warning lists
_NAME_WIDTH = 80  # characters of each of them; a damaged log may have longer ones
PLAIN_NORM = re.compile(r"(|.*[/.])(?:(?:total|global|g)[ _-]?)?norm")


@dataclass(frozen=True, slots=True)
class ClassifiedNames:
    """The names of a log, split into norms and other values.

    Attributes:
        layers: Layer name by index of the norm's name, in the order of the layers.
        raw: Index of the name of the norm before clipping, by index of the name of the
            norm after it; only for norms of which the log has both.
        values: Value name by index of every other name.
        doubt: A few words, if the norms have names that may be those of something else;
            else empty.
    """

    layers: dict[int, str]
    raw: dict[int, int]
    values: dict[int, str]
    doubt: str = ""

    @property
    def norms(self) -> list[int]:
        """Indices of the names of all norms: after clipping, and then before it."""
        return [*self.layers, *self.raw.values()]


def classify_names(names: Sequence[str], globs: Sequence[str] | None) -> ClassifiedNames:
    """Splits the names of a log into norms and other values.

    Args:
        names: All names of the log.
        globs: Globs that select the norms. None finds them by their usual names.

    Raises:
        RunFormatError: If no name is a norm, or a glob matches none.
    """
    parsed = {k: norm for k, name in enumerate(names) if (norm := parse_norm_name(name))}
    doubt = ""
    if globs is not None:
        norms = _match_globs(names, globs)
    else:
        norms, doubt = _find_norms(names, parsed)
    norms, raw = _pair_stages(norms, parsed)
    # Lightning's CSVLogger and file systems sort as text: layers.10 before layers.2.
    if [names[k] for k in norms] == sorted(names[k] for k in norms):
        norms.sort(key=lambda k: _natural_key(names[k]))
    long = {k: parsed[k].plain if k in raw else names[k] for k in norms}
    layers = [(k in parsed and parsed[k].layer) or long[k] for k in norms]
    if len({*layers}) < len(layers):  # two models may have layers of the same name
        layers = [long[k] for k in norms]
    if len({*layers}) < len(layers):
        layers = [names[k] for k in norms]
    values = _name_values(names, {*norms, *raw.values()})
    return ClassifiedNames(dict(zip(norms, layers)), raw, values, doubt)


def _match_globs(names: Sequence[str], globs: Sequence[str]) -> list[int]:
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise RunFormatError(f"nothing matches --norms {glob!r}; {_list_names(names)}")
    return [*match_names(names, globs)]


def _find_norms(names: Sequence[str], parsed: dict[int, NormName]) -> tuple[list[int], str]:
    """Returns the indices of the norms, and words of doubt.

    The norms of layers come first, then those of the whole model, then averages of these,
    then a value named norm beside a loss.
    """
    exact = {k: norm for k, norm in parsed.items() if not norm.averaged}
    if layers := [k for k, norm in exact.items() if norm.layer]:
        return layers, ""
    if exact:
        present = {norm.plain for norm in exact.values()}
        return [  # Lightning logs a norm twice, for the step and for the epoch
            k
            for k, norm in exact.items()
            if not norm.plain.endswith("_epoch")
            or norm.plain.removesuffix("_epoch") + "_step" not in present
        ], ""
    found = [*parsed] or _find_plain_norms(names)
    if not found:
        raise RunFormatError(
            f"nothing in it is called as the norm of a gradient is; {_list_names(names)}; "
            "say which with --norms GLOB, in Python norms=GLOB"
        )
    taken = list_some([printable(names[k], _NAME_WIDTH) for k in found], _TAKEN_MAX)
    doubt = f"takes {taken} as the norm; if it is none, say which is with --norms GLOB"
    return found, doubt


def _find_plain_norms(names: Sequence[str]) -> list[int]:
    """Returns the indices of the values named norm that have a loss beside them.

    clip_grad_norm_ of torch calls it total_norm, optax global_norm.
    """
    present = {name.lower() for name in names}
    return [
        k
        for k, name in enumerate(names)
        if (match := PLAIN_NORM.fullmatch(name.lower())) and f"{match[1]}loss" in present
    ]


def _pair_stages(
    norms: Sequence[int], parsed: dict[int, NormName]
) -> tuple[list[int], dict[int, int]]:
    """Returns the norms that were applied, and of each its norm before clipping.

    Of a norm that the log has at one stage only, nothing else is known.
    """
    stages: dict[str, dict[str, int]] = {}  # index by stage, by plain name
    for k in norms:
        if k in parsed:
            stages.setdefault(parsed[k].plain, {}).setdefault(parsed[k].stage, k)
    raw: dict[int, int] = {}
    spare = set()
    for by_stage in stages.values():
        # A norm without a stage is that before clipping, unless another one is.
        order = [by_stage[stage] for stage in ("raw", "", "applied") if stage in by_stage]
        if len(order) > 1:
            raw[order[-1]] = order[0]
            spare.update(order[:-1])
    return [k for k in norms if k not in spare], raw


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
    listed = [printable(name, _NAME_WIDTH) for name in names]
    return f"there are: {list_some(listed, _LISTED_MAX)}"


def _natural_key(name: str) -> list[str | int]:
    """Returns a sort key by which numbers in names sort as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]
