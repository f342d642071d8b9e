"""Norms in a log that are no numbers: a reader leaves them out, and says so."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from gradsound.logs.names.classified_names import PLAIN_NORM
from gradsound.logs.names.norm_names import parse_norm_name

if TYPE_CHECKING:
    from gradsound.logs.row import OnDamage

_WIDTH = 40  # characters of a name, a value or a step in a report
_WHOLE = re.compile(r"(\d+)\.0$")


@lru_cache(10_000)
def may_be_norm(name: str) -> bool:
    """Returns whether a name may be that of a norm; that of the whole log decides it."""
    return parse_norm_name(name) is not None or bool(PLAIN_NORM.fullmatch(name.lower()))


def report_unread(on_damage: OnDamage, name: str, value: object, step: object) -> None:
    """Reports a value that is no number, if it may be a norm.

    Args:
        on_damage: Called with a few words.
        name: The name of the value.
        value: The value; None for a null of JSON or of a database.
        step: Its step.
    """
    if may_be_norm(name):
        what = "null" if value is None else repr(value)[:_WIDTH]
        at = step if isinstance(step, str) and step.isprintable() else repr(step)
        at = _WHOLE.sub(r"\1", at[:_WIDTH])
        on_damage(f"{name[:_WIDTH]!r} is {what} at step {at}, left out")


def report_unread_cell(on_damage: OnDamage, name: str, cell: str, line: int) -> None:
    """Reports a text in a line that is no number, if it may be a norm.

    Args:
        on_damage: Called with a few words.
        name: The name of the value.
        cell: The text.
        line: The number of the line, from 1.
    """
    if may_be_norm(name):
        what = f"{cell.strip()[:_WIDTH]!r} for {name[:_WIDTH]!r}"
        on_damage(f"line {line:,} has {what}, left out")
