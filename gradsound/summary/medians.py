"""Medians of several streams of positive numbers, in bounded memory.

The medians of few numbers are exact. Bins count many numbers, which then lose the last bits
of their significands: as few bits as leave few enough bins. The bits of positive floats are
in the order of the numbers, so a bin is an interval, and its relative width is the same
everywhere. The result depends neither on the order of the numbers nor on how many come at a
time. (A t-digest or a P2 estimate is smaller, but depends on both, and is never exact.)

Shapes: S numbers of a stream, G streams.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT = 1 << 18  # numbers, 2 MB
_BINS = 1 << 15  # of all streams together
_STREAM_BINS = 256  # a stream over two decades then has medians to 1 %
_STREAM_BIT = 32  # in a key, the bits above this one are the index of the stream


class Medians:
    """The medians of the numbers that were added to each stream.

    Args:
        streams: How many streams there are, G.
        exact: Of so many numbers of all streams together, the medians are exact.
    """

    def __init__(self, streams: int, exact: int = _EXACT) -> None:
        self._streams, self._exact = streams, exact
        self._begins = np.arange(streams + 1, dtype=np.int64) << _STREAM_BIT
        self._bins = max(min(_BINS, exact), _STREAM_BINS * streams)
        self._keys, self._counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._pending: list[NDArray[np.int64]] = []  # keys that are not counted yet
        self._pending_count, self._total, self._lost_bits = 0, 0, 0

    def add(self, numbers: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
        """Adds a number to each stream, S times.

        Args:
            numbers: Shape (S, G).
            known: Which to add, shape (S, G); these are finite and above 0.
        """
        bits = np.ascontiguousarray(numbers).view(np.int32)
        keys = bits + self._begins[:-1]
        self._pending.append(keys.ravel() if known.all() else keys[known])
        self._pending_count += len(self._pending[-1])
        self._total += len(self._pending[-1])
        if self._pending_count > self._exact:
            self._count_pending()

    def values(self) -> NDArray[np.float64]:
        """Returns the median of each stream, shape (G,); NaN without a number.

        Of an even number of numbers, the median is the mean of the two in the middle.
        """
        self._count_pending()
        result = np.full(self._streams, np.nan)
        edges = np.searchsorted(self._keys, self._begins)
        half_bin = 1 << self._lost_bits >> 1
        for stream, (first, end) in enumerate(pairwise(edges)):
            if first == end:
                continue
            ranks = np.cumsum(self._counts[first:end])
            middle = np.array([(ranks[-1] - 1) // 2, ranks[-1] // 2])
            bins = first + np.searchsorted(ranks, middle, side="right")
            bits = (self._keys[bins] - self._begins[stream] + half_bin).astype(np.int32)
            result[stream] = bits.view(np.float32).mean(dtype=np.float64)
        return result

    def _count_pending(self) -> None:
        """Counts the keys that are not counted yet."""
        if not self._pending_count:
            return
        pending = np.concatenate(self._pending) >> self._lost_bits
        self._pending, self._pending_count = [], 0
        if self._streams <= 1 << self._lost_bits:  # they fit, and are sorted faster
            pending = pending.astype(np.uint32)
        pending.sort()
        begins = _find_different(pending)
        counts = np.diff(begins, append=len(pending))
        new = pending[begins].astype(np.int64) << self._lost_bits
        keys = np.concatenate([self._keys, new])
        order = np.argsort(keys, kind="stable")  # which merges two sorted parts fast
        counts = np.concatenate([self._counts, counts])[order]
        self._set_bins(keys[order], counts)
        if self._total > self._exact and len(self._keys) > self._bins:
            self._lose_bits()

    def _lose_bits(self) -> None:
        """Drops the last bits of all keys, as few as leave few enough bins."""
        # Neighbours stay different if they differ in a bit that is not lost.
        differing = np.frexp((self._keys[1:] ^ self._keys[:-1]).astype(np.float64))[1]
        remaining = len(differing) - np.cumsum(np.bincount(differing))
        self._lost_bits = int(np.argmax(remaining < self._bins))
        self._set_bins(self._keys >> self._lost_bits << self._lost_bits, self._counts)

    def _set_bins(self, keys: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Keeps ascending keys; adds up the counts of equal ones."""
        begins = _find_different(keys)
        self._keys, self._counts = keys[begins], np.add.reduceat(counts, begins)


def _find_different(keys: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Returns the indices of the first ones of equal keys, which are ascending."""
    return np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
