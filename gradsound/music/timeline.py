"""The timeline: which steps and which tracks sound at which time; stored in WAV files."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradsound.music.moments import Moment
    from gradsound.music.textures import Layout

_TOLERANCE = 1e-6  # seconds; far below a frame, far above the rounding of sums of durations


@dataclass(slots=True)
class _Stretch:
    """Consecutive moments of the same duration; a run consists of few stretches.

    Attributes:
        first: Number of the first step.
        steps_per_moment: Difference of the step numbers of successive moments.
        begin: Start of the first moment, in seconds.
        moment_seconds: Duration of a moment.
        count: Number of moments.
    """

    first: int
    steps_per_moment: int
    begin: float
    moment_seconds: float
    count: int = 1

    def append(self, other: _Stretch) -> bool:
        """Appends a stretch of one moment if it continues this one; returns whether."""
        end = self.begin + self.count * self.moment_seconds
        continues = (
            other.first == self.first + self.steps_per_moment * self.count
            and other.steps_per_moment == self.steps_per_moment
            and abs(end - other.begin) < _TOLERANCE
            and abs(other.moment_seconds - self.moment_seconds) < _TOLERANCE
        )
        self.count += continues
        return continues


@dataclass(frozen=True, slots=True)
class Position:
    """The steps and the tracks that sound at a time.

    Attributes:
        first: Number of the first step.
        last: Number of the last step; equal to ``first`` unless steps are merged.
        tracks: Names of the tracks; empty in a silence.
    """

    first: int
    last: int
    tracks: tuple[str, ...]


@dataclass(slots=True)
class Timeline:
    """The times at which steps sound.

    Attributes:
        tracks: Names of the tracks, B of them.
        onsets: Onset of each track in a step of usual duration, B seconds.
        note_seconds: Duration of a note; 0 if the texture is silent.
        step_seconds: Duration of a step of usual duration.
    """

    tracks: tuple[str, ...]
    onsets: tuple[float, ...]
    note_seconds: float
    step_seconds: float
    _stretches: list[_Stretch] = field(default_factory=list)

    @classmethod
    def for_layout(cls, tracks: Sequence[str], layout: Layout) -> Timeline:
        """Returns an empty timeline for steps with a layout."""
        note_seconds = layout.note_seconds if layout.notes_end else 0.0
        onsets = tuple(map(float, layout.onsets))
        return cls(tuple(tracks), onsets, note_seconds, layout.duration)

    def add(
        self,
        moments: Iterable[Moment],
        begins: Iterable[float],
        durations: Iterable[float],
    ) -> None:
        """Adds moments.

        Args:
            moments: Moments in order of time.
            begins: Start of each in seconds.
            durations: Duration of each in seconds.
        """
        for moment, begin, duration in zip(moments, begins, durations):
            steps = moment.step.number - moment.first + 1
            new = _Stretch(moment.first, steps, float(begin), float(duration))
            if not (self._stretches and self._stretches[-1].append(new)):
                self._stretches.append(new)

    def position_at(self, time: float) -> Position | None:
        """Returns the position at a time in seconds.

        None before the first step and after the last. Between two steps, the position is
        that of the earlier one.
        """
        begins = bisect_right(self._stretches, time + _TOLERANCE, key=lambda one: one.begin)
        if begins == 0:
            return None
        stretch = self._stretches[begins - 1]
        moment = int((time - stretch.begin + _TOLERANCE) / stretch.moment_seconds)
        if moment >= stretch.count:
            if begins == len(self._stretches):
                return None
            moment = stretch.count - 1
        begin = stretch.begin + moment * stretch.moment_seconds
        first = stretch.first + moment * stretch.steps_per_moment
        elapsed = time - begin + _TOLERANCE
        elapsed = elapsed * self.step_seconds / stretch.moment_seconds
        tracks = tuple(
            track
            for track, onset in zip(self.tracks, self.onsets)
            if onset <= elapsed < onset + self.note_seconds
        )
        return Position(first, first + stretch.steps_per_moment - 1, tracks)

    def time_of(self, step: int) -> float | None:
        """Returns the start of a step in seconds; None if the step does not sound."""
        begins = bisect_right(self._stretches, step, key=lambda one: one.first)
        if begins == 0:
            return None
        stretch = self._stretches[begins - 1]
        moment = (step - stretch.first) // stretch.steps_per_moment
        if moment >= stretch.count:
            return None
        return stretch.begin + moment * stretch.moment_seconds

    @property
    def bounds(self) -> tuple[int, int, float]:
        """Numbers of the first and the last step, and the end of the last in seconds.

        Raises:
            ValueError: If there is no step.
        """
        if not self._stretches:
            raise ValueError("there are no steps")
        first, last = self._stretches[0], self._stretches[-1]
        last_step = last.first + last.count * last.steps_per_moment - 1
        return first.first, last_step, last.begin + last.count * last.moment_seconds

    def to_data(self) -> dict[str, Any]:
        """Returns the timeline as JSON data, as WAV files store it."""
        stretches = [
            [one.first, one.steps_per_moment, one.begin, one.moment_seconds, one.count]
            for one in self._stretches
        ]
        return {
            "lines": self.tracks,
            "onsets": self.onsets,
            "note": self.note_seconds,
            "usual": self.step_seconds,
            "stretches": stretches,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Timeline:
        """Returns a timeline from the data that `to_data` returned."""
        return cls(
            tuple(data["lines"]),
            tuple(data["onsets"]),
            data["note"],
            data["usual"],
            [_Stretch(*stretch) for stretch in data["stretches"]],
        )
