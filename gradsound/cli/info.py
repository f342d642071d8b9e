"""gradsound info: the summary of a run, as text lines and as JSON."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

from gradsound.runs.summary import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from gradsound.runs.model import Run
    from gradsound.runs.summary import Summary

_VERSION = 1  # of the JSON keys; a removed key or a changed meaning makes it 2
_TITLES = ("parameters", "lowest", "typical", "highest", "no gradient")


def to_lines(run: Run, summary: Summary) -> Iterator[str]:
    """Yields the run's name, its length, its events, and a table row for each layer."""
    header = run.header
    yield f"{run.name}: {header.comment}" if header.comment else run.name
    start = f", from {header.start}" if header.start else ""
    # Logs without a clock have 0 seconds.
    duration = f" in {summary.seconds:.1f} s" if summary.seconds else ""
    steps = "1 step" if summary.steps == 1 else f"{summary.steps:,} steps"
    yield f"{steps}{duration}{start}"
    if summary.steps:
        yield from describe(summary)
    width = max(5, *map(len, header.layers))
    yield " ".join(["layer".ljust(width), *(title.rjust(11) for title in _TITLES)])
    for layer, name in enumerate(header.layers):
        norms = summary.lowest[layer], summary.typical[layer], summary.highest[layer]
        numbers = ("-" if isnan(norm) else f"{norm:.3g}" for norm in norms)
        size = header.parameters[layer]
        cells = (f"{size:,}" if size else "-", *numbers, f"{summary.absent[layer]:,}")
        yield " ".join([name.ljust(width), *(cell.rjust(11) for cell in cells)])


def to_data(run: Run, summary: Summary) -> dict[str, Any]:
    """Returns the object that ``--json`` prints; docs/command-line.md lists its keys.

    None stands for an unknown value.
    """
    header, skipped, clipped = run.header, summary.skipped, summary.clipped
    return {
        "version": _VERSION,
        "run": run.name,
        "note": header.comment or None,
        "start": header.start or None,
        "steps": summary.steps,
        "seconds": summary.seconds or None,
        "budget": header.budget,
        "left_out": summary.left_out,
        "skipped": skipped and dict(zip(("first", "last", "steps"), skipped)),
        "clipped": clipped and dict(zip(("smaller", "steps", "times_at_most"), clipped)),
        "first_nonfinite": summary.first_nonfinite,
        "events": [
            {"step": e.step, "layer": e.layer, "kind": e.kind, "text": e.text}
            for e in summary.events
        ],
        "layers": [
            {
                "name": name,
                "parameters": header.parameters[layer] or None,
                "lowest": _to_float(summary.lowest[layer]),
                "typical": _to_float(summary.typical[layer]),
                "highest": _to_float(summary.highest[layer]),
                "no_gradient": int(summary.absent[layer]),
            }
            for layer, name in enumerate(header.layers)
        ],
    }


def _to_float(norm: np.floating[Any]) -> float | None:
    """Returns the norm with the digits of its own type, not of float64; None for NaN."""
    return None if isnan(norm) else float(str(norm))
