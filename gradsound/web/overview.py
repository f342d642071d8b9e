"""The overview of a finished run: at most 2000 columns of its picture, and its alarms."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.moments import merge_rows
from gradsound.runs.step_block import concatenate
from gradsound.web.columns import columns_of_steps
from gradsound.web.layer_places import LayerPlaces
from gradsound.web.messages import Mark, encode_columns, encode_marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

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
        return encode_columns(self._columns.of_rows(view.spans))

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
    columns = _Columns()
    for block in run.blocks():
        on_block(block)
        alarms += chain.from_iterable(detector.detect(block))
        columns.add(block)
    if not detector.step_count:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
    places = LayerPlaces(run.header.layers, tree)
    return Overview(columns.end(tree.order), alarms[:_MARKS_MAX], places)


class _Columns:
    """The columns of a run, which merge more and more steps as the run goes on."""

    def __init__(self) -> None:
        self._firsts: list[NDArray[np.int64]] = []
        self._blocks: list[StepBlock] = []  # of merged steps, with the numbers of the last
        self._count = 0
        self._size, self._last = 1, 0  # steps in a full column, and in the last one

    def add(self, steps: StepBlock) -> None:
        """Adds successive steps."""
        missing = self._size - self._last if self._count else 0  # in the last column
        self._last = (self._last + len(steps) - 1) % self._size + 1
        begins = np.arange(missing, len(steps), self._size)
        firsts = steps.numbers
        if missing:  # the last column goes on
            column, first = self._blocks[-1], self._firsts[-1]
            self._blocks[-1], self._firsts[-1] = column.take(slice(-1)), first[:-1]
            self._count -= 1
            steps = concatenate([column.take(slice(-1, None)), steps])
            firsts = np.append(first[-1:], firsts)
            begins = np.append(0, begins + 1)
        self._append(firsts, steps, begins)
        while self._count > _COLUMNS_MAX:
            self._last += 0 if self._count % 2 else self._size
            self._size *= 2
            firsts, steps = np.concatenate(self._firsts), concatenate(self._blocks)
            self._firsts, self._blocks, self._count = [], [], 0
            self._append(firsts, steps, np.arange(0, len(steps), 2))

    def _append(
        self, firsts: NDArray[np.int64], steps: StepBlock, begins: NDArray[np.intp]
    ) -> None:
        self._firsts.append(np.minimum.reduceat(firsts, begins))
        self._blocks.append(merge_rows(steps, begins))
        self._count += len(begins)

    def end(self, order: Sequence[int]) -> Columns:
        """Returns the columns, with the layers in an order."""
        steps = concatenate(self._blocks)
        return columns_of_steps(np.concatenate(self._firsts), steps, order)
