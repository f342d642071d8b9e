"""The difference between the layers of two runs that must have the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.name_matching import list_some

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMED_MAX = 4  # layers that an error message names; more are hard to read


def describe_difference(layers: Sequence[str], others: Sequence[str]) -> str:
    """Returns in a few words how the layers of two runs differ."""
    unshared = sorted({*layers} ^ {*others})
    return f"not in both: {list_some(unshared, _NAMED_MAX)}" if unshared else "the order"
