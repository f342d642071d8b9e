"""The heads of items in a W&B history, which tell their names: found many at once.

An item is a head, which ends in a name, then a tag, the length of a text in one byte, and
the text. The head is constant for a name and a length.

Shapes: I items.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.protobuf import read_fields, to_bytes, to_text
from gradsound.logs.wandb.wandb_entry import ITEM, JSON, KEY, NESTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

JSON_TAG = b"\x82\x01"  # of the text; no text has this byte 1, but a number may, as 130

_LENGTH_MAX = 0x80  # a longer text has a length of two bytes
_HEAD_MAX = 1100  # bytes; no name of a value is longer than 1,000 characters


class Heads:
    """Learns the heads of items as they come.

    Attributes:
        names: The name of each head that is known, by its index.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._lengths: list[int] = []  # of the text, by index
        self._indices = dict[bytes, int]()

    def find(self, heads: Sequence[bytes], lengths: NDArray[np.intp]) -> NDArray[np.intp]:
        """Returns the index of the head of each item; -1 if its form is unusual.

        Args:
            heads: The head of each item, length I.
            lengths: The lengths of the texts of the items, shape (I,).
        """
        found = np.fromiter(map(self._indices.get, heads, repeat(-1)), np.intp, len(heads))
        for item in np.flatnonzero(found < 0).tolist():
            head = heads[item]
            if head not in self._indices:
                self._learn(head, int(lengths[item]))
            found[item] = self._indices.get(head, -1)
        is_usual = np.array([*self._lengths, -1])[found] == lengths
        return np.where(is_usual, found, -1)

    def _learn(self, head: bytes, length: int) -> None:
        name = _parse_head(head, length)
        if name is not None:
            self._indices[head] = len(self.names)
            self.names.append(name)
            self._lengths.append(length)


def _parse_head(head: bytes, length: int) -> str | None:
    """Returns the name that ends the head of an item; None if the head is unusual."""
    if length >= _LENGTH_MAX or len(head) > _HEAD_MAX:
        return None
    message = head + JSON_TAG + bytes([length]) + b"0" * length
    try:
        ((field, item),) = read_fields(message)
        *names, last = read_fields(to_bytes(item))
        if field != ITEM or last != (JSON, b"0" * length):
            return None
        if not {number for number, _ in names} <= {KEY, NESTED}:
            return None
        return ".".join(to_text(name) for _, name in names)
    except ValueError:
        return None
