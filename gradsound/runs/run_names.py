"""Names of runs that are compared: short, without what all of them have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.runs.model import Run

_NAMED_IN_FULL = 2  # runs
_SUFFIX = re.compile(r"\.[A-Za-z]\w*$")  # .jsonl; the .1 of lr0.1 is a number
_FOLDER = re.compile(r"[^/]*/+|[^/]+")  # each part with the separators after it
_WORD = re.compile(r"[^-_ /]*[-_ /]+|[^-_ /]+")
_SEPARATORS = "-_ /"


def short_names(runs: Sequence[Run]) -> list[str]:
    """Returns the names of runs that are heard or seen together.

    One run and two runs have the names of their files, with the folders if the files are
    alike. Of more runs, there is only space for what distinguishes them.
    """
    names = [run.name for run in runs]
    if len(names) > _NAMED_IN_FULL:
        return distinct_names(names)
    files = [Path(name).name for name in names]
    return files if len({*files}) == len(files) else names


def distinct_names(names: Sequence[str]) -> list[str]:
    """Returns names without their common folders, suffixes, first words and last words.

    A word stays if a number would be alone without it, or if nothing would remain.

    Args:
        names: The names of several runs: their paths, in most cases.

    Example:
        >>> distinct_names(["sweep/lr-0.1/run.jsonl", "sweep/lr-0.01/run.jsonl"])
        ['lr-0.1', 'lr-0.01']
        >>> distinct_names(["mnist-adam-seed1.csv", "mnist-sgd-seed1.csv"])
        ['adam', 'sgd']
    """
    given, files = [*names], [Path(name).name for name in names]
    if len({*files}) == len(files):
        names = files
    while len({_suffix(name) for name in names}) == 1 and _suffix(names[0]):
        names = [name[: -len(_suffix(name))] for name in names]
    short = _drop_last(_drop_first(names, _FOLDER), _FOLDER)
    short = _drop_last(_drop_first(short, _WORD), _WORD)
    return short if all(short) and len({*short}) == len({*given}) else given


def _drop_first(names: Sequence[str], part: re.Pattern[str]) -> list[str]:
    """Returns names without their common first parts."""
    parts = [part.findall(name) for name in names]
    first = _count_common(parts)
    while part is _WORD and first and not all(rest[first][0].isalpha() for rest in parts):
        first -= 1
    return ["".join(rest[first:]) for rest in parts]


def _drop_last(names: Sequence[str], part: re.Pattern[str]) -> list[str]:
    """Returns names without their common last parts."""
    parts = [part.findall(name) for name in names]
    bare = [[one.rstrip(_SEPARATORS) for one in rest[::-1]] for rest in parts]
    last = _count_common(bare)
    return ["".join(rest[: len(rest) - last]).rstrip(_SEPARATORS) for rest in parts]


def _suffix(name: str) -> str:
    """Returns the suffix of a file's name; "" without one, or if the name is no more."""
    found = _SUFFIX.search(name)
    return found[0] if found and found.start() and name[found.start() - 1] != "/" else ""


def _count_common(words: Sequence[Sequence[str]]) -> int:
    """Returns how many first words are common to all, if each keeps one word or more."""
    most = min(map(len, words)) - 1
    common = (k for k in range(most) if len({rest[k] for rest in words}) > 1)
    return next(common, max(most, 0))
