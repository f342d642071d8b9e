"""Moments: what there is to be heard of a step, or of several that sound as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.gathering import gather
from gradsound.run import Step

if TYPE_CHECKING:
    from gradsound.music.alarms import Alarm


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What sounds at once.

    Attributes:
        first: Number of its first step.
        step: Its only step; or what is remarkable of all, as of the last one.
        alarms: What was found at any of them.
    """

    first: int
    step: Step
    alarms: tuple[Alarm, ...] = ()


def gathered(earlier: Moment, later: Moment) -> Moment:
    """Returns two moments as one; no alarm is lost."""
    step = gather(earlier.step, later.step)
    return Moment(earlier.first, step, earlier.alarms + later.alarms)


def nothing(number: int, layers: int) -> Moment:
    """What there is of a step that a run does not have."""
    norms, absent = np.full(layers, np.nan, np.float32), np.ones(layers, bool)
    return Moment(number, Step(number, 0.0, norms, absent))
