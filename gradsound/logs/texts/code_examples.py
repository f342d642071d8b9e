"""Code examples in Markdown and reStructuredText, which are no lines of a console.

A console may have the same signs, such as an answer of a model that it prints. So a line is
an example only if the signs are before it and after it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_FENCE = re.compile(r"\s*(?P<mark>`{3,}|~{3,})\s*(?P<language>[^`]*)")
_SPAN = re.compile(r"`[^`]+`")
_LITERAL = re.compile(r"\s*(?:\.\. [\w-]+::.*|(?!\.\. ).*::)\s*")
_INDENT = re.compile(r"\s*")


def blank_examples(lines: Sequence[str]) -> list[str]:
    """Returns lines with blanks in place of code examples."""
    kept = [_SPAN.sub(" ", line) if line.count("`") > 1 else line for line in lines]
    _blank_fenced(lines, kept)
    _blank_literal(lines, kept)
    return kept


def _blank_fenced(lines: Sequence[str], kept: list[str]) -> None:
    """Blanks the lines between two fences of Markdown."""
    begin, opening = 0, ""
    for at, line in enumerate(lines):
        match = _FENCE.fullmatch(line)
        if match is None:
            continue
        # A fence with a language opens an example, also if the one before has no end.
        if match["language"] or not opening:
            begin, opening = at, match["mark"]
        elif match["mark"].startswith(opening):
            kept[begin : at + 1] = [""] * (at + 1 - begin)
            opening = ""


def _blank_literal(lines: Sequence[str], kept: list[str]) -> None:
    """Blanks the indented lines after a line that ends in :: and a blank one."""
    indent, is_open = -1, False  # that of the line with ::; whether a blank line followed
    for at, line in enumerate(lines):
        if not line.strip():
            is_open = indent >= 0
            continue
        own = len(_INDENT.match(line)[0])  # type: ignore[index] # it matches any text
        if is_open and own > indent:
            kept[at] = ""
        elif not (indent >= 0 and own > indent):  # an option of a directive
            indent = own if "::" in line and _LITERAL.fullmatch(line) else -1
            is_open = False
