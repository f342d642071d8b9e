"""gradsound info: the summary of a run as lines of text."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from gradsound.cli.alarm_output import to_text
from gradsound.cli.choices import TOP
from gradsound.cli.output import escape_unprintable
from gradsound.cli.signal_lines import signal_columns, signal_facts
from gradsound.cli.table_cells import format_number, shorten
from gradsound.durations import count_steps, format_duration
from gradsound.runs.value_roles import USUAL_VALUES, find_usual, is_evaluation_loss
from gradsound.summary.alarm_lines import LISTED, alarm_lines, count_alarms
from gradsound.summary.description import (
    describe_faults,
    describe_observations,
    describe_steps,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.runs.model import Header, Run
    from gradsound.summary.norm_statistics import NormRange
    from gradsound.summary.run_summary import Summary
    from gradsound.summary.value_statistics import ValueRange

_TITLE_WIDTH = 5  # characters at least
_CELL_WIDTH = 11
_FACT_WIDTHS = 15, 30  # of the names of facts before the tables, at least and at most
_NAME_MIN = 12  # characters that stay of a layer's name in a narrow terminal


def to_lines(
    run: Run,
    summary: Summary,
    *,
    top: int = TOP,
    everything: bool = False,
    columns: int | None = None,
) -> Iterator[str]:
    """Yields the facts of a run, its alarms, a table of its bands and one of its layers.

    Args:
        run: The run.
        summary: Its summary.
        top: How many layers the table has, those with the largest typical norms.
        everything: Whether all layers and all alarms have a line.
        columns: Width of the tables in characters; names lose their middle to fit. None
            leaves them as they are.
    """
    header = run.header
    yield f"{run.name}: {header.comment}" if header.comment else run.name
    start = f", started {header.start}" if header.start else ""
    # Logs without a clock have 0 seconds.
    duration = f", in {format_duration(summary.seconds)}" if summary.seconds else ""
    yield f"{describe_steps(summary.logged)}{duration}{start}"
    if not summary.steps:
        return
    facts = [*_facts(run.header, summary), ("pitch", summary.pitch)]
    least, most = _FACT_WIDTHS
    width = max(least, *(min(most, len(name)) for name, _ in facts))
    for name, fact in facts:
        yield f"{shorten(name, columns and most).ljust(width)} {fact}"
    yield from describe_faults(summary)
    yield f"alarms: {count_alarms(summary.alarms) or 'none'}"
    lines = alarm_lines(summary.alarms, None if everything else LISTED)
    step_width = max((len(f"{line.step:,}") for line in lines), default=0)
    kind_width = max((len(line.kind) for line in lines), default=0)
    for line in lines:
        yield to_text(line, step_width, kind_width)
    yield from describe_observations(summary)
    if len(header.layers) > 1:  # the norm of the whole model has no table
        yield from _tables(header, summary, None if everything else top, columns)


def _facts(header: Header, summary: Summary) -> Iterator[tuple[str, str]]:
    """Yields the name and the text of each line about values and the norm of the model."""
    values = summary.values
    single = len(header.layers) == 1
    name = header.layers[0] if single else "total norm"
    if summary.ranks is not None:
        yield "ranks", str(summary.ranks)
        name = summary.total.name
    yield name, _describe_norm(summary.total)
    loss, rate_name, epoch_name = (find_usual(usual, values) for usual in USUAL_VALUES)
    if loss is not None:
        yield loss, _describe_loss(values[loss])
    for name in filter(is_evaluation_loss, values):
        yield name, _describe_loss(values[name])
    if rate_name is not None:
        rate = values[rate_name]
        ends = f"first {format_number(rate.first)}, last {format_number(rate.last)}"
        if rate.highest > rate.first:
            ends += f", highest {format_number(rate.highest)}{_at(rate.highest_step)}"
        constant = rate.lowest == rate.highest
        yield (
            "learning rate",
            f"{format_number(rate.first)} throughout" if constant else ends,
        )
    if epoch_name is not None:
        epoch = values[epoch_name]
        first, last = format_number(epoch.first), format_number(epoch.last)
        yield "epoch", last if first == last else f"{first} to {last}"
    yield from signal_facts(header, summary)


def _describe_norm(norm: NormRange) -> str:
    if isnan(norm.typical):
        return "never finite" if norm.nonfinite else "no gradient at any step"
    text = (
        f"typical {format_number(norm.typical)}, lowest {format_number(norm.lowest)}"
        f"{_at(norm.lowest_step)}, highest {format_number(norm.highest)}"
        f"{_at(norm.highest_step)}"
    )
    if norm.zeros:
        text += f", 0 at {count_steps(norm.zeros)}"
    if norm.nonfinite:
        text += f", not finite at {count_steps(norm.nonfinite)}"
    return text


def _describe_loss(loss: ValueRange) -> str:
    if loss.count == 1:
        return f"{format_number(loss.first)}{_at(loss.lowest_step)}, the only one"
    text = f"first {format_number(loss.first)}, last {format_number(loss.last)}"
    if loss.lowest_step is not None:
        text += f", lowest {format_number(loss.lowest)}{_at(loss.lowest_step)}"
    if loss.nonfinite:
        text += f", not finite at {count_steps(loss.nonfinite)}"
    return text


def _tables(
    header: Header, summary: Summary, top: int | None, columns: int | None
) -> Iterator[str]:
    """Yields the table of bands, if it is shorter, and that of layers or ranks."""
    if 0 < len(summary.bands) < len(summary.layers):
        yield ""
        yield from _table("band", summary.bands, {}, columns)
    layers = summary.layers
    shown = layers
    if top is not None and top < len(layers):
        shown = tuple(sorted(layers, key=_typical, reverse=True)[:top])
    if shown:
        sizes = {
            name: f"{size:,}"
            for name, size in zip(header.layers, header.parameters)
            if size and summary.ranks is None  # all ranks have the same
        }
        title = "layer" if sizes else "norm" if summary.ranks is None else "rank"
        yield ""
        yield from _table(title, shown, sizes, columns)
        if summary.signals:
            yield ""
            names = [row.name for row in shown]
            signals = [*signal_columns(summary.signals, names)]
            yield from _align_table("typical", names, signals, columns)
    if len(shown) == len(layers):
        return
    everything = f"{len(layers):,} {'layers' if summary.ranks is None else 'ranks'}"
    if not shown:
        yield f"{everything}; --all shows them"
    elif len(shown) == 1:
        yield f"the largest typical norm of {everything}; --all shows all"
    else:
        yield (
            f"the {len(shown):,} of {everything} with the largest typical norms; "
            "--all shows all"
        )


def _typical(norm: NormRange) -> float:
    return -1.0 if isnan(norm.typical) else norm.typical


def _table(
    title: str, rows: Sequence[NormRange], sizes: dict[str, str], columns: int | None
) -> Iterator[str]:
    """Yields a title line and a line for each row, without columns that say nothing."""
    numbers = [
        ("parameters", [sizes.get(row.name, "-") for row in rows], bool(sizes)),
        ("lowest", [format_number(row.lowest) for row in rows], True),
        ("typical", [format_number(row.typical) for row in rows], True),
        ("highest", [format_number(row.highest) for row in rows], True),
        ("zero", [f"{row.zeros:,}" for row in rows], any(row.zeros for row in rows)),
        (
            "not finite",
            [f"{row.nonfinite:,}" for row in rows],
            any(row.nonfinite for row in rows),
        ),
        (
            "no gradient",
            [f"{row.absent:,}" for row in rows],
            any(row.absent for row in rows),
        ),
    ]
    useful = [(name, cells) for name, cells, is_useful in numbers if is_useful]
    yield from _align_table(title, [row.name for row in rows], useful, columns)


def _align_table(
    title: str,
    rows: Sequence[str],
    numbers: Sequence[tuple[str, Sequence[str]]],
    columns: int | None,
) -> Iterator[str]:
    """Yields a title line and a line for each row.

    Args:
        title: Title of the column of names.
        rows: The names.
        numbers: The title of each further column, and its cells.
        columns: Width of the table in characters, as for `to_lines`.
    """
    titles, cells = zip(*numbers)
    widths = [max(_CELL_WIDTH, len(one)) for one in titles]
    space = columns and max(_NAME_MIN, columns - sum(widths) - len(widths))
    names = [shorten(escape_unprintable(row), space) for row in rows]
    width = max(len(title), _TITLE_WIDTH, *map(len, names))
    for name, line in zip([title, *names], [titles, *zip(*cells)]):
        aligned = (one.rjust(width) for one, width in zip(line, widths))
        yield " ".join([name.ljust(width), *aligned])


def _at(step: int | None) -> str:
    return "" if step is None else f" at step {step:,}"
