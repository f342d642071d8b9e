"""What a page is told first of a run that goes on: its picture, and what was said."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gradsound.music.moments import merge_moments
from gradsound.web.messages import column, columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.music.moments import Moment

APART = 0.25  # seconds from column to column; more are not told apart in a picture
_COLUMNS_MAX = 2400  # ten minutes of these
_BYTES_MAX = 1 << 23  # of all columns; of very many layers, fewer minutes are kept
_CAPTIONS_MAX = 100


class RecentHistory:
    """Keeps what was shown of late.

    Args:
        layers: How many the run has.

    Attributes:
        captions: As sent, the latest of them.
    """

    def __init__(self, layers: int) -> None:
        most = max(1, min(_COLUMNS_MAX, _BYTES_MAX // (4 * layers)))
        # Numbers of the last step of each, and what was sent.
        self._columns: deque[tuple[int, bytes]] = deque(maxlen=most)
        self.captions: deque[str] = deque(maxlen=_CAPTIONS_MAX)
        self._pending: Moment | None = None

    def add(self, moment: Moment) -> None:
        """Adds what was heard; what comes close together is one column."""
        pending = self._pending
        self._pending = moment if pending is None else merge_moments(pending, moment)

    def column(self) -> bytes | None:
        """The column of what was added since the last one, if anything was."""
        moment, self._pending = self._pending, None
        if moment is None:
            return None
        made = column(moment.first, moment.step)
        self._columns.append((moment.step.number, made))
        return made

    def recall(self, moments: Iterable[Moment]) -> None:
        """Adds moments of the past, as they came then."""
        begun = -APART
        for moment in moments:
            if moment.step.time - begun >= APART:
                self.column()
                begun = moment.step.time
            self.add(moment)
        self.column()

    def since(self, number: int) -> bytes:
        """The columns after a step, to be sent."""
        return columns([made for last, made in self._columns if last > number])
