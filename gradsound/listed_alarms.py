"""The alarms of a listed run, for which all its steps are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import OBSERVATIONS, Thresholds
from gradsound.errors import without_warnings
from gradsound.open_run import open_run
from gradsound.ranks.opened_ranks import open_ranks
from gradsound.runs.log_choice import NO_CHOICE, LogChoice

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Alarm
    from gradsound.runs.listed_run import ListedRun
    from gradsound.runs.model import Run


@dataclass(frozen=True, slots=True)
class ListedAlarms:
    """How many alarms a run has.

    Attributes:
        counts: How many there are of each kind, in the order of their first ones.
        last: The last one; None if there is none.
    """

    counts: dict[str, int]
    last: Alarm | None

    def __str__(self) -> str:
        if self.last is None:
            return "none"
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.counts.items())
        return f"{counts}, last at step {self.last.step:,}"


def open_listed(run: ListedRun, choice: LogChoice = NO_CHOICE) -> Run:
    """Opens a listed run, or the ranks of one.

    Args:
        run: The run.
        choice: What to read of another tool's log; run files do without it.

    Raises:
        OSError, RunFormatError, ValueError: As `open_run` and `open_ranks`.
    """
    if run.ranks > 1:
        return open_ranks(run.paths)
    return open_run(run.paths[0], choice=choice if run.tool else NO_CHOICE)


def find_alarms(run: ListedRun, choice: LogChoice = NO_CHOICE) -> ListedAlarms:
    """Reads all steps of a listed run, and counts its alarms.

    Arguments and errors are those of `open_listed`.
    """
    with without_warnings():  # a torn line, for example; the listing says so
        opened = open_listed(run, choice)
        detector = RunDetector(opened.header, Thresholds())
        alarms = [
            alarm
            for block in opened.blocks()
            for alarm in chain.from_iterable(detector.detect(block))
            if alarm.kind not in OBSERVATIONS and not alarm.resolves
        ]
    counts = Counter(alarm.kind for alarm in alarms)
    return ListedAlarms(dict(counts), alarms[-1] if alarms else None)
