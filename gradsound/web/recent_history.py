"""Recent columns and captions of a live run, for pages that connect later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gradsound.music.moments import merge_moments
from gradsound.web.messages import encode_column, encode_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.music.moments import Moment

COLUMN_SECONDS = 0.25  # of a column; a picture shows no finer ones
_COLUMNS_MAX = 2400  # ten minutes
_BYTES_MAX = 1 << 23  # of all columns; a run of very many layers keeps fewer minutes
_CAPTIONS_MAX = 100


class RecentHistory:
    """Keeps the last ten minutes of columns and the last 100 captions.

    Args:
        layers: Number of the run's layers.

    Attributes:
        captions: Encoded captions, the newest last.

    Example:
        >>> import numpy as np
        >>> from gradsound.music.moments import Moment
        >>> from gradsound.runs.step import Step
        >>> history = RecentHistory(layers=1)
        >>> for number in range(2):
        ...     norms = np.array([number], np.float32)
        ...     history.add(Moment(number, Step(number, 0.1, norms, np.zeros(1, bool))))
        >>> len(history.close_column()), history.close_column()
        (20, None)
        >>> len(history.columns_after(0)), len(history.columns_after(1))
        (28, 8)
    """

    def __init__(self, layers: int) -> None:
        columns_max = max(1, min(_COLUMNS_MAX, _BYTES_MAX // (4 * layers)))
        # Number of each column's last step, and the encoded column.
        self._columns: deque[tuple[int, bytes]] = deque(maxlen=columns_max)
        self.captions: deque[str] = deque(maxlen=_CAPTIONS_MAX)
        self._open_column: Moment | None = None

    def add(self, moment: Moment) -> None:
        """Merges a moment into the open column."""
        earlier = self._open_column
        self._open_column = moment if earlier is None else merge_moments(earlier, moment)

    def close_column(self) -> bytes | None:
        """Closes the open column and returns it encoded; None if it has no moment."""
        moment, self._open_column = self._open_column, None
        if moment is None:
            return None
        column = encode_column(moment.first, moment.step)
        self._columns.append((moment.step.number, column))
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

    def columns_after(self, step_number: int) -> bytes:
        """Encodes the closed columns that end after a step."""
        return encode_columns(
            [column for last, column in self._columns if last > step_number]
        )
