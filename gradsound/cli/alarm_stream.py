"""The alarms of a run as they come, for gradsound watch: printed, given to a command."""

from __future__ import annotations

import json
import time
from itertools import chain
from typing import TYPE_CHECKING

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import KINDS, OBSERVATIONS, Thresholds
from gradsound.cli.alarm_output import to_object, to_text
from gradsound.cli.output import flush, print_line
from gradsound.summary.alarm_lines import AlarmLine, text_with_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gradsound.alarms.thresholds import Alarm
    from gradsound.cli.alarm_command import AlarmCommand
    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock

_STEP_WIDTH = len("1,000,000")
_KIND_WIDTH = max(map(len, KINDS))


def find_alarms(run: Run, blocks: Iterable[StepBlock | None]) -> Iterator[Alarm | None]:
    """Yields the alarms of a run as they come, and that of its end.

    Args:
        run: The run.
        blocks: Its steps; None where no step has come, which may be a stall.

    Yields:
        Alarms; None whenever none has come.

    Raises:
        ValueError: If the run has no steps.
    """
    detector, read = RunDetector(run.header, Thresholds()), time.monotonic()
    for block in blocks:
        if block is None:
            yield detector.detect_stall(time.monotonic() - read)
            continue
        read = time.monotonic()
        yield from chain.from_iterable(detector.detect(block))
        yield None
    if not detector.step_count:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to watch")
    yield detector.end_alarm()


def watch(
    run: str,
    alarms: Iterable[Alarm | None],
    *,
    as_json: bool,
    command: AlarmCommand | None,
    until: frozenset[str],
    at_once: bool,
) -> bool:
    """Prints alarms, and runs a command for each but observations.

    Args:
        run: The name of the run.
        alarms: As from `find_alarms`.
        as_json: Whether to print objects instead of texts.
        command: The command; None for none.
        until: Kinds of alarms to wait for; the command runs for all of them.
        at_once: Whether the first alarm of these kinds ends it.

    Returns:
        Whether an alarm of these kinds came.

    Raises:
        OSError: If standard output takes no text.
    """
    found = False
    for alarm in alarms:
        if alarm is None:
            if command is not None:
                command.advance()
            continue
        _print(run, alarm, as_json=as_json)
        if command is not None and (alarm.kind not in OBSERVATIONS or alarm.kind in until):
            command.add(run, alarm)
        found |= alarm.kind in until
        if found and at_once:
            break
    return found


def _print(run: str, alarm: Alarm, *, as_json: bool) -> None:
    """Prints an alarm at once, for a reader at the other end of a pipe."""
    if as_json:
        print_line(json.dumps(to_object(alarm) | {"run": run}, allow_nan=False))
    else:
        line = AlarmLine(alarm.step, alarm.kind, text_with_layers(alarm))
        print_line(to_text(line, _STEP_WIDTH, _KIND_WIDTH).rstrip())
    flush()
