"""The overview of a finished run: at most 2000 columns of its picture, and its alarms."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.moments import Moment, merge_groups, merge_moments
from gradsound.web.messages import encode_column, encode_columns, encode_marks

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Run

_COLUMNS_MAX = 2000  # a picture shows no more
_MARKS_MAX = 1000


def make_overview(run: Run, thresholds: Thresholds) -> tuple[bytes, str]:
    """Reads a run and returns two messages: the columns of its picture, and its alarms.

    All columns merge the same number of steps, except the last.

    Raises:
        OSError, RunFormatError: If the run cannot be read.
        ValueError: If the run has no steps.

    Example:
        >>> import numpy as np
        >>> from gradsound.alarms.thresholds import Thresholds
        >>> from gradsound.runs.model import Header, Run
        >>> from gradsound.runs.step import Step
        >>> step = Step(0, 0.0, np.ones(1, np.float32), np.zeros(1, bool))
        >>> run = Run(Header(layers=("head",), parameters=(1,), start=""), [step])
        >>> columns, marks = make_overview(run, Thresholds())
        >>> len(columns), marks
        (28, '{"kind": "marks", "marks": []}')
    """
    detector = RunDetector(run.header, thresholds)
    moments: list[Moment] = []
    size, last = 1, 0  # steps in a full column, and in the last one
    for block in run.blocks():
        missing = (size - last) % size  # steps that the last column lacks
        begins = np.arange(missing, len(block), size)
        if missing:
            begins = np.concatenate([[0], begins])
        new = merge_groups(block, detector.detect(block), begins)
        if missing:
            new[0] = merge_moments(moments.pop(), new[0])
        moments += new
        last = (last + len(block) - 1) % size + 1
        while len(moments) > _COLUMNS_MAX:
            pairs = (moments[k : k + 2] for k in range(0, len(moments), 2))
            last += 0 if len(moments) % 2 else size
            moments = [reduce(merge_moments, pair) for pair in pairs]
            size *= 2
    if not moments:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
    all_alarms = [alarm for moment in moments for alarm in moment.alarms]
    columns = [encode_column(moment.first, moment.step) for moment in moments]
    marks = [(alarm.step, alarm.kind, alarm.text) for alarm in all_alarms[:_MARKS_MAX]]
    return encode_columns(columns), encode_marks(marks)
