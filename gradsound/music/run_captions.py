"""The captions of a run in order of time: when an epoch and a minute get one."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from gradsound.music.captions import (
    Caption,
    epoch_text,
    fit_text,
    minute_text,
    pause_text,
)
from gradsound.runs.signals import hold_last

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band
    from gradsound.music.moments import Moment

_STATE_SECONDS = 60.0  # between captions of the state of the run


class RunCaptions:
    """Keeps the captions of a run in order, and adds those of epochs and minutes.

    Args:
        bands: Groups of the layers, which the caption of a minute names.
        run_name: Name of the run in captions, if there are several runs.

    Attributes:
        captions: Captions in order of time. A player may remove those that it has shown.
    """

    def __init__(self, bands: Sequence[Band], run_name: str) -> None:
        self._bands, self._run_name = bands, run_name
        self._epoch: float | None = None
        self._next_minute = 1
        self._step_number = -1  # of the last step
        self._signals: dict[str, NDArray[np.float32]] = {}  # the last ones, shape (L,)
        self.captions: list[Caption] = []

    def add(self, caption: Caption) -> None:
        """Adds a caption of this run, and fits its text into a line."""
        self.add_shared(replace(caption, text=fit_text(caption.text, self._run_name)))

    def add_shared(self, caption: Caption) -> None:
        """Adds a caption that holds for all runs, so it does not name this one."""
        insort(self.captions, caption, key=lambda one: one.time)

    def add_moment(self, moment: Moment, begin: float) -> None:
        """Adds the captions of a new epoch and of a new minute, if the moment has them.

        Args:
            moment: The next moment.
            begin: Its begin in seconds.
        """
        step, self._step_number = moment.step, moment.step.number
        for name, numbers in step.signals.items():
            self._signals[name] = hold_last(numbers[None], self._signals.get(name))[0]
        epoch = step.values.get("epoch", self._epoch)
        if epoch is not None and epoch != self._epoch and isfinite(epoch):
            self._epoch = epoch
            text = epoch_text(moment.first, epoch)
            self.add(Caption(begin, text, "epoch", moment.first))
        if self._is_new_minute(begin):
            text = minute_text(replace(step, signals=self._signals), self._bands)
            self.add(Caption(begin, text, "minute", step.number))

    def add_pause(self, time: float) -> None:
        """Adds the caption of a minute without a step, if a minute has passed."""
        if self._is_new_minute(time):
            number = self._step_number
            self.add(Caption(time, pause_text(number), "minute", number))

    def _is_new_minute(self, time: float) -> bool:
        """Returns whether a minute has passed since the last one, and counts it."""
        is_new = time >= self._next_minute * _STATE_SECONDS
        if is_new:
            self._next_minute = int(time // _STATE_SECONDS) + 1
        return is_new
