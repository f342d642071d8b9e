"""The overview of a finished run: at most 2000 columns of its picture, and its alarms."""

from __future__ import annotations

from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.moments import Moment, merge_moments
from gradsound.web.messages import encode_column, encode_columns, encode_marks

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Run

_COLUMNS_MAX = 2000  # a picture shows no more; an even number, so that pairs can merge
_MARKS_MAX = 1000
_READ_AT_ONCE = 1024  # steps; alarm detection is faster in large groups


def make_overview(run: Run, thresholds: Thresholds) -> tuple[bytes, str]:
    """Reads a run and returns two messages: the columns of its picture, and its alarms.

    All columns merge the same number of steps, except the last.

    Raises:
        OSError, RunFormatError: If the run cannot be read.
        ValueError: If the run has no steps.

    Example:
        >>> import numpy as np
        >>> from gradsound.alarms.thresholds import Thresholds
        >>> from gradsound.runs.model import Header, Run, Step
        >>> step = Step(0, 0.0, np.ones(1, np.float32), np.zeros(1, bool))
        >>> run = Run(Header(layers=("head",), parameters=(1,), start=""), [step])
        >>> columns, marks = make_overview(run, Thresholds())
        >>> len(columns), marks
        (28, '{"kind": "marks", "marks": []}')
    """
    detector = RunDetector(run.header, thresholds)
    moments: list[Moment] = []
    steps = iter(run.steps)
    steps_per_column, last_count = 1, 0  # steps in a full column and in the last one
    while chunk := [*islice(steps, _READ_AT_ONCE)]:
        for step, alarms in zip(chunk, detector.detect(chunk)):
            moment = Moment(step.number, step, alarms)
            if moments and last_count < steps_per_column:
                moments[-1] = merge_moments(moments[-1], moment)
                last_count += 1
            else:
                moments.append(moment)
                last_count = 1
            if len(moments) > _COLUMNS_MAX:  # one more than an even number: the last stays
                pairs = (moments[k : k + 2] for k in range(0, len(moments), 2))
                moments = [reduce(merge_moments, pair) for pair in pairs]
                steps_per_column *= 2
    if not moments:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
    all_alarms = [alarm for moment in moments for alarm in moment.alarms]
    columns = [encode_column(moment.first, moment.step) for moment in moments]
    marks = [(alarm.step, alarm.kind, alarm.text) for alarm in all_alarms[:_MARKS_MAX]]
    return encode_columns(columns), encode_marks(marks)
