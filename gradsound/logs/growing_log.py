"""The run in a log that still grows: its steps, as another tool logs them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import RunFormatError, warn
from gradsound.logs.log_run import REPORT_WIDTH, find_start
from gradsound.logs.names.classified_names import classify_names
from gradsound.logs.steps.log_blocks import LogBlocks
from gradsound.logs.steps.log_steps import merge
from gradsound.logs.steps.sorted_steps import SortedSteps
from gradsound.name_matching import list_some, printable
from gradsound.runs.model import Header, Run
from gradsound.runs.step_stream import StepStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from gradsound.logs.log import Log
    from gradsound.logs.names.classified_names import ClassifiedNames
    from gradsound.logs.scalars import WaitForMore
    from gradsound.logs.steps.log_steps import LogSteps
    from gradsound.runs.step_block import StepBlock

_QUIET_SECONDS = 0.3  # tools log the values of one step one after another, in less
_REPORTS_MAX = 5  # reports of damage; more would drown the alarms
_LISTED_MAX = 3  # names in a warning


class GrowingLog:
    """Reads the steps of a log while another process writes it.

    If the log has no clock, a step has the time when it came; steps that come together are
    spread over the time since the ones before.

    A step is complete when a later one is logged; or when it has as many norms as the step
    before, and nothing was logged for 0.3 s. If the training goes back to an earlier step,
    the run has the numbers of these steps again.

    Args:
        name: The name of the run in messages.
        log: The log.
        globs: As for `build_run`.
        wait_for_more: As for readers of logs.
        on_wait: Called with a sentence if the log has no norm yet.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        globs: Sequence[str] | None,
        wait_for_more: WaitForMore,
        on_wait: Callable[[str], object],
    ) -> None:
        self._name, self._globs, self._on_wait = name, globs, on_wait
        self._notes = log.notes
        self._scalars = log.read(self._report, wait_for_more)
        self._steps = SortedSteps()
        self._reports = 0
        self._newest: LogSteps | None = None  # the newest step, which may not be complete
        self._norms: set[int] = set()  # indices of the names of norms in the step before
        self._last_number = -1  # of the last complete step
        self._has_clock = False
        self._arrived = np.nan  # seconds since 1970; when the last entries came

    def run(self) -> Run:
        """Returns the run once the log has a norm; its steps can be iterated once.

        Raises:
            OSError: If the log cannot be read, or the temporary file cannot be written.
            RunFormatError: If the log ends without a norm.
        """
        said = ""
        while True:
            grows = self._read_on()
            changed = time.monotonic()
            # The first step may not be complete, and it tells which layers there are.
            while grows and self._steps.first == self._steps.last:
                count = self._steps.count
                grows = self._read_on()
                if self._steps.count > count:
                    changed = time.monotonic()
                elif time.monotonic() - changed > _QUIET_SECONDS:
                    break
            try:
                if not self._steps.names:
                    raise RunFormatError("no number could be read")
                names = classify_names(self._steps.names, self._globs)
                break
            except RunFormatError as error:
                if not grows:
                    raise RunFormatError(f"{self._name}: {error}") from error
                if str(error) != said:
                    said = str(error)
                    self._on_wait(f"{self._name} has no norm yet: {said}")
        if reports := [report for report in (*self._notes, names.doubt) if report]:
            warn(f"{self._name}: {'; '.join(reports)}")
        self._steps.sort()
        layers = tuple(names.layers.values())
        start = find_start(self._steps, names)
        header = Header(layers=layers, parameters=(0,) * len(layers), start=start)
        return Run(header, StepStream(self._blocks(names, grows=grows)), self._name)

    def _read_on(self) -> bool:
        """Reads what the log has got since; returns whether it still grows."""
        for scalars in self._scalars:
            if scalars is None:
                return True
            self._steps.add(scalars)
        return False

    def _blocks(self, names: ClassifiedNames, *, grows: bool) -> Iterator[StepBlock]:
        """Yields the complete steps in blocks; waits for more while the log grows."""
        blocks, known = LogBlocks(names), len(self._steps.names)
        norms = np.array(names.norms)
        changed = -np.inf  # seconds; the first entries came before
        while True:
            for steps in self._take_complete():
                yield from blocks.make(self._without_repetition(steps, norms))
            quiet = time.monotonic() - changed > _QUIET_SECONDS
            newest = self._newest
            if newest is not None and (
                not grows or (quiet and self._norms <= self._find_norms(newest, norms))
            ):
                self._newest = None
                yield from blocks.make(self._without_repetition(newest, norms))
            if not grows:
                return
            count = self._steps.count
            grows = self._read_on()
            if self._steps.count > count:
                changed = time.monotonic()
            if len(self._steps.names) > known:
                blocks.add_values(self._find_new_values(names, known))
                known = len(self._steps.names)

    def _take_complete(self) -> Iterator[LogSteps]:
        """Yields the steps that later ones follow; the newest one stays."""
        now = time.time()
        for part in self._steps.drain():
            steps = self._set_times(part, now)
            if self._newest is not None:
                if steps.numbers[0] < self._newest.numbers[0]:
                    yield self._newest
                else:
                    steps = merge([self._newest, steps])
            self._newest = steps.take(len(steps) - 1, len(steps))
            if len(steps) > 1:
                yield steps.take(0, len(steps) - 1)
        if np.isnan(self._arrived):
            self._arrived = now

    def _set_times(self, steps: LogSteps, now: float) -> LogSteps:
        """Returns steps with the times when they came, if the log has no clock."""
        self._has_clock |= not np.isnan(steps.times).all()
        if self._has_clock or np.isnan(self._arrived):
            return steps
        times = np.linspace(self._arrived, now, len(steps) + 1)[1:]
        self._arrived = now
        return replace(steps, times=times)

    def _without_repetition(self, steps: LogSteps, norms: NDArray[np.intp]) -> LogSteps:
        """Returns steps without norms that come late, for a step that was complete.

        Args:
            steps: The next complete steps.
            norms: Indices of the names of norms.
        """
        if steps.numbers[0] == self._last_number:
            kept = ~np.isin(steps.places, norms)
            kept[steps.begins[1] :] = True
            begins = np.concatenate([[0], np.cumsum(kept)])[steps.begins]
            steps = replace(
                steps, begins=begins, places=steps.places[kept], values=steps.values[kept]
            )
        self._last_number = int(steps.numbers[-1])
        last = steps.take(len(steps) - 1, len(steps))
        self._norms = self._find_norms(last, norms) or self._norms
        return steps

    def _find_norms(self, steps: LogSteps, norms: NDArray[np.intp]) -> set[int]:
        """Returns the indices of the names of norms that steps have."""
        return {*steps.places[np.isin(steps.places, norms)].tolist()}

    def _find_new_values(self, names: ClassifiedNames, known: int) -> dict[int, str]:
        """Returns the names of values that came after the first steps; warns of norms.

        Args:
            names: The names when the run began.
            known: How many names the log had until now.
        """
        now = classify_names(self._steps.names, self._globs)
        present = {*names.norms}
        late = [self._steps.names[k] for k in now.layers if k not in present and k >= known]
        if late:
            self._report(
                f"{list_some(late, _LISTED_MAX)} came after the first norms and is left "
                "out; start again to hear it"
            )
        return {k: name for k, name in now.values.items() if k >= known}

    def _report(self, text: str) -> None:
        """Warns of damage, or of what is left out, five times at most."""
        self._reports += 1
        if self._reports <= _REPORTS_MAX:
            warn(f"{self._name}: {printable(text, REPORT_WIDTH)}")
