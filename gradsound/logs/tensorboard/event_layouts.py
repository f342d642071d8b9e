"""Decodes many events of TensorBoard at once.

Most events of a log differ in four things only: time, step, name and number. A layout says
where in a record these are, and what all other bytes are. It comes from the plain parser.
So a record that has the layout decodes to what the plain parser says.

Shapes: N records, B bytes of a record, V numbers of a record, P places in a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.logs.tensorboard.crc32c import crc32c, masked_crc32c_of_changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gradsound.logs.tensorboard.event_parser import Event

_CHECKSUM = 4  # bytes, after the data of a record
_WORD = 8  # bytes of a name that are compared at once
_STEP_BYTES_MAX = 8  # seven bits each; a step has at most 53
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # Knuth, The Art of Computer Programming, 6.4
_CONTINUES = 0x80  # the bit of all bytes of a varint but the last


@dataclass(frozen=True, slots=True, eq=False)
class DecodedRecords:
    """Scalars of some records.

    Attributes:
        matched: Which records were decoded, shape (N,); the rest is for those, shape (M,).
        times: Their times, shape (M,), float64; NaN if unknown.
        steps: Their steps, shape (M,), int64.
        places: The indices of the names, shape (M, V).
        values: The numbers, shape (M, V), float64.
    """

    matched: NDArray[np.bool_]
    times: NDArray[np.float64]
    steps: NDArray[np.int64]
    places: NDArray[np.intp]
    values: NDArray[np.float64]


class EventLayout:
    """Where time, step, names and numbers are in records of one size.

    Args:
        data: The data of one record.
        event: What the plain parser says about it.
        find_place: Returns the index of a name, from its bytes.
    """

    def __init__(
        self, data: bytes, event: Event, find_place: Callable[[bytes], int]
    ) -> None:
        self._find_place, self._time_at = find_place, event.time_at
        self._step = range(*(event.step_at or (0, 0)))
        self._tags = [scalar.tag for scalar in event.scalars]
        numbers = [scalar.number for scalar in event.scalars]
        self._numbers = [
            range(at, at + np.dtype(dtype).itemsize) for at, dtype in filter(None, numbers)
        ]
        self._dtypes = [dtype for _, dtype in filter(None, numbers)]
        template = np.frombuffer(data, np.uint8)
        varies = np.zeros(len(data), bool)
        if self._time_at is not None:
            varies[self._time_at : self._time_at + 8] = True
        for places in (self._step, *self._numbers):
            varies[places] = True
        self._varying = np.flatnonzero(varies)
        self._following = (len(data) - 1 - self._varying).tolist()
        self._base = np.where(varies, 0, template).astype(np.uint8)
        # The bits that all records of this layout share.
        self._mask = np.where(varies, 0, 0xFF).astype(np.uint8)
        self._mask[self._step] = _CONTINUES
        self._tag_columns = np.concatenate([np.arange(*tag) for tag in self._tags])
        self._mask[self._tag_columns] = 0
        self._bits = template & self._mask
        # Of the names known so far, in the order of their hashes: hash, words, checksum of
        # the record with zeros where it varies, and indices.
        self._known_words = self._to_words(template[np.newaxis])[:0]
        self._known_hashes = np.empty(0, np.uint64)
        self._known_crcs = np.empty(0, np.uint32)
        self._known_places = np.empty((0, len(self._tags)), np.intp)

    @staticmethod
    def is_possible(event: Event) -> bool:
        """Returns whether a layout can be made of an event."""
        length = event.step_at[1] - event.step_at[0] if event.step_at else 0
        return (
            bool(event.scalars)
            and not event.starts
            and length <= _STEP_BYTES_MAX
            and all(scalar.number is not None for scalar in event.scalars)
        )

    def decode(self, records: NDArray[np.uint8]) -> DecodedRecords | None:
        """Decodes the records that have this layout, and the checksum that they say.

        Returns None if no record has the layout.

        Args:
            records: Data and checksum of records of this size, shape (N, B + 4).
        """
        matched = ((records[:, :-_CHECKSUM] & self._mask) == self._bits).all(axis=1)
        count = int(np.count_nonzero(matched))
        if not count:
            return None
        if count < len(records):
            records = records[matched]
        known, is_known = self._find_names(records)
        changes = np.ascontiguousarray(records[:, self._varying].T)
        crcs = masked_crc32c_of_changes(self._known_crcs[known], changes, self._following)
        right = is_known & (crcs == _view(records[:, -_CHECKSUM:], "<u4"))
        if not right.all():
            matched[np.flatnonzero(matched)[~right]] = False
            records, known = records[right], known[right]
        values = np.empty((len(records), len(self._numbers)))
        for column, places, dtype in zip(values.T, self._numbers, self._dtypes):
            column[:] = _view(records[:, places.start : places.stop], dtype)
        return DecodedRecords(
            matched,
            self._decode_times(records),
            self._decode_steps(records),
            self._known_places[known],
            values,
        )

    def _decode_times(self, records: NDArray[np.uint8]) -> NDArray[np.float64]:
        if self._time_at is None:
            return np.full(len(records), np.nan)
        return _view(records[:, self._time_at : self._time_at + 8], "<f8")

    def _decode_steps(self, records: NDArray[np.uint8]) -> NDArray[np.int64]:
        steps = np.zeros(len(records), np.int64)
        for k, place in enumerate(self._step):
            steps |= (records[:, place] & ~np.uint8(_CONTINUES)).astype(np.int64) << 7 * k
        return steps

    def _to_words(self, records: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Returns the bytes of all names of each record, shape (N, W)."""
        width = -(-len(self._tag_columns) // _WORD) * _WORD
        padded = np.zeros((len(records), max(_WORD, width)), np.uint8)
        padded[:, : len(self._tag_columns)] = records[:, self._tag_columns]
        return padded.view(np.uint64)

    def _find_names(
        self, records: NDArray[np.uint8]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Returns of each record the index of its names, and whether these are known."""
        words = self._to_words(records)
        hashes = _hash(words)
        known, is_known = self._look_up(words, hashes)
        if not is_known.all():
            unknown = np.flatnonzero(~is_known)
            _, firsts = np.unique(hashes[unknown], return_index=True)
            new = unknown[np.sort(firsts)]
            self._learn(records[new], words[new], hashes[new])
            known, is_known = self._look_up(words, hashes)
        return known, is_known

    def _look_up(
        self, words: NDArray[np.uint64], hashes: NDArray[np.uint64]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        if not len(self._known_hashes):
            return np.zeros(len(words), np.intp), np.zeros(len(words), bool)
        known = np.searchsorted(self._known_hashes, hashes)
        known[known == len(self._known_hashes)] = 0
        return known, (self._known_words[known] == words).all(axis=1)

    def _learn(
        self,
        records: NDArray[np.uint8],
        words: NDArray[np.uint64],
        hashes: NDArray[np.uint64],
    ) -> None:
        """Adds the names of some records, which have different ones."""
        places, crcs = [], []
        for record in records:
            data = record.tobytes()
            places.append([self._find_place(data[begin:end]) for begin, end in self._tags])
            base = self._base.copy()
            base[self._tag_columns] = record[self._tag_columns]
            crcs.append(crc32c(base.tobytes()))
        hashes = np.concatenate([self._known_hashes, hashes])
        order = np.argsort(hashes)
        self._known_hashes = hashes[order]
        self._known_words = np.concatenate([self._known_words, words])[order]
        crcs_of_all = np.concatenate([self._known_crcs, np.array(crcs, np.uint32)])
        self._known_crcs = crcs_of_all[order]
        self._known_places = np.concatenate([self._known_places, places])[order]


def _hash(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns a number for each row, which is hardly ever the same for two."""
    factors = _HASH_FACTOR ** np.arange(1, words.shape[1] + 1, dtype=np.uint64)
    hashes: NDArray[np.uint64] = (words * factors).sum(axis=1)
    return hashes


def _view(columns: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """Returns the numbers whose bytes are the columns, shape (N,)."""
    return np.ascontiguousarray(columns).view(dtype)[:, 0]
