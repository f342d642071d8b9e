"""The overview of a finished run: at most 2000 columns of its picture, and its alarms."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from gradsound.alarms.run_detector import RunDetector
from gradsound.web.columns import columns_of_steps
from gradsound.web.layer_places import LayerPlaces
from gradsound.web.merged_columns import MergedColumns
from gradsound.web.messages import Mark, encode_columns, encode_marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.alarms.thresholds import Alarm, Thresholds
    from gradsound.music.layer_tree import LayerTree
    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock
    from gradsound.web.columns import Columns
    from gradsound.web.row_view import RowView

_COLUMNS_MAX = 2000  # a picture shows no more
_MARKS_MAX = 1000


class Overview:
    """The columns of a finished run, and its alarms.

    Args:
        columns: The columns, with the layers in the order of a tree.
        alarms: The alarms.
        places: Places of the run's layers in the tree.
    """

    def __init__(
        self, columns: Columns, alarms: Iterable[Alarm], places: LayerPlaces
    ) -> None:
        self._columns = columns
        self._alarms = [(alarm, places.places(alarm.layers)) for alarm in alarms]

    def columns(self, view: RowView) -> bytes:
        """Returns the message with the columns of a page."""
        return encode_columns(view.norms(self._columns))

    def marks(self, view: RowView) -> str:
        """Returns the message with the alarms, at most 1000, and their rows on a page."""
        return encode_marks(
            Mark(alarm.step, alarm.kind, alarm.text, view.rows_of(places))
            for alarm, places in self._alarms
        )


def make_overview(
    run: Run,
    tree: LayerTree,
    thresholds: Thresholds,
    on_block: Callable[[StepBlock], object] = lambda _: None,
) -> Overview:
    """Reads a run and returns the columns of its picture, and its alarms.

    All columns merge the same number of steps, except the last.

    Args:
        run: The run.
        tree: Its layers in groups.
        thresholds: The thresholds of its alarms.
        on_block: Called with each block of steps.

    Raises:
        OSError, RunFormatError: If the run cannot be read.
        ValueError: If the run has no steps.

    Example:
        >>> import numpy as np
        >>> from gradsound.alarms.thresholds import Thresholds
        >>> from gradsound.music.layer_tree import make_layer_tree
        >>> from gradsound.runs.model import Header, Run
        >>> from gradsound.runs.step import Step
        >>> from gradsound.web.row_view import RowView
        >>> step = Step(0, 0.0, np.ones(1, np.float32), np.zeros(1, bool))
        >>> run = Run(Header(layers=("head",), parameters=(1,), start=""), [step])
        >>> tree = make_layer_tree(run.header.layers, ())
        >>> overview = make_overview(run, tree, Thresholds())
        >>> len(overview.columns(RowView(tree))), overview.marks(RowView(tree))
        (28, '{"kind": "marks", "marks": []}')
    """
    detector = RunDetector(run.header, thresholds)
    alarms: list[Alarm] = []
    columns = MergedColumns(_COLUMNS_MAX)
    for block in run.blocks():
        on_block(block)
        alarms += chain.from_iterable(detector.detect(block))
        columns.add(block.numbers, block)
    if not detector.step_count:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
    places = LayerPlaces(run.header.layers, tree)
    merged = columns_of_steps(*columns.end(), tree.order)
    return Overview(merged, alarms[:_MARKS_MAX], places)
