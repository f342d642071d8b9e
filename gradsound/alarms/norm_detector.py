"""Watching norms: what is not finite, high, vanishing or nothing, and when it is over.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import MEMORY, RunningMedian, median, parts, scatter
from gradsound.alarms.thresholds import Alarm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Step

_NARROW = np.float32(0.05)  # decades; norms that scatter less are taken to scatter so
_BACK = 0.5  # of the way in decades: a spike that has come back so far is over
_LASTING = 10  # steps; a spike that lasted longer is worth saying that it is over
_CALM = 3  # finite steps after which NaN and infinity are over
_FEW = 16  # steps that a layer must have had gradients for their absence to mean anything
_PATIENCE = 4  # times longer, for a layer that came back by itself


class NormDetector:
    """What the norms of the layers tell."""

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names, self._limits = names, thresholds
        layers = len(names)
        self._usual, self._seen = RunningMedian(layers), 0
        self._lasts = False  # whether anything that was found is not over
        self._lost, self._calm = np.zeros(layers, bool), 0  # not finite
        self._high, self._high_since = np.zeros(layers, bool), 0
        self._small = np.zeros(layers, int)  # for how many steps
        self._vanished, self._risen = np.zeros(layers, bool), np.zeros(layers, int)
        self._nothing = np.zeros(layers, int)
        self._alive = np.zeros(layers, int)  # since which step
        self._lasted = np.zeros(layers, int)  # how long it lived before `nothing`
        self._dead = np.zeros(layers, bool)
        self._patience = np.full(layers, thresholds.dead_steps)

    def look(self, steps: Sequence[Step]) -> list[list[Alarm]]:
        """The alarms of each step."""
        found: list[list[Alarm]] = [[] for _ in steps]
        if not steps:
            return found
        norms = np.stack([step.unclipped for step in steps])  # (S, L), as the model made it
        absent = np.stack([step.absent for step in steps])
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = np.log10(np.where(absent | np.isinf(norms), np.nan, norms))
            above, high = self._above(decades)
            largest = np.max(norms, axis=1, where=np.isfinite(norms), initial=0.0)
            small = (norms > 0) & (norms < self._limits.vanishing * largest[:, None])
        high[: max(0, MEMORY - self._seen)] = False  # a run begins with leaps
        lost = ~(np.isfinite(norms) | absent)
        nothing = absent | (norms == 0)
        unusual = (lost | high | small | nothing).any(axis=1)
        for k, step in enumerate(steps):
            self._seen += 1
            if not (unusual[k] or self._lasts):
                continue  # nearly always
            tell = _Telling(found[k], step.number, self._names)
            self._look_at_lost(lost[k], step, tell)
            self._look_at_high(high[k], above[k], tell)
            self._look_at_small(small[k], norms[k], largest[k], tell)
            self._look_at_nothing(nothing[k], absent[k], tell)
            going = self._lost, self._high, self._small, self._vanished, self._nothing
            self._lasts = any(some.any() for some in going)
        return found

    def _above(
        self, decades: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """How far norms are above what was usual, and whether that is a spike, (S, L)."""
        above, high = [], []
        for some in parts(decades):
            windows = self._usual.windows(some)
            medians = median(windows)
            far = some - medians
            leaps = far > np.log10(self._limits.spike_ratio)
            rows = leaps.any(axis=1)
            if rows.any():
                # 32 norms that scatter little by chance, of one layer of many, are no
                # rarity; so a layer is taken to scatter as much as half of them do.
                own = np.nan_to_num(scatter(windows[rows], medians[rows]))
                wide = np.maximum(own, np.median(own, axis=1, keepdims=True))
                leaps[rows] &= far[rows] > self._limits.spike * np.maximum(wide, _NARROW)
            above.append(far)
            high.append(leaps)
        return np.concatenate(above), np.concatenate(high)

    def _look_at_lost(self, lost: NDArray[np.bool_], step: Step, tell: _Telling) -> None:
        self._calm = 0 if lost.any() else self._calm + 1
        if lost.any() and not self._lost.any():
            first = int(np.argmax(lost))
            what = "NaN" if np.isnan(step.unclipped[first]) else "infinity"
            tell("nonfinite", f"{what} in", lost, first)
        self._lost |= lost
        if self._lost.any() and self._calm >= _CALM:
            tell.over("nonfinite", "finite again:", self._lost)
            self._lost[:] = False

    def _look_at_high(
        self, high: NDArray[np.bool_], above: NDArray[np.float32], tell: _Telling
    ) -> None:
        if high.any() and not self._high.any():
            self._high_since = self._seen
            first = int(np.argmax(np.where(high, above, -np.inf)))
            tell(
                "spike", "spike in", high, first, f", {10 ** above[first]:.3g} x its median"
            )
        going = self._high & (above > _BACK * np.log10(self._limits.spike_ratio))
        if self._high.any() and not (high | going).any():
            lasted = self._seen - self._high_since
            if lasted > _LASTING:
                tell.over("spike", f"after {lasted} steps usual again:", self._high)
        self._high = high | going

    def _look_at_small(
        self,
        small: NDArray[np.bool_],
        norms: NDArray[np.float32],
        largest: float,
        tell: _Telling,
    ) -> None:
        self._small = np.where(small, self._small + 1, 0)
        new = (self._small == self._limits.vanishing_steps) & ~self._vanished
        if new.any():
            first = int(np.argmax(new))
            share = f", {norms[first] / largest:.1g} of the largest"
            tell("vanishing", "vanishing gradient in", new, first, share)
        self._vanished |= new
        risen = ~small & np.isfinite(norms) & (norms > 0)
        self._risen = np.where(risen, self._risen + 1, 0)
        over = self._vanished & (self._risen >= _CALM)
        if over.any():
            tell.over("vanishing", "no longer vanishing:", over)
        self._vanished &= ~over

    def _look_at_nothing(
        self, nothing: NDArray[np.bool_], absent: NDArray[np.bool_], tell: _Telling
    ) -> None:
        back = ~nothing & (self._nothing > 0)
        begins = nothing & (self._nothing == 0)
        self._lasted[begins] = self._seen - 1 - self._alive[begins]
        self._alive[nothing] = self._seen
        self._nothing = np.where(nothing, self._nothing + 1, 0)
        # After a life; or when it has been away for long, after a short one, or 0 from the
        # first, as some layers die at once. One that never had a gradient may be meant so.
        new = (self._nothing == self._patience) & (self._lasted >= _FEW)
        long = self._nothing == np.maximum(self._patience, _FEW)
        new |= long & (~absent | (self._lasted > 0))
        new &= nothing & ~self._dead
        if new.any():
            first = int(np.argmax(new))
            what = "without gradient" if absent[first] else "gradient 0"
            tell("dead", "dead layer:", new, first, f", {what}")
        self._dead |= new
        returned = back & self._dead
        if returned.any():
            tell.over("dead", "gradient again in", returned)
            self._patience[returned] *= _PATIENCE
        self._dead &= ~back


@dataclass(frozen=True, slots=True)
class _Telling:
    """Adds alarms to those of a step."""

    found: list[Alarm]
    number: int
    names: Sequence[str]

    def __call__(
        self,
        kind: str,
        what: str,
        layers: NDArray[np.bool_],
        first: int | None = None,
        more: str = "",
        ends: str = "",
    ) -> None:
        """Tells of a layer, the first if none is named, and how many others there are."""
        named = int(np.argmax(layers)) if first is None else first
        others = [self.names[k] for k in np.flatnonzero(layers).tolist() if k != named]
        text = f"{what} {self.names[named]}{more}"
        text += f" (and {len(others)} more)" if others else ""
        about = (self.names[named], *others)
        lasts = kind not in ("spike", "recovery")  # what is high for long becomes usual
        self.found.append(Alarm(kind, self.number, text, about, lasts, ends))

    def over(self, kind: str, what: str, layers: NDArray[np.bool_]) -> None:
        """Tells that a kind of alarm is over in layers."""
        self("recovery", what, layers, ends=kind)
