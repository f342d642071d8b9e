"""Moments: what there is to be heard of a step, or of several that sound as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.gathering import gather
from gradsound.runs.model import Step

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Alarm


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What sounds at once.

    Attributes:
        first: Number of its first step.
        step: Its only step; or what is remarkable of all, as of the last one.
        alarms: What was found at any of them.
        present: Whether the run has one of them; of several runs, not every one may.
    """

    first: int
    step: Step
    alarms: tuple[Alarm, ...] = ()
    present: bool = True


def gathered(earlier: Moment, later: Moment) -> Moment:
    """Returns two moments as one; no alarm is lost."""
    step = gather(earlier.step, later.step)
    alarms = earlier.alarms + later.alarms
    return Moment(earlier.first, step, alarms, earlier.present or later.present)


def nothing(number: int, layers: int) -> Moment:
    """What there is of a step that a run does not have."""
    norms, absent = np.full(layers, np.nan, np.float32), np.ones(layers, bool)
    return Moment(number, Step(number, 0.0, norms, absent), present=False)
