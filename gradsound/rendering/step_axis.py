"""The horizontal axes of a picture: the steps, and below them the time in the sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.rendering.sound_clock import SoundClock

_SIZE = 8.0  # points, of the ticks
_EDGE = 0.005  # of the steps, before the first one, so that its point is whole
_TIME_AXIS = 0.4  # inches, from the axis of the steps to that of the time


def draw_steps(axes: Any, span: tuple[float, float]) -> None:
    """Sets the steps that axes show, and draws their numbers.

    Args:
        axes: The matplotlib axes.
        span: The first step, and the end of the last one.
    """
    begin, end = span
    axes.set_xlim(begin - _EDGE * (end - begin), end)
    axes.set_xlabel("step")
    axes.tick_params(axis="x", labelsize=_SIZE)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")


def draw_times(
    axes: Any, clock: SoundClock, step_seconds: float, height: float | None
) -> None:
    """Draws the times at which the steps of axes sound.

    Args:
        axes: The matplotlib axes, with their steps.
        clock: The sound clock.
        step_seconds: The usual duration of a step in seconds.
        height: Height of the axes in inches, for times below the steps; None for times
            above the axes.
    """
    steps, times = clock.ticks(step_seconds)
    second = axes.secondary_xaxis("top" if height is None else -_TIME_AXIS / height)
    second.set_xlabel("time in the sound")
    second.set_ticks(steps, labels=times, fontsize=_SIZE)


def share_steps(panels: Sequence[Any], span: tuple[float, float]) -> None:
    """Gives panels, one above another, the same steps; the lowest shows their numbers."""
    for axes in panels:
        axes.sharex(panels[-1])
    for axes in panels[-1:]:
        draw_steps(axes, span)
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
