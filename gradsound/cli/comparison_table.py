"""gradsound info of several runs: their facts side by side."""

from __future__ import annotations

from collections import Counter
from math import isnan
from statistics import median
from typing import TYPE_CHECKING

from gradsound.cli.output import escape_unprintable
from gradsound.cli.table_cells import format_number, shorten
from gradsound.durations import format_duration
from gradsound.runs.run_names import distinct_names
from gradsound.runs.value_roles import find_usual, is_evaluation_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.runs.model import Header, Run
    from gradsound.summary.run_summary import Summary

_NAME_WIDTHS = 12, 30  # characters of a name in a narrow terminal, at least and at most
_SPACE = "  "  # between two columns
_NONE = "-"


def to_table(
    runs: Sequence[Run], summaries: Sequence[Summary], columns: int | None = None
) -> Iterator[str]:
    """Yields a line for each comment, then a table with the facts of the runs.

    The table has a column for each run. In a narrow terminal it has a line for each run
    instead, in several tables if need be.

    Args:
        runs: Two or more.
        summaries: The summary of each.
        columns: Width of the terminal in characters; None for any width.
    """
    names = [escape_unprintable(name) for name in distinct_names([r.name for r in runs])]
    comments = [run.header.comment for run in runs]
    if any(comments):
        width = max(map(len, names))
        for name, comment in zip(names, comments):
            yield shorten(f"{name.ljust(width)}{_SPACE}{comment}".rstrip(), columns)
        yield ""
    facts = [dict(_facts(run.header, summary)) for run, summary in zip(runs, summaries)]
    # The sort is stable: alarms of a kind stay in the order in which runs have them.
    labels = sorted(dict.fromkeys(label for one in facts for label in one), key=_place)
    rows = [[label[1], *(one.get(label, _NONE) for one in facts)] for label in labels]
    grid = [["", *names], *rows]
    if columns is None or _width([*zip(*grid)]) <= columns:
        yield from _lines([*zip(*grid)])
        return
    least, most = _NAME_WIDTHS
    space = columns - len(_SPACE) - max(len(cell) for row in rows for cell in row)
    grid[0] = ["", *(shorten(name, min(max(space, least), most)) for name in names)]
    for k, block in enumerate(_blocks(grid, columns)):
        if k:
            yield ""
        yield from _lines(block)


def _facts(header: Header, summary: Summary) -> Iterator[tuple[tuple[int, str], str]]:
    """Yields the label and the text of each fact.

    A label is a place in the table with a name, because runs have different facts.
    """
    yield (0, "steps"), f"{summary.steps:,}"
    if summary.seconds:
        yield (1, "time"), format_duration(summary.seconds)
    yield (2, "layers"), f"{len(header.layers):,}"
    loss, rate = (find_usual(usual, summary.values) for usual in ("loss", "lr"))
    if loss is not None:
        yield (3, f"last {loss}"), format_number(summary.values[loss].last)
    for name in filter(is_evaluation_loss, summary.values):
        yield (4, f"lowest {name}"), format_number(summary.values[name].lowest)
    if rate is not None:
        yield (5, "highest learning rate"), format_number(summary.values[rate].highest)
    if not isnan(summary.total.typical):
        yield (6, "typical norm"), format_number(summary.total.typical)
    for name, layers in summary.signals.items():
        if typical := [one.typical for one in layers if not isnan(one.typical)]:
            yield (6, f"typical {name}"), format_number(median(typical))
    if count := summary.total.nonfinite:
        yield (7, "not finite"), _count(count, summary.first_nonfinite)
    for label, steps in (("skipped", summary.skipped), ("thrown away", summary.discarded)):
        if steps is not None:
            yield (8, label), _count(steps[2], steps[0])
    alarms = [alarm for alarm in summary.alarms if not alarm.resolves]
    yield (9, "alarms"), f"{len(alarms):,}" if alarms else "none"
    firsts = {alarm.kind: alarm.step for alarm in reversed(alarms)}
    for kind, count in Counter(alarm.kind for alarm in alarms).items():
        yield (10, kind), _count(count, firsts[kind])


def _place(label: tuple[int, str]) -> int:
    return label[0]


def _count(count: int, first: int | None) -> str:
    """Returns a count of steps, and the first of them: "3, from 19"; "at 19" for one."""
    if first is None:
        return f"{count:,}"
    return f"{count:,}, from {first:,}" if count > 1 else f"at {first:,}"


def _blocks(lines: Sequence[Sequence[str]], width: int) -> Iterator[list[Sequence[str]]]:
    """Yields tables that fit a width: the first column, and as many others as fit."""
    first, *others = lines
    block = [first]
    for column in others:
        if len(block) > 1 and _width([*block, column]) > width:
            yield block
            block = [first]
        block.append(column)
    yield block


def _width(table: Sequence[Sequence[str]]) -> int:
    """Returns the width of a table, which is a list of columns."""
    widths = [max(map(len, column)) for column in table]
    return sum(widths) + len(_SPACE) * (len(widths) - 1)


def _lines(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table, which is a list of columns; numbers end alike."""
    widths = [max(map(len, column)) for column in table]
    for name, *cells in zip(*table):
        texts = [cell.rjust(width) for cell, width in zip(cells, widths[1:])]
        yield _SPACE.join([name.ljust(widths[0]), *texts]).rstrip()
