"""Lanes of the picture: a lane for each kind of alarm, with a mark at each alarm."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from gradsound.alarms.thresholds import KINDS, OBSERVATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.thresholds import Alarm

_WARNING = "crimson"
_NUMBER_SIZE = 6.5  # points, of a step's number beside its mark
_CHARACTER_WIDTH = 0.058  # inches, of a digit in this size
_LINES_MAX = 40  # from marks down through the norms; more would hide the norms


class AlarmLanes:
    """The lanes of a run.

    Args:
        alarms: The alarms and observations in the order of their steps.
        last_step: Number of the run's last step; an alarm that is never over lasts so long.
    """

    def __init__(self, alarms: Sequence[Alarm], last_step: int) -> None:
        self._alarms, self._last_step = alarms, last_step
        self._counts = Counter(alarm.kind for alarm in alarms)

    def kinds(self) -> list[str]:
        """Returns the kinds of the alarms, the most urgent first."""
        known = [kind for kind in KINDS if kind in self._counts]
        return known + sorted(self._counts.keys() - {*KINDS})

    def label(self, kind: str) -> str:
        """Returns the name of a lane, with the number of its alarms if several."""
        count = self._counts[kind]
        return f"{kind} {count:,}" if count > 1 else kind

    def draw(self, axes: Any, kind: str, height: float, colour: Any) -> None:
        """Draws the lane of a kind: marks with their steps, and bars while alarms last.

        Args:
            axes: The matplotlib axes, with the limits of the norms and of the steps.
            kind: The kind.
            height: Place of the lane on the y axis.
            colour: A colour of matplotlib.
        """
        for begin, end in self._bars(kind):
            bar = {"color": colour, "linewidth": 8, "alpha": 0.2}
            axes.plot([begin, end], [height] * 2, solid_capstyle="butt", **bar)
        steps = sorted({alarm.step for alarm in self._alarms if alarm.kind == kind})
        marks = {"color": colour, "markersize": 8, "markeredgewidth": 1.3}
        axes.plot(steps, [height] * len(steps), "|", **marks)
        if len(steps) <= _LINES_MAX and lane_colour(kind) == _WARNING:
            line = {"linewidth": 0.6, "linestyles": ":", "alpha": 0.5}
            axes.vlines(steps, axes.get_ylim()[0], height, color=colour, **line)
        self._write_steps(axes, steps, height)

    def _write_steps(self, axes: Any, steps: Sequence[int], height: float) -> None:
        """Writes the numbers of the steps beside their marks, where there is space."""
        inches = axes.get_position().width * axes.figure.get_figwidth()
        begin, end = axes.get_xlim()
        character = _CHARACTER_WIDTH / inches * (end - begin)
        for step, following in zip(steps, [*steps[1:], end]):
            text = f"{step:,}"
            if step + (len(text) + 1.5) * character <= following:
                style = {"fontsize": _NUMBER_SIZE, "verticalalignment": "center"}
                offset = {"xytext": (3, 0), "textcoords": "offset points"}
                axes.annotate(text, (step, height), **style, **offset)

    def _bars(self, kind: str) -> list[tuple[float, float]]:
        """Returns where an alarm of the kind lasts, as successive begins and ends."""
        bars: list[tuple[float, float]] = []
        lasting: set[str] = set()  # layers, or "" for the run
        begin = 0.0
        for alarm in self._alarms:
            layers = {*alarm.layers} or {""}
            if alarm.kind == kind and alarm.persists:
                begin = begin if lasting else alarm.step
                lasting |= layers
            elif alarm.resolves == kind and lasting:
                lasting -= layers
                if not lasting:
                    bars.append((begin, alarm.step))
        return [*bars, (begin, self._last_step)] if lasting else bars


def lane_colour(kind: str) -> str:
    """Returns the colour of a kind: red; green for a recovery, grey for an observation."""
    if kind in OBSERVATIONS:
        return "dimgrey"
    return "seagreen" if kind == "recovery" else _WARNING
