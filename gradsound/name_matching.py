"""Layer names selected by glob, and suggestions for misspelt names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LISTED_NAMES_MAX = 20  # names in an error message; nobody reads more
_FULL_NAMES_MAX = 4  # names in a caption; more do not fit into one line


def choose(names: Sequence[str], patterns: str | Iterable[str]) -> tuple[int, ...]:
    """Returns the indices of the names that match a pattern, in the order of the names.

    Args:
        names: Names of all layers.
        patterns: One glob, or several (``*``, ``?``, ``[abc]``; ``*`` crosses dots).

    Raises:
        ValueError: If there is no pattern, or a pattern matches no name.
    """
    globs = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    if not globs:
        raise ValueError("layers must be a glob or several, got none")
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            listed = list_some(names, _LISTED_NAMES_MAX)
            raise ValueError(f"no layer matches {glob!r}; there are: {listed}")
    return match_names(names, globs)


def match_names(names: Sequence[str], globs: Iterable[str]) -> tuple[int, ...]:
    """Returns the same indices as `choose`, or none if no name matches."""
    globs = tuple(globs)
    return tuple(
        index
        for index, name in enumerate(names)
        if any(fnmatchcase(name, glob) for glob in globs)
    )


def printable(text: str, width: int) -> str:
    """Returns a text for a one-line message: shortened, without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:width])


def list_some(names: Sequence[str], most: int) -> str:
    """Returns the first names, and how many others there are: "a, b and 7 more".

    Args:
        names: The names.
        most: How many of them to list; nobody reads all of many.
    """
    rest = len(names) - most
    more = f" and {rest:,} more" if rest > 0 else ""
    return f"{', '.join(names[:most])}{more}"


def format_names(names: Sequence[str], kind: str = "layers") -> str:
    """Returns up to 4 names in full, of more the first, the last and their number.

    Args:
        names: One name, or several.
        kind: What the names are of.
    """
    if len(names) <= _FULL_NAMES_MAX:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)} {kind})"


def describe_unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Returns an error message for an unknown name, with the nearest known name.

    Args:
        kind: What the name is of, such as "preset".
        name: The unknown name.
        known: All known names.
    """
    from difflib import get_close_matches  # only a mistake needs it

    known = sorted(known)
    near = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    return f"no {kind} {name!r}; {hint} are: {', '.join(known)}"
