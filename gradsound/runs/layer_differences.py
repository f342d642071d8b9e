"""The difference between the layers of two runs that must have the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED_MAX = 4  # layers that an error message names; more are hard to read


def describe_difference(layers: Sequence[str], others: Sequence[str]) -> str:
    """Returns in a few words how the layers of two runs differ."""
    unshared = sorted({*layers} ^ {*others})
    shown = ", ".join(unshared[:_NAMED_MAX])
    more = len(unshared) - _NAMED_MAX
    if more > 0:
        shown += f" and {more} more"
    return f"not in both: {shown}" if unshared else "the order"
