"""Decodes the scalars in records of TensorBoard, most of a group of equal size at once.

Shapes: E entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.logs.tensorboard.event_layouts import EventLayout
from gradsound.logs.tensorboard.event_parser import Event, parse_event
from gradsound.logs.tensorboard.tfrecords import HEAD_BYTES, TAIL_BYTES, has_checksum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.logs.row import OnDamage
    from gradsound.logs.tensorboard.event_layouts import DecodedRecords
    from gradsound.logs.tensorboard.tfrecords import RecordPiece

_GROUP_MIN = 12  # records; for fewer, numpy takes longer than the plain parser
_SIZE_MAX = 4096  # bytes of a record; longer ones are rare, and differ in more
_LAYOUTS_MAX = 64  # of one size
_ATTEMPTS = 3  # in a group; then its records have no scalars, or a rare form


@dataclass(frozen=True, slots=True, eq=False)
class EventScalars:
    """Scalars of successive events, in their order.

    Attributes:
        restart: If an event before these says that the training starts again: its step.
        places: Indices of the names, shape (E,).
        steps: The steps, shape (E,), float64.
        times: Seconds since 1970, shape (E,), float64; NaN if unknown.
        values: The numbers, shape (E,), float64.
    """

    restart: int | None
    places: NDArray[np.intp]
    steps: NDArray[np.float64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


class EventDecoder:
    """Decodes records of one or more event files, and checks their checksums.

    Args:
        on_damage: Called with a few words when a record is damaged.

    Attributes:
        names: The names of all scalars so far.
    """

    def __init__(self, on_damage: OnDamage) -> None:
        self._on_damage, self._indices = on_damage, dict[str, int]()
        self._layouts: dict[int, list[EventLayout]] = {}  # by the size of a record
        self.names: list[str] = []

    def decode(self, file_name: str, piece: RecordPiece) -> Iterator[EventScalars]:
        """Yields the scalars of a piece of a file."""
        begins = np.array(piece.begins, np.intp)
        sizes = np.minimum(piece.sizes, _SIZE_MAX + 1).astype(np.uint16)
        order = np.argsort(sizes, kind="stable")  # two bytes are sorted in linear time
        bounds = np.flatnonzero(np.diff(sizes[order])) + 1
        entries, rest = _Entries(), list["NDArray[np.intp]"]()
        for group in np.split(order, bounds):
            rest.append(self._decode_group(piece, begins, group, entries))
        restarts: list[tuple[int, int]] = []  # records and steps
        for row in np.sort(np.concatenate(rest)).tolist():
            event = self._parse(file_name, piece, row)
            if event is None:
                continue
            if event.starts:
                restarts.append((row, event.step))
            for scalar in event.scalars:
                begin = piece.begins[row] + HEAD_BYTES
                tag = piece.data[begin + scalar.tag[0] : begin + scalar.tag[1]]
                entries.add(row, self._find_place(tag), event, scalar.value)
        yield from entries.split(restarts)

    def _decode_group(
        self,
        piece: RecordPiece,
        begins: NDArray[np.intp],
        group: NDArray[np.intp],
        entries: _Entries,
    ) -> NDArray[np.intp]:
        """Decodes records of one size; returns those that are left."""
        size = piece.sizes[group[0]]
        if len(group) < _GROUP_MIN or size > _SIZE_MAX:
            return group
        width = size - HEAD_BYTES
        windows: NDArray[np.uint8] = np.ndarray(  # at each byte of the piece
            (len(piece.data) - width + 1, width), np.uint8, piece.data, strides=(1, 1)
        )
        records = windows[begins[group] + HEAD_BYTES]
        layouts, tried, attempts = self._layouts.setdefault(size, []), 0, 0
        left, skipped = group, list["NDArray[np.intp]"]()
        while len(left):
            if tried == len(layouts):
                if len(left) < _GROUP_MIN or tried >= _LAYOUTS_MAX or attempts >= _ATTEMPTS:
                    break
                layout = self._make_layout(records[0].tobytes())
                if layout is None:
                    attempts += 1
                    skipped.append(left[:1])
                    left, records = left[1:], records[1:]
                    continue
                layouts.append(layout)
            decoded = layouts[tried].decode(records)
            if decoded is not None:
                entries.add_decoded(left[decoded.matched], decoded)
                left, records = left[~decoded.matched], records[~decoded.matched]
                layouts.insert(0, layouts.pop(tried))  # first for the next piece
            tried += 1
        return np.concatenate([*skipped, left])

    def _make_layout(self, record: bytes) -> EventLayout | None:
        """Returns the layout of a record; None if none can be made."""
        data = record[:-TAIL_BYTES]
        try:
            event = parse_event(data)
        except ValueError:
            return None
        if not EventLayout.is_possible(event) or not has_checksum(record):
            return None
        return EventLayout(data, event, self._find_place)

    def _parse(self, file_name: str, piece: RecordPiece, row: int) -> Event | None:
        """Returns the event of a record that a run needs; reports damage."""
        begin = piece.begins[row]
        record = piece.data[begin + HEAD_BYTES : begin + piece.sizes[row]]
        try:
            event = parse_event(record[:-TAIL_BYTES])
            if not event.scalars and not event.starts:
                return None
            if has_checksum(record):  # only now, because the checksum takes longer
                return event
        except ValueError:
            pass
        at = piece.at + begin
        self._on_damage(f"{file_name} has a damaged record at byte {at:,}, left out")
        return None

    def _find_place(self, tag: bytes) -> int:
        name = tag.decode("utf-8", "replace")
        place = self._indices.setdefault(name, len(self.names))
        if place == len(self.names):
            self.names.append(name)
        return place


class _Entries:
    """Entries of a piece of a file, with the records that they come from."""

    def __init__(self) -> None:
        indices, numbers = np.empty(0, np.intp), np.empty(0)
        # Records, places, steps, times and values; one part for `split` at least.
        self._parts: list[tuple[NDArray[Any], ...]] = [
            (indices, indices, numbers, numbers, numbers)
        ]
        self._single: list[tuple[int, int, float, float, float]] = []

    def add(self, row: int, place: int, event: Event, value: float) -> None:
        self._single.append((row, place, float(event.step), event.time, value))

    def add_decoded(self, rows: NDArray[np.intp], decoded: DecodedRecords) -> None:
        count = decoded.places.shape[1]
        self._parts.append(
            (
                np.repeat(rows, count),
                decoded.places.ravel(),
                np.repeat(decoded.steps.astype(np.float64), count),
                np.repeat(decoded.times, count),
                decoded.values.ravel(),
            )
        )

    def split(self, restarts: list[tuple[int, int]]) -> Iterator[EventScalars]:
        """Yields the entries in the order of their records, split at restarts."""
        if self._single:
            self._parts.append((*map(np.array, zip(*self._single)),))
        columns = [np.concatenate(arrays) for arrays in zip(*self._parts)]
        order = np.argsort(columns[0], kind="stable")
        columns = [column[order] for column in columns]
        begins = [0, *np.searchsorted(columns[0], [row for row, _ in restarts]).tolist()]
        steps = [None, *(step for _, step in restarts)]
        for restart, begin, end in zip(steps, begins, [*begins[1:], len(order)]):
            if restart is not None or end > begin:
                yield EventScalars(restart, *(column[begin:end] for column in columns[1:]))
