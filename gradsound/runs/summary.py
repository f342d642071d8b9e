"""Summarizes a run, for `gradsound info` and pictures: norms, NaN, peaks, clipping, skips.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from gradsound.name_matching import format_names
from gradsound.runs.layer_statistics import LayerStatistics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.runs.model import Run, Step

SPIKE = 10.0  # times the layer's typical norm; a peak from there on is an event

_STEP_EVENTS_MAX = 4  # texts on the line of one step; more make it too long
_LINES_MAX = 8  # lines of a description; nobody reads more
_CLIPPED_MIN = 1 + 1e-5  # times smaller; less is rounding
_TINY = 1e-300  # a norm in place of 0, to divide by
_EXACT_MAX = 1e6  # times typical; above, only the power of ten matters


@dataclass(frozen=True, slots=True)
class Event:
    """Something notable that happened to one layer.

    Attributes:
        step: Number of the step where it happened or began.
        layer: Name of the layer.
        kind: "nan", "infinite", "absent" (no gradient in the whole run), "peak" or "zero"
            (norm 0 from this step to the end).
        text: A description of a few words.

    Example:
        >>> import gradsound
        >>> gradsound.Event(step=9, layer="fc", kind="nan", text="NaN").step
        9
    """

    step: int
    layer: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Statistics and events of a run. Numbers of a layer without finite norms are NaN.

    Attributes:
        steps: How many steps the run has.
        seconds: Time of the last step.
        lowest: Smallest finite norm of each layer, shape (L,), float32.
        typical: Geometric mean of the finite norms above 0 of each layer, shape (L,),
            float64.
        highest: Largest finite norm of each layer, shape (L,), float32.
        absent: In how many steps each layer had no gradient, shape (L,).
        first_nonfinite: The first step with a NaN or infinite norm that the GradScaler did
            not skip; None if there is none.
        skipped: Number of the first skipped step, of the last, and how many were skipped;
            None if none was.
        clipped: How many steps clipping made smaller, how many steps were clipped, and the
            largest factor by which clipping reduced the norm; None if no clipping was seen.
        left_out: How many steps were not measured because of the budget.
        events: Events in the order of their steps.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> header = gradsound.Header(layers=("fc",), parameters=(10,), start="")
        >>> norms = np.array([[1.0], [4.0], [np.nan]], np.float32)
        >>> steps = [gradsound.Step(k, k / 2, norms[k], norms[k] < 0) for k in range(3)]
        >>> summary = gradsound.summarize(gradsound.Run(header, steps))
        >>> summary.steps, summary.seconds, summary.first_nonfinite
        (3, 1.0, 2)
        >>> summary.typical.round(6).tolist()
        [2.0]
    """

    steps: int
    seconds: float
    lowest: NDArray[np.float32]
    typical: NDArray[np.float64]
    highest: NDArray[np.float32]
    absent: NDArray[np.int64]
    first_nonfinite: int | None
    skipped: tuple[int, int, int] | None
    clipped: tuple[int, int, float] | None
    left_out: int
    events: tuple[Event, ...]


def summarize(run: Run) -> Summary:
    """Reads a run once, in bounded memory, and summarizes it.

    Norms of skipped steps do not count, because the GradScaler discarded the gradients.

    Raises:
        RunFormatError: If a line of the run is not a step.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> header = gradsound.Header(layers=("conv", "fc"), parameters=(52, 510), start="")
        >>> norms, absent = np.array([0.5, np.inf], np.float32), np.zeros(2, bool)
        >>> run = gradsound.Run(header, [gradsound.Step(3, 1.5, norms, absent)])
        >>> gradsound.summarize(run).events
        (Event(step=3, layer='fc', kind='infinite', text='infinite'),)
    """
    names = run.header.layers
    counts, layers = _StepCounts(), LayerStatistics(len(names))
    for step in run.steps:
        counts.add(step)
        if not step.skipped:
            layers.add(step)
    typical = layers.geometric_mean()
    events = _find_events(names, counts.steps, layers, typical)
    return Summary(
        steps=counts.steps,
        seconds=counts.seconds,
        lowest=layers.lowest,
        typical=typical,
        highest=layers.highest,
        absent=layers.absent,
        skipped=counts.skipped,
        clipped=counts.clipped,
        left_out=counts.missing if run.header.budget is not None else 0,
        first_nonfinite=min(
            (number for number, _ in layers.first_nonfinite.values()), default=None
        ),
        events=tuple(sorted(events, key=lambda event: event.step)),
    )


def describe(summary: Summary) -> list[str]:
    """Returns a text of at most nine lines: steps not measured, clipped, skipped; events.

    Events of one step share a line.
    """
    lines = [*_describe_counts(summary)]
    lines += [
        f"step {number:,}: {_join_events(events)}"
        for number, events in groupby(summary.events, key=lambda event: event.step)
    ]
    if not lines:
        return [
            f"nothing NaN or infinite, no peak of {SPIKE:g}x typical, nothing stays at 0"
        ]
    rest = [f"... and {len(lines) - _LINES_MAX} more"] if len(lines) > _LINES_MAX else []
    return lines[:_LINES_MAX] + rest


class _StepCounts:
    """Counts of whole steps: all, missing, skipped, clipped.

    Attributes:
        steps, seconds, skipped, clipped: As in `Summary`.
    """

    def __init__(self) -> None:
        self.steps, self.seconds, self._last = 0, 0.0, -1
        self.skipped: tuple[int, int, int] | None = None
        self.clipped: tuple[int, int, float] | None = None

    @property
    def missing(self) -> int:
        """How many step numbers from 0 to the last are missing."""
        return self._last + 1 - self.steps

    def add(self, step: Step) -> None:
        """Counts a step."""
        self.steps += 1
        self.seconds, self._last = step.time, step.number
        if step.skipped:
            first, _, count = self.skipped or (step.number, 0, 0)
            self.skipped = first, step.number, count + 1
        elif step.raw is not None:
            smaller, count, largest = self.clipped or (0, 0, 1.0)
            factor = _clipping_factor(step, step.raw)
            if _CLIPPED_MIN < factor < np.inf:  # false if NaN
                smaller, largest = smaller + 1, max(largest, factor)
            self.clipped = smaller, count + 1, largest


def _find_events(
    names: tuple[str, ...],
    steps: int,
    layers: LayerStatistics,
    typical: NDArray[np.float64],
) -> Iterator[Event]:
    """Yields NaN and infinity, absent layers, peaks and dead layers, in this order."""
    for layer, (number, kind) in layers.first_nonfinite.items():
        yield Event(number, names[layer], kind, "NaN" if kind == "nan" else kind)
    if steps:
        for layer in np.flatnonzero(layers.absent == steps).tolist():
            yield Event(0, names[layer], "absent", "without gradient throughout")
    for layer in np.flatnonzero(layers.highest >= SPIKE * typical).tolist():
        ratio = layers.highest[layer] / typical[layer]
        times = f"{ratio:,.0f}" if ratio < _EXACT_MAX else f"{ratio:.1g}"
        text = f"peak {layers.highest[layer]:.3g}, {times}x typical"
        yield Event(int(layers.peak_step[layer]), names[layer], "peak", text)
    for layer in np.flatnonzero(layers.zero_since >= 0).tolist():
        yield Event(int(layers.zero_since[layer]), names[layer], "zero", "0 from here on")


def _describe_counts(summary: Summary) -> Iterator[str]:
    if summary.left_out:
        yield f"not measured, to keep to the budget: {summary.left_out:,} steps"
    if summary.clipped:
        smaller, count, largest = summary.clipped
        times = f", {largest:.3g} times at most" if smaller else ""
        yield f"made smaller by clipping: {smaller:,} of {count:,} steps{times}"
    if summary.skipped:
        first, last, count = summary.skipped
        yield f"skipped by the scaler: {count:,}, from step {first:,} to {last:,}"


def _join_events(events: Iterator[Event]) -> str:
    """Returns the events of one step; layers with the same text share one mention."""
    layers_by_text: dict[str, list[str]] = {}
    for event in events:
        layers_by_text.setdefault(event.text, []).append(event.layer)
    texts = [f"{format_names(layers)} {text}" for text, layers in layers_by_text.items()]
    rest = len(texts) - _STEP_EVENTS_MAX
    return "; ".join(texts[:_STEP_EVENTS_MAX]) + (f"; and {rest} more" if rest > 0 else "")


def _clipping_factor(step: Step, raw: NDArray[np.float32]) -> float:
    """Returns how many times clipping reduced the total norm of a step."""
    present = ~step.absent
    return _total_norm(raw[present]) / max(_total_norm(step.norms[present]), _TINY)


def _total_norm(norms: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.sum(np.square(norms, dtype=np.float64))))
