"""Description of a summary in a few lines, for pictures, notebooks and `gradsound info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import (
    COLLAPSE_FIRST,
    EARLY_MIN,
    FIRST_NORMS,
    LAST_NORMS,
    Thresholds,
)
from gradsound.durations import count_steps
from gradsound.name_matching import format_names
from gradsound.runs.value_roles import are_experts_in_use, find_usual
from gradsound.summary.alarm_lines import alarm_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.summary.run_summary import Summary
    from gradsound.summary.step_counts import LoggedSteps

_LINES_MAX = 8  # lines of a description in a notebook; nobody reads more


def describe(summary: Summary, lines_max: int = _LINES_MAX) -> list[str]:
    """Returns a text: what is no alarm, then the alarms, then the observations.

    The lines are those of `gradsound info`.

    Args:
        summary: The summary of a run.
        lines_max: How many lines the text has; one more counts the others.
    """
    lines = [*describe_faults(summary), *map(str, alarm_lines(summary.alarms))]
    if not summary.alarms:
        lines.append("no alarm")
    lines += describe_observations(summary)
    rest = [f"... and {len(lines) - lines_max} more"] if len(lines) > lines_max else []
    return lines[:lines_max] + rest


def describe_observations(summary: Summary) -> Iterator[str]:
    """Yields a line for each observation."""
    for observation in summary.observations:
        yield f"observed at step {observation.step:,}: {observation.text}"


def describe_faults(summary: Summary) -> Iterator[str]:
    """Yields the lines about what is no alarm: short runs, clipped and skipped steps."""
    if kinds := unjudged_kinds(summary):
        needs = ", ".join(
            f"{kind} (needs {steps}{' losses' if kind == 'plateau' else ''})"
            for kind, steps in kinds.items()
        )
        yield f"too short to judge: {count_steps(summary.steps)}; not known: {needs}"
    if summary.left_out:
        yield f"not measured, to keep to the budget: {count_steps(summary.left_out)}"
    if summary.clipped:
        smaller, count, largest = summary.clipped
        times = f", {largest:.3g} times at most" if smaller else ""
        yield f"made smaller by clipping: {smaller:,} of {count_steps(count)}{times}"
    if summary.skipped:
        first, last, count = summary.skipped
        yield f"skipped by the scaler: {_steps(count, first, last)}"
    if summary.discarded:
        first, last, count = summary.discarded
        yield f"thrown away by the training: {_steps(count, first, last)}"
    unused = [steps[2] for steps in (summary.skipped, summary.discarded) if steps]
    applied = summary.steps - sum(unused)
    if frozen := [one.name for one in summary.layers if 0 < applied == one.absent]:
        yield f"without gradient throughout: {format_names(frozen)}"


def unjudged_kinds(summary: Summary) -> dict[str, int]:
    """Returns the kinds of alarms for which a run is too short, and the steps they need.

    A plateau needs so many losses, and a collapse so many numbers of experts in use. They
    are not among them if the run has none.
    """
    needed = {"spike": EARLY_MIN + 1, "rise": FIRST_NORMS + LAST_NORMS}
    kinds = {kind: steps for kind, steps in needed.items() if summary.steps < steps}
    loss, first_check = find_usual("loss", summary.values), Thresholds().plateau_steps
    if loss is not None and summary.values[loss].count < first_check:
        kinds["plateau"] = first_check
    counts = [one.count for name, one in summary.values.items() if are_experts_in_use(name)]
    if counts and max(counts) < COLLAPSE_FIRST:
        kinds["collapsed"] = COLLAPSE_FIRST
    return kinds


def describe_steps(logged: LoggedSteps) -> str:
    """Returns how many steps a run has: "2,000 of 40,000 steps logged, every 20th"."""
    count, total, every = logged.count, logged.total, logged.every
    if logged.first is None or count == total:
        text = count_steps(count)
    elif every is None:
        text = f"{count:,} of {total:,} steps logged, at irregular distances"
    else:
        rule = f", every {_ordinal(every)}" if every > 1 else ""
        text = f"{count:,} of {count_steps(total)} logged{rule}"
    late = logged.first is not None and logged.first > (every or 1)
    return f"{text}, from step {logged.first:,} on" if late else text


def _ordinal(number: int) -> str:
    """Returns 2nd, 3rd, 11th, 1,000th."""
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if 10 <= number % 100 <= 20 else suffix}"


def _steps(count: int, first: int, last: int) -> str:
    """Returns how many steps there were, and where."""
    where = f"from step {first:,} to {last:,}"
    return f"{count:,} steps, {where}" if count > 1 else f"step {first:,}"
