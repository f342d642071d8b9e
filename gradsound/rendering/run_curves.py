"""Reads a run for its picture: curves of norms and values, and moments to sound.

Shapes: R rows read at once, B bands, G groups of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.moments import Moment, merge_moments
from gradsound.music.note_norms import note_norms
from gradsound.music.tracks import Tracks
from gradsound.rendering.alarm_lanes import AlarmLanes
from gradsound.rendering.curves import Curves, first_steps, join, thin
from gradsound.runs.value_roles import find_role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run, Step
    from gradsound.summary.run_summary import Summary

MAX_STEPS = 1600  # groups drawn, about one a pixel
_READ_AT_ONCE = 1024  # rows; detectors and numpy are faster in large groups


@dataclass(frozen=True, slots=True, eq=False)
class RunCurves:
    """What a picture shows of a run.

    Attributes:
        run: The run.
        summary: Its summary.
        tracks: Its bands, and their pitches.
        norms: The norms of bands above 0, and those that are not finite.
        zero_steps: The first step of each group with a norm of 0, shape (G, B); else NaN.
        unclipped: The norms before clipping, where they are larger.
        unapplied: The finite norms above 0 of steps that changed no weight, because the
            training or the scaler threw the gradients away.
        values: Curves of the losses and of the learning rate, by name.
        moments: The moment of each group with the largest norm, G of them.
        lanes: The alarms.
    """

    run: Run
    summary: Summary
    tracks: Tracks
    norms: Curves
    zero_steps: NDArray[np.float64]
    unclipped: Curves
    unapplied: Curves
    values: dict[str, Curves]
    moments: list[Moment]
    lanes: AlarmLanes

    @property
    def span(self) -> tuple[float, float]:
        """The first step, and the end of the last one."""
        logged = self.summary.logged
        first, last = logged.first or 0, logged.last or 0
        spacing = (last - first) / (logged.count - 1) if logged.count > 1 else 1.0
        return first, last + spacing


class CurveReader:
    """Reads a run once, in bounded memory.

    Args:
        run: The run.
        summary: Its summary.
        preset: How it sounds.
        merged: How many steps sound as one moment.
    """

    def __init__(self, run: Run, summary: Summary, preset: Preset, merged: int) -> None:
        self._run, self._summary, self._preset = run, summary, preset
        self._merged = merged
        self._group = merged * max(1, -(-summary.steps // (merged * MAX_STEPS)))
        self._tracks = Tracks(run.header.layers, preset)
        self._norms: list[Curves] = []
        self._unclipped: list[Curves] = []
        self._unapplied: list[Curves] = []
        self._zero_steps: list[NDArray[np.float64]] = []
        self._values: dict[str, list[Curves]] = {}
        self._moments: list[Moment] = []

    def read(self) -> RunCurves:
        """Returns the curves.

        Raises:
            RunFormatError: If a line of the run is not a step.
        """
        steps = iter(self._run.steps)
        size = self._group * max(1, _READ_AT_ONCE // self._group)
        while rows := [*islice(steps, size)]:
            self._add_norms(rows)
            self._add_values(rows)
        alarms = [*self._summary.alarms, *self._summary.observations]
        alarms.sort(key=lambda alarm: alarm.step)
        return RunCurves(
            self._run,
            self._summary,
            self._tracks,
            join(self._norms),
            np.concatenate(self._zero_steps),
            join(self._unclipped),
            join(self._unapplied),
            {name: join(parts) for name, parts in self._values.items()},
            self._moments,
            AlarmLanes(alarms, self._summary.logged.last or 0),
        )

    def _add_norms(self, rows: Sequence[Step]) -> None:
        numbers = np.array([step.number for step in rows], float)
        found = note_norms(rows, self._tracks.bands, self._preset)
        present, zero = ~found.absent, found.finite & (found.norms == 0)
        skipped = np.array([[step.skipped] for step in rows])
        unapplied = found.finite & ~zero & skipped
        drawn = present & ~zero & ~unapplied
        self._norms.append(thin(numbers, found.norms, drawn, self._group))
        self._unapplied.append(thin(numbers, found.norms, unapplied, self._group))
        padding = -len(rows) % self._group
        padded = np.pad(numbers, (0, padding), mode="edge").reshape(-1, self._group)
        zeros = np.pad(zero, ((0, padding), (0, 0))).reshape(*padded.shape, -1)
        self._zero_steps.append(first_steps(padded, zeros))
        clipped = ~np.isnan(found.unclipped)
        self._unclipped.append(thin(numbers, found.unclipped, clipped, self._group))
        norms = np.nan_to_num(found.norms, nan=np.inf)
        self._add_moments(rows, np.where(present, norms, -1.0))

    def _add_moments(self, rows: Sequence[Step], norms: NDArray[np.floating]) -> None:
        """Adds a moment for each group: the one that contains the largest norm."""
        for begin in range(0, len(rows), self._group):
            peak = int(norms[begin : begin + self._group].max(axis=1).argmax())
            first = begin + peak - peak % self._merged
            steps = rows[first : min(first + self._merged, begin + self._group)]
            moments = (Moment(step.number, step) for step in steps)
            self._moments.append(reduce(merge_moments, moments))

    def _add_values(self, rows: Sequence[Step]) -> None:
        numbers = np.array([step.number for step in rows], float)
        for name in dict.fromkeys(name for step in rows for name in step.values):
            if find_role(name) is None:
                continue
            present = np.array([[name in step.values] for step in rows])
            values = np.array([[step.values.get(name, 0.0)] for step in rows])
            curves = thin(numbers, values, present, self._group).without_gaps()
            self._values.setdefault(name, []).append(curves)
