"""Choosing by name: layers by glob, and the nearest of the known names."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 20  # names in a message; more than that nobody reads
_TOGETHER = 4  # layers told of one by one


def choose(names: Sequence[str], patterns: str | Iterable[str]) -> tuple[int, ...]:
    """Returns the indices of the names that match, in their own order.

    Args:
        names: What there is to choose from.
        patterns: A glob (``*``, ``?``, ``[abc]``; ``*`` crosses dots), or several.

    Raises:
        ValueError: If there is no pattern, or one of them matches nothing.
    """
    globs = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    if not globs:
        raise ValueError("layers must be a glob or several, got none")
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            shown = ", ".join(names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise ValueError(f"no layer matches {glob!r}; there are: {shown}{more}")
    return matching(names, globs)


def matching(names: Sequence[str], globs: Iterable[str]) -> tuple[int, ...]:
    """As `choose`, but that nothing matches is an answer too."""
    globs = tuple(globs)
    return tuple(
        index
        for index, name in enumerate(names)
        if any(fnmatchcase(name, glob) for glob in globs)
    )


def several(names: Sequence[str]) -> str:
    """Names in a row, or, of many, the first and the last and how many layers that is."""
    if len(names) <= _TOGETHER:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)} layers)"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence for a name that is not known, with the nearest that is, if one is near."""
    known = sorted(known)
    near = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    return f"no {kind} {name!r}; {hint} are: {', '.join(known)}"
