"""Recent columns and captions of a live run, for pages that connect later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gradsound.music.moments import merge_moments
from gradsound.web.columns import column_of_moment, join_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.web.columns import Columns

COLUMN_SECONDS = 0.25  # of a column; a picture shows no finer ones
_COLUMNS_MAX = 2400  # ten minutes
_BYTES_MAX = 1 << 26  # of all columns; 7,000 layers and more keep fewer minutes
_CAPTIONS_MAX = 100


class RecentHistory:
    """Keeps the last ten minutes of columns and the last 100 captions.

    Args:
        order: Indices of the run's layers in the order of a tree.

    Attributes:
        captions: Captions, the newest last, each with the seconds from the sound's clock
            to the run's.

    Example:
        >>> import numpy as np
        >>> from gradsound.music.moments import Moment
        >>> from gradsound.runs.step import Step
        >>> history = RecentHistory(order=[0])
        >>> for number in range(2):
        ...     norms = np.array([number], np.float32)
        ...     history.add(Moment(number, Step(number, 0.1, norms, np.zeros(1, bool))))
        >>> history.close_column().lasts, history.close_column()
        (array([1]), None)
        >>> history.columns_after(0).lasts, history.columns_after(1)
        (array([1]), None)
    """

    def __init__(self, order: Sequence[int]) -> None:
        columns_max = max(1, min(_COLUMNS_MAX, _BYTES_MAX // (4 * len(order))))
        self._order = order
        self._columns: deque[Columns] = deque(maxlen=columns_max)  # of one column each
        self.captions: deque[tuple[Caption, float]] = deque(maxlen=_CAPTIONS_MAX)
        self._open_column: Moment | None = None

    def add(self, moment: Moment) -> None:
        """Merges a moment into the open column."""
        earlier = self._open_column
        self._open_column = moment if earlier is None else merge_moments(earlier, moment)

    def close_column(self) -> Columns | None:
        """Closes the open column and returns it; None if it has no moment."""
        moment, self._open_column = self._open_column, None
        if moment is None:
            return None
        column = column_of_moment(moment, self._order)
        self._columns.append(column)
        return column

    def add_past(self, moments: Iterable[Moment]) -> None:
        """Adds moments from before the stream began, as columns of 0.25 s of the run."""
        column_start = -COLUMN_SECONDS
        for moment in moments:
            if moment.step.time - column_start >= COLUMN_SECONDS:
                self.close_column()
                column_start = moment.step.time
            self.add(moment)
        self.close_column()

    def columns_after(self, step_number: int) -> Columns | None:
        """Returns the closed columns that end after a step; None if there are none."""
        later = [column for column in self._columns if column.lasts[0] > step_number]
        return join_columns(later) if later else None
