"""Names of norms: which of the names in a log is that of the norm of a gradient.

It knows the names that trainers write; docs/logs.md lists them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_KIND = r"(?:total|global|overall|all|default[ _]optimizer|l2|l?\d+(?:\.\d+)?|inf)"
_NORM = (  # a norm of a gradient
    rf"(?:(?:total|global|overall)[ _-])?grad(?:ient)?s?(?:[ _/-]{_KIND})*[ _/-]?g?norms?"
    r"|gnorms?|(?:l2[ _-])?norms?/grad(?:ient)?s?"
)
_TOTAL_NORM = re.compile(
    rf"(?:.*[/._ :-])?(?:{_NORM})(?:[/._ -](?:{_KIND}|step|epoch))*", re.IGNORECASE
)
_LAYER_NORM = re.compile(
    rf"(?:.*[/._ :-])?(?:{_NORM})[/.:|_](?P<layer>.+)"
    r"|(?:.*/)?grad(?:ient)?s?[/.](?P<inner_layer>.+)[/._](?:l2[ _-])?norm",
    re.IGNORECASE,
)
_AVERAGE = r"(?:mean|avg|average|median|ema|ewma|sma|smooth(?:ed)?|running|rolling|moving)"
_AVERAGED_NORM = re.compile(
    rf"(?:.*[/._ :-])?{_AVERAGE}[/._ -](?:{_NORM})"
    rf"|(?:.*[/._ :-])?(?:{_NORM})[/._ :-]{_AVERAGE}",
    re.IGNORECASE,
)
# Statistics and limits of norms, which are no norms.
_STATISTIC = re.compile(
    rf"(?:.*[/._ :-])?(?:max|min|std|var|clip|target|log|{_AVERAGE})[/._ -]"
    rf"(?:{_NORM})(?:\W.*)?"
    rf"|.*[/._ :-](?:max|min|std|var|ratio|threshold|coef\w*|limit|num|count|{_AVERAGE})"
    rf"|(?:.*[/._ :-])?(?:{_NORM})[/._ :-](?:scale|clip|cap|log|sum|delta|spikes?|hist"
    r"|z_?score|p\d\d?|q\d\d?|(?:frac|fraction|rate|pct|percent))",
    re.IGNORECASE,
)
# When a norm was measured: before or after the gradient was clipped.
_STAGE = re.compile(
    r"(?P<before>[/._ :-]?)(?<![a-z])\(?(?:"
    r"(?P<raw>(?:before|pre)[ _-]?clip(?:p(?:ed|ing))?|un-?clipped|raw)"
    r"|(?P<applied>(?:after|post)[ _-]?clip(?:p(?:ed|ing))?|clipped)"
    r")(?![a-z])\)?(?P<after>[/._ :-]?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NormName:
    """The name of a norm.

    Attributes:
        plain: The name without the words that say when the norm was measured.
        stage: "raw" before clipping, "applied" after it; "" if the name does not say it.
        layer: The name of the layer; "" for the norm of the whole model.
        averaged: Whether the norm is an average over steps or layers.
    """

    plain: str
    stage: str = ""
    layer: str = ""
    averaged: bool = False


def parse_norm_name(name: str) -> NormName | None:
    """Returns what a name in a log says of a norm; None if it is not that of a norm."""
    plain, stage = _split_stage(name)
    if _AVERAGED_NORM.fullmatch(plain):
        return NormName(plain, stage, averaged=True)
    if _STATISTIC.fullmatch(plain):
        return None
    if _TOTAL_NORM.fullmatch(plain):
        return NormName(plain, stage)
    if match := _LAYER_NORM.fullmatch(plain):
        return NormName(plain, stage, match["layer"] or match["inner_layer"])
    return None


def _split_stage(name: str) -> tuple[str, str]:
    """Returns a name without the words that say when a norm was measured, and the stage."""
    match = _STAGE.search(name)
    if match is None:
        return name, ""
    separators = match["before"], match["after"]
    ends = match.start() == 0 or match.end() == len(name)
    joint = "" if ends else "/" if "/" in separators else separators[0]
    plain = name[: match.start()] + joint + name[match.end() :]
    return plain, "raw" if match["raw"] else "applied"
