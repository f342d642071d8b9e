"""The function of a user that hears of each alarm, between two steps of the training."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.errors import StopTraining, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradsound.alarms.thresholds import Alarm


class AlarmListener:
    """Keeps alarms until `tell` calls the function with each.

    Args:
        on_alarm: As for `gradsound.attach`.
    """

    def __init__(self, on_alarm: Callable[[Alarm], object]) -> None:
        self._on_alarm = on_alarm
        self._alarms: deque[Alarm] = deque()
        self._is_telling = self._has_warned = False

    def add(self, alarms: Iterable[Alarm]) -> None:
        """Keeps alarms that were just found, in any thread."""
        self._alarms.extend(alarms)

    def tell(self) -> None:
        """Calls the function with each alarm since the last call; never within itself.

        Raises:
            StopTraining: If the function raises it. Later alarms wait for the next call.
        """
        if not self._alarms or self._is_telling:
            return
        on_alarm = self._on_alarm  # it may end this listener
        self._is_telling = True
        try:
            while self._alarms:
                self._call(on_alarm, self._alarms.popleft())
        finally:
            self._is_telling = False

    def end(self) -> None:
        """Calls the function with the last alarms, and lets go of it and what it knows."""
        while self._alarms and not self._is_telling:
            with suppress(StopTraining):  # the training is over
                self.tell()
        self._on_alarm = _ignore

    def _call(self, on_alarm: Callable[[Alarm], object], alarm: Alarm) -> None:
        try:
            on_alarm(alarm)
        except StopTraining:
            raise
        except Exception as error:  # noqa: BLE001 (training must go on after any error)
            if not self._has_warned:
                self._has_warned = True
                warn(
                    f"on_alarm raised {error!r} at {alarm.text!r} of step {alarm.step}; "
                    "training goes on, and there is no warning if it raises again"
                )


def _ignore(_: Alarm) -> None:
    """Hears of alarms after the end."""
