"""Splits records of W&B into the items of their histories, many at once.

What is unusual in a record is left to `wandb_entry`, which parses item by item.

Shapes: R records, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.wandb.wandb_heads import JSON_TAG, Heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NUMBER_KEY = 0x08  # of the number of a record, which may be left out
_HISTORY_KEY = 0x12  # of the history in a record, and of the step in a history
_TYPE, _BYTES = 7, 2  # bits of a key's wire type, and the type of a field of bytes
_LONG = 0x80  # set in the bytes of a number before the last
_VARINT_MAX = 5  # bytes; longer numbers are rare
_PADDING = 16  # bytes after the records, which are read and not used


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """The items in records that have the usual form.

    Attributes:
        rows: Of each item, the index of its record, ascending, shape (I,).
        heads: Of each item, the index of its head, shape (I,).
        texts: The JSON text of each item, length I.
        steps: The field for the step of each record, shape (R,), float64; NaN without one.
        unusual: Indices of the records that have another form.
    """

    rows: NDArray[np.intp]
    heads: NDArray[np.intp]
    texts: list[bytes]
    steps: NDArray[np.float64]
    unusual: NDArray[np.intp]


def split_items(records: Sequence[bytes], known: Heads) -> Items:
    """Returns the items of one or more records.

    Args:
        records: The records.
        known: The heads of items that were seen before. Takes the new ones.
    """
    text = b"".join(records)
    data = np.frombuffer(text + bytes(_PADDING), np.uint8)
    ends = np.cumsum([*map(len, records)])
    begins, is_history, is_usual = _find_histories(data, ends)
    tags = np.flatnonzero((data[:-1] == JSON_TAG[0]) & (data[1:] == JSON_TAG[1]))
    rows = np.searchsorted(ends, tags, "right")
    tags, rows = tags[is_history[rows]], rows[is_history[rows]]
    lengths = data[tags + len(JSON_TAG)].astype(np.intp)
    text_begins = tags + len(JSON_TAG) + 1
    text_ends = text_begins + lengths
    counts = np.bincount(rows, minlength=len(records))
    filled = np.flatnonzero(counts)
    lasts = np.cumsum(counts)[filled] - 1  # index of the last item of each of these
    head_begins = np.concatenate([tags[:1], text_ends[:-1]])
    head_begins[lasts + 1 - counts[filled]] = begins[filled]
    bounds = zip(head_begins.tolist(), tags.tolist())
    heads = known.find([text[begin:end] for begin, end in bounds], lengths)
    steps = np.full(len(records), np.nan)
    steps[filled], has_usual_end = _read_steps(data, text_ends[lasts], ends[filled])
    is_usual &= ~is_history  # a history is usual if it has items, and all of it is usual
    is_usual[filled[has_usual_end]] = True
    is_usual[rows[(heads < 0) | (text_ends > ends[rows])]] = False
    kept = is_usual[rows]
    bounds = zip(text_begins[kept].tolist(), text_ends[kept].tolist())
    texts = [text[begin:end] for begin, end in bounds]
    return Items(rows[kept], heads[kept], texts, steps, np.flatnonzero(~is_usual))


def _find_histories(
    data: NDArray[np.uint8], ends: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Finds the histories in records.

    Returns:
        Where the history of each record begins; which records have one; and which have the
        usual form: one field, perhaps after a number.
    """
    at = np.concatenate([ends[:1] * 0, ends[:-1]])
    has_number = data[at] == _NUMBER_KEY
    _, after = _read_varints(data, at + 1)
    at = np.where(has_number, after, at)
    sizes, begins = _read_varints(data, at + 1)
    is_usual = (data[at] < _LONG) & (data[at] & _TYPE == _BYTES) & (begins + sizes == ends)
    return begins, is_usual & (data[at] == _HISTORY_KEY), is_usual


def _read_steps(
    data: NDArray[np.uint8], begins: NDArray[np.intp], ends: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Reads the field at the end of histories, which has the step.

    Returns:
        The steps, NaN without the field; and which histories have the usual end.
    """
    begins = np.minimum(begins, ends)
    sizes = ends - begins
    has_step = (data[begins] == _HISTORY_KEY) & (data[begins + 1] + 2 == sizes)
    numbers, after = _read_varints(data, begins + 3)
    is_number = has_step & (data[begins + 2] == _NUMBER_KEY) & (after == ends)
    is_zero = has_step & (sizes == 2)  # protocol buffers leave out 0
    steps = np.where(is_number, numbers, np.where(is_zero, 0, np.nan))
    return steps, (sizes == 0) | is_zero | is_number


def _read_varints(
    data: NDArray[np.uint8], at: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the numbers at some places, and where they end.

    A number that is too long ends in the padding, where no record ends.
    """
    numbers, is_open = np.zeros(len(at), np.intp), np.ones(len(at), bool)
    at = np.minimum(at, len(data) - _VARINT_MAX)
    for place in range(_VARINT_MAX):
        byte = data[at].astype(np.intp)
        numbers += np.where(is_open, (byte & _LONG - 1) << 7 * place, 0)
        at = at + is_open
        is_open &= byte >= _LONG
        if not is_open.any():
            break
    return numbers, np.where(is_open, len(data) - 1, at)
