"""gradsound info: what is in a run, for people and for programs."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

from gradsound.runs.summary import tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from gradsound.runs.model import Run
    from gradsound.runs.summary import Summary

_VERSION = 1  # of the keys; one more where one of them goes or means something else
_TITLES = ("parameters", "lowest", "typical", "highest", "no gradient")


def lines(run: Run, summary: Summary) -> Iterator[str]:
    """What is in a run: its length, what happened, and a row for each layer."""
    header = run.header
    yield f"{run.name}: {header.comment}" if header.comment else run.name
    since = f", from {header.start}" if header.start else ""
    took = f" in {summary.seconds:.1f} s" if summary.seconds else ""  # not all logs tell
    steps = "1 step" if summary.steps == 1 else f"{summary.steps:,} steps"
    yield f"{steps}{took}{since}"
    if summary.steps:
        yield from tell(summary)
    width = max(5, *map(len, header.layers))
    yield " ".join(["layer".ljust(width), *(title.rjust(11) for title in _TITLES)])
    for layer, name in enumerate(header.layers):
        norms = summary.lowest[layer], summary.typical[layer], summary.highest[layer]
        shown = ("-" if isnan(norm) else f"{norm:.3g}" for norm in norms)
        size = header.parameters[layer]
        cells = (f"{size:,}" if size else "-", *shown, f"{summary.absent[layer]:,}")
        yield " ".join([name.ljust(width), *(cell.rjust(11) for cell in cells)])


def data(run: Run, summary: Summary) -> dict[str, Any]:
    """The same, as docs/command-line.md describes it; None is what is not known."""
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
                "lowest": _number(summary.lowest[layer]),
                "typical": _number(summary.typical[layer]),
                "highest": _number(summary.highest[layer]),
                "no_gradient": int(summary.absent[layer]),
            }
            for layer, name in enumerate(header.layers)
        ],
    }


def _number(norm: np.floating[Any]) -> float | None:
    """With as many digits as it has; None where there is none."""
    return None if isnan(norm) else float(str(norm))
