"""A finished run at a glance: so many columns, however long it is, and its alarms."""

from __future__ import annotations

from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.moments import Moment, merge_moments
from gradsound.web.messages import column, columns, marks

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Run

_COLUMNS_MAX = 2000  # more are not told apart in a picture; even, to be halved
_MARKS_MAX = 1000
_AT_ONCE = 1024  # steps


def overview(run: Run, thresholds: Thresholds) -> tuple[bytes, str]:
    """Reads a run, and returns its columns and its marks, to be sent.

    Each column has as many steps as the others, but for the last.

    Raises:
        OSError, RunFormatError: If it cannot be read.
        ValueError: If it has no steps.
    """
    watch = RunDetector(run.header.layers, thresholds)
    moments: list[Moment] = []
    steps, each, held = iter(run.steps), 1, 0  # steps a column, and in the last one
    while some := [*islice(steps, _AT_ONCE)]:
        for step, alarms in zip(some, watch.look(some)):
            moment = Moment(step.number, step, alarms)
            if moments and held < each:
                moments[-1], held = merge_moments(moments[-1], moment), held + 1
            else:
                moments.append(moment)
                held = 1
            if len(moments) > _COLUMNS_MAX:  # by one, which stays by itself
                pairs = (moments[k : k + 2] for k in range(0, len(moments), 2))
                moments, each = [reduce(merge_moments, pair) for pair in pairs], 2 * each
    if not moments:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
    found = [alarm for moment in moments for alarm in moment.alarms]
    told = [(alarm.step, alarm.kind, alarm.text) for alarm in found[:_MARKS_MAX]]
    return columns([column(one.first, one.step) for one in moments]), marks(told)
