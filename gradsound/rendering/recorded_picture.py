"""The picture of a sound's runs for the page that plays them: columns, alarms, losses.

Shapes: S moments, L layers of all runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.packed_arrays import differences, round_floats
from gradsound.rendering.recorded_losses import RecordedLosses
from gradsound.runs.step_block import make_block
from gradsound.web.columns import columns_of_steps
from gradsound.web.merged_columns import MergedColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.rendering.recorded_layers import RecordedLayers
    from gradsound.runs.step_block import StepBlock

_COLUMNS_MAX, _COLUMNS_MIN = 2000, 100  # a picture shows no more; fewer are no picture
_NORMS_MAX = 1_000_000  # 4 MB; the columns of more layers merge more steps
_NUMBER_MAX = 2**32 - 1  # of a step in a message


class RecordedPicture:
    """Collects the columns and the alarms of moments.

    Args:
        layers: The layers of the runs.

    Attributes:
        alarms: The alarms as data for the page.
    """

    def __init__(self, layers: RecordedLayers) -> None:
        self._layers = layers
        fitting = _NORMS_MAX // len(layers.tree.order)
        most = max(_COLUMNS_MIN, min(_COLUMNS_MAX, fitting))
        self._columns = MergedColumns(most)
        self._value_names: dict[str, str] = {}  # without the run, by name
        self.alarms: list[dict[str, Any]] = []

    def add(self, rows: Sequence[tuple[Moment, ...]]) -> None:
        """Adds successive rows, one or more, each with a moment of every run."""
        firsts = np.array([min(one.first for one in row) for row in rows], np.int64)
        self._columns.add(firsts, self._side_by_side(rows))
        for row in rows:
            for run, moment in enumerate(row):
                for alarm in moment.alarms:
                    self.alarms.append(
                        {
                            "step": alarm.step,
                            "type": alarm.kind,
                            "text": self._layers.text(run, alarm.text),
                            "spans": self._layers.spans(run, alarm.layers),
                        }
                    )

    def losses(self) -> RecordedLosses:
        """Returns the losses of the columns so far."""
        _, steps = self._columns.end()
        return RecordedLosses(steps.values, self._value_names)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays of a recording, by name."""
        columns = columns_of_steps(*self._columns.end(), self._layers.tree.order)
        firsts = np.minimum(columns.firsts, _NUMBER_MAX)
        lasts = np.minimum(columns.lasts, _NUMBER_MAX)
        return {
            "column_times": differences(np.rint(100 * columns.times).astype(np.int64)),
            "column_firsts": differences(firsts),
            "column_lasts": differences(lasts),
            "column_norms": round_floats(columns.norms.T),
        }

    def _side_by_side(self, rows: Sequence[tuple[Moment, ...]]) -> StepBlock:
        """Returns a step for each row, with the layers and the values of all runs."""
        blocks = [make_block([moment.step for moment in own]) for own in zip(*rows)]
        first, *others = blocks
        values = {}
        for run, block in enumerate(blocks):
            for name, value in block.values.items():
                values[self._layers.name(run, name)] = value
                self._value_names[self._layers.name(run, name)] = name
        if not others:
            return first
        present = np.array([[moment.present for moment in row] for row in rows])
        known = np.argmax(present, axis=1)  # the first run that has the step knows its time
        times = np.stack([block.times for block in blocks], axis=1)
        return replace(
            first,
            times=times[np.arange(len(rows)), known],
            norms=np.concatenate([block.norms for block in blocks], axis=1),
            absent=np.concatenate([block.absent for block in blocks], axis=1),
            skipped=np.logical_and.reduce([block.skipped for block in blocks]),
            raw=None,
            values=values,
            signals={},
        )
