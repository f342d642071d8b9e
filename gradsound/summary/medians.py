"""Medians of several streams of positive numbers, in bounded memory.

A bin counts equal numbers. While there are few bins, each has one number, and the medians
are exact. If there are too many, all numbers lose the last bit of their significand, until
there are few enough. The bits of positive floats are in the order of the numbers, so a bin
is an interval, and its relative width is the same everywhere. The result depends neither on
the order of the numbers nor on how many come at a time. (A t-digest or a P2 estimate is
smaller, but depends on both, and is never exact.)

Shapes: N numbers, G streams.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 1 << 18  # 4 MB; so many numbers have exact medians
_STREAM_BINS = 256  # a stream over two decades then has medians to 1 %
_STREAM_BIT = 32  # in a key, the bits above this one are the index of the stream


class Medians:
    """The medians of the numbers that were added to each stream.

    Args:
        streams: How many streams there are, G.
        bins: The largest number of bins of all streams together.
    """

    def __init__(self, streams: int, bins: int = _BINS) -> None:
        self._streams, self._bins = streams, max(bins, _STREAM_BINS * streams)
        self._keys, self._counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._pending: list[NDArray[np.int64]] = []  # keys that are not counted yet
        self._pending_count, self._lost_bits = 0, 0

    def add(self, streams: NDArray[np.intp], numbers: NDArray[np.float32]) -> None:
        """Adds numbers.

        Args:
            streams: Index of each number's stream, shape (N,).
            numbers: Finite and above 0, shape (N,).
        """
        bits = np.ascontiguousarray(numbers).view(np.int32)
        self._pending.append(streams.astype(np.int64) << _STREAM_BIT | bits)
        self._pending_count += len(numbers)
        if self._pending_count >= self._bins:  # rarely, because it sorts all bins
            self._count_pending()

    def values(self) -> NDArray[np.float64]:
        """Returns the median of each stream, shape (G,); NaN without a number.

        Of an even number of numbers, the median is the mean of the two in the middle.
        """
        self._count_pending()
        result = np.full(self._streams, np.nan)
        begins = np.arange(self._streams + 1, dtype=np.int64) << _STREAM_BIT
        edges = np.searchsorted(self._keys, begins)
        half_bin = 1 << self._lost_bits >> 1
        for stream, (first, end) in enumerate(pairwise(edges)):
            if first == end:
                continue
            ranks = np.cumsum(self._counts[first:end])
            middle = np.array([(ranks[-1] - 1) // 2, ranks[-1] // 2])
            bins = first + np.searchsorted(ranks, middle, side="right")
            bits = (self._keys[bins] - begins[stream] + half_bin).astype(np.int32)
            result[stream] = bits.view(np.float32).mean(dtype=np.float64)
        return result

    def _count_pending(self) -> None:
        if not self._pending:
            return
        pending = np.sort(np.concatenate(self._pending)) >> self._lost_bits
        self._pending, self._pending_count = [], 0
        new_keys, new_counts = _merge_equal(pending, np.ones(len(pending), np.int64))
        keys = np.concatenate([self._keys >> self._lost_bits, new_keys])
        order = np.argsort(keys, kind="stable")  # which merges two sorted parts fast
        counts = np.concatenate([self._counts, new_counts])[order]
        self._keys, self._counts = _merge_equal(keys[order], counts)
        while len(self._keys) > self._bins:
            self._lost_bits += 1
            self._keys, self._counts = _merge_equal(self._keys >> 1, self._counts)
        self._keys <<= self._lost_bits


def _merge_equal(
    keys: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the different ones of ascending keys, and the sum of each one's counts."""
    if not len(keys):
        return keys, counts
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[begins], np.add.reduceat(counts, begins)
