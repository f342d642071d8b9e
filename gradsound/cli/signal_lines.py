"""gradsound info: the signals of a run as lines of text."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from gradsound.cli.table_cells import format_number
from gradsound.durations import count_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gradsound.runs.model import Header
    from gradsound.summary.run_summary import Summary
    from gradsound.summary.signal_statistics import SignalRange


def signal_facts(header: Header, summary: Summary) -> Iterator[tuple[str, str]]:
    """Yields the name of each signal, with its typical numbers and how it was measured."""
    for name, layers in summary.signals.items():
        text = _describe(layers)
        way = header.signals.get(name)
        yield name, f"{text}, {way}" if way else text


def _describe(layers: Sequence[SignalRange]) -> str:
    typical = [layer.typical for layer in layers if not isnan(layer.typical)]
    if not typical:
        return "no number"
    lowest, highest = format_number(min(typical)), format_number(max(typical))
    text = f"typical {lowest}" if lowest == highest else f"typical {lowest} to {highest}"
    zeros = max(layer.zeros for layer in layers)
    return f"{text}, 0 at {count_steps(zeros)}" if zeros else text


def signal_columns(
    signals: Mapping[str, Sequence[SignalRange]], rows: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yields the title and the cells of a column for each signal: its typical numbers.

    Args:
        signals: The signals of each layer by name.
        rows: Names of the layers in the table.
    """
    for signal, layers in signals.items():
        typical = {layer.name: layer.typical for layer in layers}
        yield (
            signal,
            ["-" if isnan(typical[row]) else format_number(typical[row]) for row in rows],
        )
