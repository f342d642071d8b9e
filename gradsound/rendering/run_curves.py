"""Reads a run for its picture: curves of norms and values, and moments to sound.

Shapes: R rows read at once, B bands, G groups of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.articulation import band_medians
from gradsound.music.moments import Moment, merge_groups
from gradsound.music.note_norms import note_norms
from gradsound.music.tracks import Tracks
from gradsound.rendering.alarm_lanes import AlarmLanes
from gradsound.rendering.curves import Curves, first_steps, join, thin
from gradsound.rendering.rank_map import RankMap, join_maps, map_ranks
from gradsound.rendering.spectrogram import COLUMNS_MAX
from gradsound.runs.rank_layers import are_ranks
from gradsound.runs.step_stream import resize_blocks
from gradsound.runs.value_roles import find_role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock
    from gradsound.summary.run_summary import Summary

MAX_STEPS = 1600  # groups drawn, about one a pixel
_READ_AT_ONCE = 4096  # steps; numpy is faster in large groups


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
        signals: Curves of the bands' signals, by name.
        moments: The moments of the spectrogram: of one or more successive groups, the one
            with the largest norm.
        moment_steps: The first step of these groups, as long as ``moments``.
        lanes: The alarms.
        ranks: The map of the ranks, if the layers are ranks of one training; else None.
    """

    run: Run
    summary: Summary
    tracks: Tracks
    norms: Curves
    zero_steps: NDArray[np.float64]
    unclipped: Curves
    unapplied: Curves
    values: dict[str, Curves]
    signals: dict[str, Curves]
    moments: list[Moment]
    moment_steps: NDArray[np.float64]
    lanes: AlarmLanes
    ranks: RankMap | None = None

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
        groups = -(-summary.steps // self._group)
        self._rows = self._group * -(-groups // COLUMNS_MAX)  # of a moment's groups
        self._tracks = Tracks(run.header.layers, preset)
        self._norms: list[Curves] = []
        self._unclipped: list[Curves] = []
        self._unapplied: list[Curves] = []
        self._zero_steps: list[NDArray[np.float64]] = []
        self._values: dict[str, list[Curves]] = {}
        self._signals: dict[str, list[Curves]] = {}
        self._moments: list[Moment] = []
        self._moment_steps: list[NDArray[np.float64]] = []
        self._ranks: list[RankMap] = []

    def read(self) -> RunCurves:
        """Returns the curves.

        Raises:
            RunFormatError: If a line of the run is not a step.
        """
        size = self._rows * max(1, _READ_AT_ONCE // self._rows)
        for block in resize_blocks(self._run.blocks(), size):
            self._add_norms(block)
            self._add_values(block)
            self._add_signals(block)
            if are_ranks(self._run.header.layers):
                self._ranks.append(map_ranks(block, self._group))
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
            {name: join(parts) for name, parts in self._signals.items()},
            self._moments,
            np.concatenate(self._moment_steps),
            AlarmLanes(alarms, self._summary.logged.last or 0),
            join_maps(self._ranks) if self._ranks else None,
        )

    def _add_norms(self, steps: StepBlock) -> None:
        numbers = steps.numbers.astype(np.float64)
        found = note_norms(steps, self._tracks.bands, self._preset)
        present, zero = ~found.absent, found.finite & (found.norms == 0)
        unapplied = found.finite & ~zero & steps.skipped[:, None]
        drawn = present & ~zero & ~unapplied
        self._norms.append(thin(numbers, found.norms, drawn, self._group))
        self._unapplied.append(thin(numbers, found.norms, unapplied, self._group))
        padding = -len(steps) % self._group
        padded = np.pad(numbers, (0, padding), mode="edge").reshape(-1, self._group)
        zeros = np.pad(zero, ((0, padding), (0, 0))).reshape(*padded.shape, -1)
        self._zero_steps.append(first_steps(padded, zeros))
        clipped = ~np.isnan(found.unclipped)
        self._unclipped.append(thin(numbers, found.unclipped, clipped, self._group))
        norms = np.nan_to_num(found.norms, nan=np.inf)
        self._add_moments(steps, np.where(present, norms, -1.0))

    def _add_moments(self, steps: StepBlock, norms: NDArray[np.floating]) -> None:
        """Adds the moments with the largest norms, and where their groups begin."""
        largest = norms.max(axis=1)
        padded = np.pad(largest, (0, -len(steps) % self._rows), constant_values=-np.inf)
        peaks = padded.reshape(-1, self._rows).argmax(axis=1)
        groups = np.arange(len(peaks)) * self._rows
        self._moment_steps.append(steps.numbers[groups].astype(np.float64))
        firsts = groups + peaks - peaks % self._merged
        sizes = np.minimum(firsts + self._merged, groups + self._rows)
        sizes = np.minimum(sizes, len(steps)) - firsts
        begins = np.cumsum(sizes) - sizes
        rows = np.repeat(firsts - begins, sizes) + np.arange(sizes.sum())
        chosen = steps.take(rows)
        # The windows of a spectrogram stand in the middle of notes of usual length.
        signals = {n: own for n, own in chosen.signals.items() if n != "update_ratio"}
        chosen = replace(chosen, signals=signals)
        self._moments += merge_groups(chosen, [()] * len(chosen), begins)

    def _add_values(self, steps: StepBlock) -> None:
        numbers = steps.numbers.astype(np.float64)
        for name, value in steps.values.items():
            if find_role(name) is None:
                continue
            present, values = np.zeros((len(steps), 1), bool), np.zeros((len(steps), 1))
            present[value.rows, 0], values[value.rows, 0] = True, value.numbers
            curves = thin(numbers, values, present, self._group).without_gaps()
            self._values.setdefault(name, []).append(curves)

    def _add_signals(self, steps: StepBlock) -> None:
        at = steps.numbers.astype(np.float64)
        for name, numbers in steps.signals.items():
            medians = band_medians(numbers, self._tracks.bands)
            curves = thin(at, medians, ~np.isnan(medians), self._group)
            self._signals.setdefault(name, []).append(curves.without_gaps())
