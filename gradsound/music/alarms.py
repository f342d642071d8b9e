"""Alarms: finds in a stream of steps what somebody should know at once.

Each has hysteresis: what goes on is told when it begins, and not again before it is over.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.usual import MEMORY, Usual, median, parts, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.run import Step

# The first is the most urgent.
KINDS = (
    "nonfinite",
    "stall",
    "dead",
    "spike",
    "vanishing",
    "skipped",
    "plateau",
    "recovery",
    "end",
)
_NARROW = np.float32(0.05)  # decades; norms that scatter less are taken to scatter so
_BACK = 0.5  # of the way in decades: a spike that has come back so far is over
_LASTING = 10  # steps; a spike that lasted longer is worth saying that it is over
_CALM = 3  # finite steps after which NaN and infinity are over
_FEW = 16  # steps that a layer must have had gradients for their absence to mean anything
_PATIENCE = 4  # times longer, for a layer that came back by itself
_AGAIN = 2.0  # times longer than any pause before, or it is no news
_FALL = 0.01  # of the loss; less is no progress
_LOSS = "loss"  # the value that has a plateau


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When there is an alarm; docs/listening.md gives the reasons.

    Attributes:
        spike: How many robust standard deviations of log norm, its own and those of half
            of the layers, a layer's norm must be above the median of its last 32 steps.
        spike_ratio: And how many times the median.
        vanishing: A layer's norm, in relation to the largest of the same step, below which
            it trains nothing.
        vanishing_steps: For how many steps on end.
        dead_steps: For how many steps on end a layer has no gradient, or exactly 0.
        plateau_steps: The loss (`Attachment.note`) has not fallen for so many steps, in
            relation to as many before.
        stall: How many times the median of the last 32 intervals no step has come.
        stall_seconds: And how long.

    Raises:
        ValueError: If one is not above 0.
    """

    spike: float = 6.0
    spike_ratio: float = 5.0
    vanishing: float = 1e-6
    vanishing_steps: int = 20
    dead_steps: int = 3
    plateau_steps: int = 1000
    stall: float = 20.0
    stall_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not min(getattr(self, name) for name in self.__slots__) > 0:
            raise ValueError(f"every threshold must be above 0, got {self}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that somebody should know.

    Attributes:
        kind: One of `KINDS`.
        step: Number of the step at which it was found.
        text: What it is, in a few words.
        layers: Names of those that it is about, the one that it names first; none if it is
            about the whole run.
        lasts: Whether it goes on until an alarm says that it is over.
        ends: The kind that is over with it, of these layers.
    """

    kind: str
    step: int
    text: str
    layers: tuple[str, ...] = ()
    lasts: bool = False
    ends: str = ""


class Watch:
    """Looks at every step of a run, in order.

    Args:
        names: The layers', L of them.
        thresholds: When there is an alarm.

    Attributes:
        layers: How many there are, L.
        steps: How many steps it has seen.
        stalled: Whether it was said that no step comes, and none has since.
    """

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names, self._limits, self.layers = names, thresholds, len(names)
        self._found: list[Alarm] = []  # at the step that is looked at
        self._number, self.steps, self._time = -1, 0, 0.0  # of the last step
        self._times: deque[float] = deque(maxlen=MEMORY)  # intervals, seconds
        self._longest, self.stalled = 0.0, False  # pause that was told, seconds
        self._skips = 0  # on end
        self._norms = _Norms(names, thresholds)
        self._losses: deque[float] = deque(maxlen=2 * thresholds.plateau_steps)
        self._flat = False

    def look(self, steps: Sequence[Step]) -> list[tuple[Alarm, ...]]:
        """Returns the alarms of each step."""
        counted = [step for step in steps if not step.skipped]  # others were thrown away
        of_norms = iter(self._norms.look(counted))
        found = []
        for step in steps:
            self._found = []
            self._look_at_time(step)
            if step.skipped:
                self._skip(step)
            else:
                self._skips = 0
                self._found += next(of_norms)
            if _LOSS in step.values:
                self._look_at_loss(step)
            self._number, self.steps = step.number, self.steps + 1
            found.append(tuple(self._found))
        return found

    def waited(self, seconds: float) -> Alarm | None:
        """An alarm if no step has come for so long, the first time that it is asked."""
        if self.stalled or not self._is_stall(seconds):
            return None
        self.stalled = True
        text = self._stall_text("for", seconds)
        return Alarm("stall", self._number, text, lasts=True)

    def end(self) -> Alarm:
        """What is said when the run is over."""
        count = "1 step" if self.steps == 1 else f"{self.steps:,} steps"
        return Alarm("end", self._number, f"end of the run: {count} in {self._time:.1f} s")

    def _look_at_time(self, step: Step) -> None:
        interval = step.time - self._time
        if self.steps:
            if self.stalled:
                text = f"steps again, after {interval:.1f} s"
                self._tell("recovery", step, text, ends="stall")
            elif self._is_stall(interval):
                self._tell("stall", step, self._stall_text("before, for", interval))
            if self.stalled or self._found:
                self._longest = max(self._longest, interval)
            self._times.append(interval)
        self.stalled, self._time = False, step.time

    def _is_stall(self, seconds: float) -> bool:
        if seconds < max(self._limits.stall_seconds, _AGAIN * self._longest):
            return False
        enough = len(self._times) >= MEMORY // 2
        return enough and seconds > self._limits.stall * float(np.median(self._times))

    def _stall_text(self, when: str, seconds: float) -> str:
        times = seconds / max(float(np.median(self._times)), 1e-6)
        return f"no step {when} {seconds:.1f} s, {times:,.0f} x the usual"

    def _skip(self, step: Step) -> None:
        self._skips += 1
        if self._skips not in (1, 10, 100, 1000, 10_000):
            return
        lost = [name for name, bad in zip(self._names, step.nonfinite) if bad]
        what = "skipped by the scaler"
        if self._skips > 1:
            what = f"{self._skips:,} steps on end {what}"
        where = f", not finite in {lost[0]}" if lost else ""
        scale = f", scale {step.scale:g}" if step.scale is not None else ""
        self._tell("skipped", step, f"{what}{where}{scale}", tuple(lost))

    def _look_at_loss(self, step: Step) -> None:
        span = self._limits.plateau_steps
        self._losses.append(step.values[_LOSS])
        if len(self._losses) < 2 * span or step.number % max(1, span // 10):
            return
        losses = np.nan_to_num(self._losses, nan=np.inf)  # of some, not of the median
        before, now = np.median(losses[:span]), np.median(losses[span:])
        if not np.isfinite([before, now]).all():
            return
        if now < before - _FALL * abs(before):
            if self._flat:
                self._tell("recovery", step, f"the loss falls: {now:.4g}", ends="plateau")
            self._flat = False
        elif not self._flat:
            self._flat = True
            text = f"plateau: the loss is {now:.4g}, {span:,} steps before {before:.4g}"
            self._tell("plateau", step, text, lasts=True)

    def _tell(
        self,
        kind: str,
        step: Step,
        text: str,
        layers: tuple[str, ...] = (),
        *,
        lasts: bool = False,
        ends: str = "",
    ) -> None:
        self._found.append(Alarm(kind, step.number, text, layers, lasts, ends))


class _Norms:
    """What the norms of the layers tell."""

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names, self._limits = names, thresholds
        layers = len(names)
        self._usual, self._seen = Usual(layers), 0
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
            if not (unusual[k] or self._lasts()):
                continue  # nearly always
            tell = _Telling(found[k], step.number, self._names)
            self._look_at_lost(lost[k], step, tell)
            self._look_at_high(high[k], above[k], tell)
            self._look_at_small(small[k], norms[k], largest[k], tell)
            self._look_at_nothing(nothing[k], absent[k], tell)
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
            # 32 norms that scatter little by chance, of one layer of many, are no rarity;
            # so a layer is taken to scatter as much as half of them do.
            own = np.nan_to_num(scatter(windows[rows], medians[rows]))
            wide = np.maximum(own, np.median(own, axis=1, keepdims=True))
            leaps[rows] &= far[rows] > self._limits.spike * np.maximum(wide, _NARROW)
            above.append(far)
            high.append(leaps)
        return np.concatenate(above), np.concatenate(high)

    def _lasts(self) -> bool:
        return any(
            some.any()
            for some in (self._lost, self._high, self._small, self._vanished, self._nothing)
        )

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
