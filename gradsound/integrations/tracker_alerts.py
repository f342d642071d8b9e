"""Alerts of W&B and Trackio, where a training has a run of theirs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gradsound.alarms.thresholds import OBSERVATIONS
from gradsound.errors import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.alarms.thresholds import Alarm

_LOST = frozenset(("nonfinite", "loss"))  # kinds after which few trainings recover


class TrackerAlerts:
    """Sends each alarm to the trackers that have a run in this process.

    The trackers are those that the training has imported. Whether an alert leaves the
    machine, by mail, Slack or Discord, is a setting of the tracker.
    """

    def __init__(self) -> None:
        self._has_warned = False

    def send(self, alarm: Alarm) -> None:
        """Sends an alarm; warns once if a tracker raises an exception."""
        try:
            for tracker in _trackers_with_run():
                tracker.alert(
                    title=f"gradsound: {alarm.kind}",
                    text=f"step {alarm.step:,}: {alarm.text}",
                    level=getattr(tracker.AlertLevel, _level(alarm)),
                )
        except Exception as error:  # noqa: BLE001 (training must go on after any error)
            if not self._has_warned:
                self._has_warned = True
                warn(f"{tracker.__name__}.alert raised {error!r}; training goes on")


def has_tracker_run() -> bool:
    """Returns whether a tracker has a run in this process."""
    return any(True for _ in _trackers_with_run())


def _trackers_with_run() -> Iterator[Any]:
    wandb, trackio = sys.modules.get("wandb"), sys.modules.get("trackio")
    if getattr(wandb, "run", None) is not None:
        yield wandb
    run = getattr(getattr(trackio, "context_vars", None), "current_run", None)
    if run is not None and run.get() is not None:
        yield trackio


def _level(alarm: Alarm) -> str:
    """Returns the name that both trackers have for the level of an alarm."""
    if alarm.resolves or alarm.kind in OBSERVATIONS:
        return "INFO"
    return "ERROR" if alarm.kind in _LOST else "WARN"
