"""What happened in a run, found in one pass over its steps.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from gradsound.name_matching import several

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.runs.model import Run

_TOGETHER = 4  # events of one step that are told
_TOLD = 8  # lines about what happened; more nobody reads
_CLIPPED = 1 + 1e-5  # times smaller; less is rounding
_NOTHING = 1e-300  # in place of 0, to divide by
_MANY = 1e6  # times typical; above, only the power of ten matters
SPIKE = 10.0  # times a layer's typical norm; from there on its peak is worth a word


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a word.

    Attributes:
        step: Number of the step where it happened or began.
        layer: Name of the layer.
        kind: "nan", "infinite", "absent" (without gradient throughout), "peak" or "zero"
            (from there on).
        text: What, in a few words.
    """

    step: int
    layer: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """A run in figures; where a layer has no finite norm, its figures are NaN.

    Attributes:
        steps: How many there are.
        seconds: Time of the last one.
        lowest: Each layer's smallest finite norm, shape (L,).
        typical: Each layer's geometric mean over norms finite and above 0, shape (L,).
        highest: Each layer's largest finite norm, shape (L,).
        absent: In how many steps each layer had no gradient, shape (L,).
        first_nonfinite: The first step with a NaN or infinite norm that was not skipped for
            it, if any.
        skipped: Numbers of the first and the last step that was skipped, and how many
            there are; None if there is none.
        clipped: How many steps clipping made smaller, of how many that were clipped, and
            how many times smaller at most; None if no clipping was seen.
        left_out: How many steps were not measured, to keep to a budget.
        events: In the order of their steps.
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
    """Reads a run once, in bounded memory.

    Raises:
        RunFormatError: If a line of the run is not a step.
    """
    names = run.header.layers
    size = len(names)
    lowest, highest = (
        np.full(size, np.nan, np.float32),
        np.full(size, np.nan, np.float32),
    )
    peak_step = np.zeros(size, np.int64)
    log_sum, positive, absent = np.zeros(size), np.zeros(size, int), np.zeros(size, int)
    zero_since = np.full(size, -1)  # the step from which on a layer is exactly 0
    nonfinite: dict[int, Event] = {}  # by layer, its first
    skipped: tuple[int, int, int] | None = None
    clipped: tuple[int, int, float] | None = None
    steps, seconds, last = 0, 0.0, -1
    for step in run.steps:
        steps, seconds, last = steps + 1, step.time, step.number
        norms = step.norms
        if step.skipped:
            first, _, count = skipped or (step.number, 0, 0)
            skipped = first, step.number, count + 1
            continue  # its gradients were thrown away
        if step.raw is not None:
            count, of, most = clipped or (0, 0, 1.0)
            present = ~step.absent
            factor = _total(step.raw[present]) / max(_total(norms[present]), _NOTHING)
            if _CLIPPED < factor < np.inf:  # false if NaN
                count, most = count + 1, max(most, factor)
            clipped = count, of + 1, most
        # Clipping by norm spreads the NaN of one layer to all; before, only one had it.
        causes = step.nonfinite & ~np.isfinite(step.unclipped)
        for layer in np.flatnonzero(causes if causes.any() else step.nonfinite).tolist():
            if layer not in nonfinite:
                nan = bool(np.isnan(step.unclipped[layer]))
                kind, what = ("nan", "NaN") if nan else ("infinite", "infinite")
                nonfinite[layer] = Event(step.number, names[layer], kind, what)
        finite = np.where(np.isfinite(norms), norms, np.float32(np.nan))
        higher = ~(finite <= highest) & ~np.isnan(finite)  # the first one too
        peak_step[higher] = step.number
        lowest, highest = np.fmin(lowest, finite), np.fmax(highest, finite)
        above = finite > 0
        log_sum[above] += np.log(finite[above], dtype=np.float64)
        positive += above
        absent += step.absent
        zero = finite == 0
        zero_since[zero & (zero_since < 0)] = step.number
        zero_since[~zero] = -1
    silent = np.flatnonzero((absent == steps) & (steps > 0)).tolist()
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, and means: no norm above 0
        typical = np.exp(log_sum / positive)
    events = list(nonfinite.values())
    events += [
        Event(0, names[layer], "absent", "without gradient throughout") for layer in silent
    ]
    for layer in np.flatnonzero(highest >= SPIKE * typical).tolist():
        ratio = highest[layer] / typical[layer]
        times = f"{ratio:,.0f}" if ratio < _MANY else f"{ratio:.1g}"
        text = f"peak {highest[layer]:.3g}, {times}x typical"
        events.append(Event(int(peak_step[layer]), names[layer], "peak", text))
    events += [
        Event(int(zero_since[layer]), names[layer], "zero", "0 from here on")
        for layer in np.flatnonzero(zero_since >= 0).tolist()
    ]
    return Summary(
        steps=steps,
        seconds=seconds,
        lowest=lowest,
        typical=typical,
        highest=highest,
        absent=absent,
        skipped=skipped,
        clipped=clipped,
        left_out=last + 1 - steps if run.header.budget is not None else 0,
        first_nonfinite=min((event.step for event in nonfinite.values()), default=None),
        events=tuple(sorted(events, key=lambda event: event.step)),
    )


def tell(summary: Summary) -> list[str]:
    """What happened in a run, a line for each step at which something did."""
    told = []
    for number, events in groupby(summary.events, key=lambda event: event.step):
        by_text: dict[str, list[str]] = {}
        for event in events:
            by_text.setdefault(event.text, []).append(event.layer)
        texts = [f"{several(names)} {text}" for text, names in by_text.items()]
        more = f"; and {len(texts) - _TOGETHER} more" if len(texts) > _TOGETHER else ""
        told.append(f"step {number:,}: {'; '.join(texts[:_TOGETHER])}{more}")
    if summary.skipped:
        first, last, count = summary.skipped
        told.insert(0, f"skipped by the scaler: {count:,}, from step {first:,} to {last:,}")
    if summary.clipped:
        count, of, most = summary.clipped
        times = f", {most:.3g} times at most" if count else ""
        told.insert(0, f"made smaller by clipping: {count:,} of {of:,} steps{times}")
    if summary.left_out:
        told.insert(0, f"not measured, to keep to the budget: {summary.left_out:,} steps")
    if not told:
        return [
            f"nothing NaN or infinite, no peak of {SPIKE:g}x typical, nothing stays at 0"
        ]
    rest = [f"... and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return told[:_TOLD] + rest


def _total(norms: NDArray[np.float32]) -> float:
    """The norm of all layers together."""
    return float(np.sqrt(np.sum(np.square(norms, dtype=np.float64))))
