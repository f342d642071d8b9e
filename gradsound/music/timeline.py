"""The timeline: which steps sound when, and which line of a step, as plain data."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradsound.music.moments import Moment
    from gradsound.music.textures import Layout

_EXACT = 1e-6  # seconds; moments are taken for even where that is all they are wrong


@dataclass(slots=True)
class _Stretch:
    """Moments that follow each other evenly, so that a run is a few of these.

    Attributes:
        first: Number of the first step.
        each: How many numbers of steps a moment spans.
        begin: Seconds at which it begins.
        lasting: Seconds that a moment takes.
        count: How many moments there are.
    """

    first: int
    each: int
    begin: float
    lasting: float
    count: int = 1

    def takes(self, other: _Stretch) -> bool:
        """Whether another of one moment goes on evenly; then it is taken."""
        even = (
            other.first == self.first + self.each * self.count
            and other.each == self.each
            and abs(self.begin + self.count * self.lasting - other.begin) < _EXACT
            and abs(other.lasting - self.lasting) < _EXACT
        )
        self.count += even
        return even


@dataclass(frozen=True, slots=True)
class Place:
    """What sounds at a time.

    Attributes:
        first: Number of the first step that does.
        last: Number of the last, if several sound as one.
        lines: Names of what is heard of them then; none in a silence.
    """

    first: int
    last: int
    lines: tuple[str, ...]


@dataclass(slots=True)
class Timeline:
    """Which steps sound when.

    Attributes:
        lines: Names of what sounds in a step.
        onsets: Seconds from the beginning of a step of usual length, of each line.
        note_seconds: Seconds that each sounds; 0 if none does.
        usual: Seconds that a step of usual length takes.
    """

    lines: tuple[str, ...]
    onsets: tuple[float, ...]
    note_seconds: float
    usual: float
    _stretches: list[_Stretch] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Sequence[str], layout: Layout) -> Timeline:
        """An empty one of steps so laid out."""
        note = layout.note_seconds if layout.sounding else 0.0
        return cls(tuple(lines), tuple(map(float, layout.onsets)), note, layout.duration)

    def add(
        self,
        moments: Iterable[Moment],
        begins: Iterable[float],
        durations: Iterable[float],
    ) -> None:
        """Adds moments: in seconds, when each begins and how long it takes."""
        for moment, begin, lasting in zip(moments, begins, durations):
            each = moment.step.number - moment.first + 1
            new = _Stretch(moment.first, each, float(begin), float(lasting))
            if not (self._stretches and self._stretches[-1].takes(new)):
                self._stretches.append(new)

    def at(self, time: float) -> Place | None:
        """What sounds at a time in seconds; None before the first step and after the last.

        Between two steps that is the earlier one.
        """
        k = bisect_right(self._stretches, time + _EXACT, key=lambda found: found.begin) - 1
        if k < 0:
            return None
        found = self._stretches[k]
        moment = int((time - found.begin + _EXACT) / found.lasting)
        if moment >= found.count:
            if k + 1 == len(self._stretches):
                return None
            moment = found.count - 1
        begin = found.begin + moment * found.lasting
        first = found.first + moment * found.each
        within = (time - begin + _EXACT) * self.usual / found.lasting
        lines = tuple(
            line
            for line, onset in zip(self.lines, self.onsets)
            if onset <= within < onset + self.note_seconds
        )
        return Place(first, first + found.each - 1, lines)

    def time_of(self, step: int) -> float | None:
        """When a step begins to sound, in seconds; None if it does not."""
        k = bisect_right(self._stretches, step, key=lambda found: found.first) - 1
        if k < 0:
            return None
        found = self._stretches[k]
        moment = (step - found.first) // found.each
        return found.begin + moment * found.lasting if moment < found.count else None

    @property
    def bounds(self) -> tuple[int, int, float]:
        """Numbers of the first and the last step, and seconds at which that is over.

        Raises:
            ValueError: If there is no step.
        """
        if not self._stretches:
            raise ValueError("there are no steps")
        last = self._stretches[-1]
        end = last.begin + last.count * last.lasting
        return self._stretches[0].first, last.first + last.count * last.each - 1, end

    def to_data(self) -> dict[str, Any]:
        """As plain data, fit for JSON."""
        stretches = [
            [one.first, one.each, one.begin, one.lasting, one.count]
            for one in self._stretches
        ]
        return {
            "lines": self.lines,
            "onsets": self.onsets,
            "note": self.note_seconds,
            "usual": self.usual,
            "stretches": stretches,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Timeline:
        """The timeline that `to_data` was asked of."""
        return cls(
            tuple(data["lines"]),
            tuple(data["onsets"]),
            data["note"],
            data["usual"],
            [_Stretch(*stretch) for stretch in data["stretches"]],
        )
