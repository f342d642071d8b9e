"""Decodes the numbers in records of W&B, many at once, as arrays.

Shapes: R records, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.logs.json_decoder import decode_json
from gradsound.logs.numbers import parse_number
from gradsound.logs.wandb.wandb_entry import parse_record
from gradsound.logs.wandb.wandb_heads import Heads
from gradsound.logs.wandb.wandb_items import split_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The numbers in the histories of successive records.

    Attributes:
        names: Names of items, all different; a point joins those of nested objects.
        rows: Of each item, the index of its record, ascending, shape (I,).
        places: Of each item, the index of its name, shape (I,).
        values: The numbers, shape (I,), float64.
        steps: The field for the step of each record, shape (R,), float64; NaN without one.
        others: Index of the record, name and value of each item that is no number and no
            object.
        damaged: Indices of records that are no messages, ascending.
    """

    names: list[str]
    rows: NDArray[np.intp]
    places: NDArray[np.intp]
    values: NDArray[np.float64]
    steps: NDArray[np.float64]
    others: list[tuple[int, str, Any]]
    damaged: list[int]


class HistoryDecoder:
    """Decodes records; it learns the forms and the names of items as they come."""

    def __init__(self) -> None:
        self._heads = Heads()
        self._indices = dict[str, int]()  # by name
        self._head_places = np.zeros(0, np.intp)  # index of the name of each head

    def decode(self, records: Sequence[bytes]) -> History:
        """Returns the numbers in one or more records."""
        items = split_items(records, self._heads)
        rows, heads, unusual = items.rows, items.heads, items.unusual.tolist()
        try:
            logged = _decode_values(items.texts)
        except ValueError:  # one of the texts is no JSON
            rows, heads, unusual, logged = rows[:0], heads[:0], [*range(len(records))], []
        places, steps = self._places(heads), items.steps
        others, damaged = list[tuple[int, str, Any]](), list[int]()
        if not {*map(type, logged)} <= {int, float}:  # rarely
            numbers = [*map(parse_number, logged)]
            known = np.array([number is not None for number in numbers], bool)
            for item in np.flatnonzero(~known).tolist():
                if not isinstance(logged[item], (dict, list)):
                    name = self._heads.names[heads[item]]
                    others.append((int(rows[item]), name, logged[item]))
            rows, places = rows[known], places[known]
            logged = [number for number in numbers if number is not None]
        values = np.array(logged, np.float64)
        more: list[tuple[int, int, float]] = []
        for row in unusual:
            parsed = parse_record(records[row])
            if parsed is None:
                damaged.append(row)
                continue
            named, steps[row] = parsed
            for name, value in named:
                if (number := parse_number(value)) is None:
                    others.append((row, name, value))
                else:
                    more.append((row, self._index(name), number))
        if more:
            rows = np.concatenate([rows, [row for row, _, _ in more]])
            places = np.concatenate([places, [place for _, place, _ in more]])
            values = np.concatenate([values, [number for _, _, number in more]])
            order = np.argsort(rows, kind="stable")
            rows, places, values = rows[order], places[order], values[order]
        return History([*self._indices], rows, places, values, steps, others, damaged)

    def _index(self, name: str) -> int:
        return self._indices.setdefault(name, len(self._indices))

    def _places(self, heads: NDArray[np.intp]) -> NDArray[np.intp]:
        """Returns the index of the name of each head."""
        new = [self._index(name) for name in self._heads.names[len(self._head_places) :]]
        self._head_places = np.append(self._head_places, np.array(new, np.intp))
        return self._head_places[heads]


def _decode_values(texts: Sequence[bytes]) -> list[Any]:
    """Returns the values of JSON texts, of which objects may be empty.

    Raises:
        ValueError: If a text is no JSON.
    """
    joined = b",".join(texts)
    # A text with a comma might complete the next one.
    if joined.count(b",") == len(texts) - 1:
        try:
            values: list[Any] = decode_json(b"[" + joined + b"]")
            if len(values) == len(texts):
                return values
        except ValueError:  # bytes that are no UTF-8, or an object nested too deeply
            pass
    return [{} if text[:1] in (b"{", b"[") else _decode_text(text) for text in texts]


def _decode_text(text: bytes) -> Any:
    return decode_json(text.decode("utf-8", "replace"))
