"""What a callback does at an alarm: alerts, a user's function, the end of the training."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import KINDS
from gradsound.integrations.tracker_alerts import TrackerAlerts, has_tracker_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.alarms.thresholds import Alarm

_log = logging.getLogger("gradsound")
# The others are of several ranks that are read together, or of a run that is over.
_STOP_KINDS = [one for one in KINDS if one not in {"rank", "straggler", "recovery", "end"}]


class AlarmActions:
    """Acts at each alarm of one training.

    It knows neither the model nor the framework, so it keeps neither alive.

    Args:
        stop_on: Kinds of alarms that end the training.
        on_alarm: As for `gradsound.attach`; called after all else.
    """

    def __init__(
        self, stop_on: tuple[str, ...], on_alarm: Callable[[Alarm], object] | None
    ) -> None:
        self._stop_on, self._on_alarm = stop_on, on_alarm
        self._alerts = TrackerAlerts()
        self._stop_alarm: Alarm | None = None

    @property
    def needed(self) -> bool:
        """Whether an alarm has any effect; if not, nobody needs to look for alarms."""
        return bool(self._stop_on) or self._on_alarm is not None or has_tracker_run()

    @property
    def wants_stop(self) -> bool:
        """Whether an alarm of the given kinds came."""
        return self._stop_alarm is not None

    def hear(self, alarm: Alarm) -> None:
        """Acts at an alarm; raises what the user's function raises."""
        self._alerts.send(alarm)
        if alarm.kind in self._stop_on and self._stop_alarm is None:
            self._stop_alarm = alarm
            reason = f"step {alarm.step:,}: {alarm.text}"
            _log.warning("%s; the training ends (stop_on=%r)", reason, alarm.kind)
        if self._on_alarm is not None:
            self._on_alarm(alarm)


def check_save_on_stop(save: bool, stop_on: str | Iterable[str]) -> bool:
    """Returns whether a callback writes a checkpoint when it ends the training.

    Raises:
        ValueError: If it never ends one.
    """
    if save and not stop_on:
        raise ValueError(
            "save_on_stop=True needs stop_on: name the alarms that end the training"
        )
    return save


def check_stop_on(stop_on: str | Iterable[str]) -> tuple[str, ...]:
    """Returns kinds of alarms that end a training.

    Raises:
        ValueError: If a training has no alarm of such a kind.
    """
    kinds = (stop_on,) if isinstance(stop_on, str) else tuple(stop_on)
    for kind in kinds:
        if kind not in _STOP_KINDS:
            raise ValueError(
                f"stop_on={kind!r} is no kind of alarm; there are: {', '.join(_STOP_KINDS)}"
            )
    return kinds
