"""The sound clock of a picture: the time at which each step sounds.

Shapes: K samples of the clock, R rows: the different steps of the runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.music.moments import Moment, missing_moment
from gradsound.music.tracks import Tracks
from gradsound.runs.compare import align_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run

    # Numbers of successive rows, and how many usual durations each lasts, both (R,).
    _Rows: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

_SAMPLES_MAX = 4000  # of the clock; between two of them, time passes evenly
# Seconds between two labels of a time axis: times that people read on clocks.
_INTERVALS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400),
)
_DISTANCE_MIN = 0.05  # of the steps, between two labels; the runs may have gaps
_TIMES_MAX = 10  # labels; more would overlap


@dataclass(frozen=True, slots=True, eq=False)
class SoundClock:
    """When the steps of one run, or of two runs at once, sound.

    Attributes:
        rows: How many different steps the runs have.
        steps: Numbers of some steps in ascending order; the last one is that of the step
            after the run; shape (K,).
        times: When these steps begin, in usual durations of a step, shape (K,).
    """

    rows: int
    steps: NDArray[np.float64]
    times: NDArray[np.float64]

    @property
    def span(self) -> tuple[float, float]:
        """The first step, and the end of the last one."""
        return float(self.steps[0]), float(self.steps[-1])

    def ticks(self, step_seconds: float) -> tuple[list[float], list[str]]:
        """Returns steps at round times of the sound, and these times as texts.

        Args:
            step_seconds: The usual duration of a step in seconds.
        """
        end = self.times[-1] * step_seconds
        fitting = (one for one in _INTERVALS if end / one <= _TIMES_MAX)
        interval = next(fitting, np.ceil(end / _TIMES_MAX / 86_400) * 86_400)
        times = np.arange(0, end + 1e-9 * interval, interval)
        steps = np.interp(times / step_seconds, self.times, self.steps)
        distance = _DISTANCE_MIN * (self.steps[-1] - self.steps[0])
        ticks: list[float] = []
        texts: list[str] = []
        for step, time in zip(steps.tolist(), times.tolist()):
            if not ticks or step - ticks[-1] >= distance:
                ticks.append(step)
                texts.append(_format_time(time, interval))
        return ticks, texts


def read_clock(runs: Sequence[Run], preset: Preset) -> SoundClock:
    """Reads runs once, in bounded memory, and returns their clock.

    Args:
        runs: One run, or two at once, with steps.
        preset: How they sound.

    Raises:
        RunFormatError: If a line of a run is not a step.
    """
    driven = any(drive.drives == "tempo" for drive in preset.drives)
    rows, stride, last, elapsed = 0, 1, 0.0, 0.0
    steps, times = np.zeros(0), np.zeros(0)
    for numbers, factors in _driven_rows(runs, preset) if driven else _even_rows(runs):
        ends = elapsed + np.cumsum(factors)
        kept = slice(-rows % stride, None, stride)
        steps = np.append(steps, numbers[kept])
        times = np.append(times, (ends - factors)[kept])
        while len(steps) > _SAMPLES_MAX:
            steps, times, stride = steps[::2], times[::2], 2 * stride
        rows, last, elapsed = rows + len(numbers), float(numbers[-1]), float(ends[-1])
    spacing = (last - float(steps[0])) / (rows - 1) if rows > 1 else 1.0
    return SoundClock(rows, np.append(steps, last + spacing), np.append(times, elapsed))


def _even_rows(runs: Sequence[Run]) -> Iterator[_Rows]:
    """Yields rows of the same duration: each number that a run has, once."""
    readers = [(block.numbers for block in run.blocks()) for run in runs]
    none = np.zeros(0, np.int64)
    waiting = [next(reader, none) for reader in readers]
    while known := [numbers[-1] for numbers in waiting if len(numbers)]:
        end = min(known)  # all runs' numbers are known up to here
        numbers = waiting[0][waiting[0] <= end]
        if len(runs) > 1:
            numbers = np.unique(np.concatenate([one[one <= end] for one in waiting]))
        yield numbers.astype(np.float64), np.ones(len(numbers))
        waiting = [one[one > end] for one in waiting]
        waiting = [
            one if len(one) else next(reader, none) for one, reader in zip(waiting, readers)
        ]


def _driven_rows(runs: Sequence[Run], preset: Preset) -> Iterator[_Rows]:
    """Yields rows, one by one, whose durations follow values of the runs."""
    tracks = [Tracks(run.header.layers, preset) for run in runs]
    for number, row in align_steps(runs):
        factors = []
        for one, step in zip(tracks, row):
            missing = missing_moment(number, 1)
            moments = [missing if step is None else Moment(number, step)]
            factors.append(float(one.duration_factors(moments)[0]))
            one.update_values(moments)
        yield np.full(1, float(number)), np.full(1, max(factors))


def _format_time(seconds: float, interval: float) -> str:
    """Returns a time as 0:42 or 1:02:03, with tenths if the interval has some."""
    minutes, second = divmod(round(seconds, 1), 60)
    hours, minute = divmod(int(minutes), 60)
    text = f"{second:04.1f}" if interval < 1 else f"{second:02.0f}"
    return f"{hours}:{minute:02}:{text}" if hours else f"{minute}:{text}"
