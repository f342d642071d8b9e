"""The limit of the training time that measuring may take; kept by leaving steps out."""

from __future__ import annotations

import time

_HIDDEN_COST = 1.1  # times the timed cost; a hook starts before it reads the clock
_FIRST_SECONDS = 15e-6  # a parameter; lower bound of the cost of the first measurement


class OverheadBudget:
    """Decides which steps may be measured.

    It charges every measurement after the measurement. It charges the first one from an
    estimate before the first step, so that a short run keeps to the budget too.

    Args:
        share: The share of the training time that measuring may take, between 0 and 1.
        parameters: Number of measured parameters.

    Example:
        >>> budget = OverheadBudget(0.01, parameters=1_000_000)  # 1500 s pause
        >>> budget.allows(time.perf_counter())
        False
    """

    def __init__(self, share: float, parameters: int) -> None:
        self._share, self._uncharged = share, 0.0  # seconds
        self._next_allowed = time.perf_counter() + _FIRST_SECONDS * parameters / share

    def allows(self, now: float) -> bool:
        """Returns whether measuring is allowed at a time of ``time.perf_counter()``."""
        return now >= self._next_allowed

    def add(self, seconds: float) -> None:
        """Adds the cost of a measurement before a step to the next charge."""
        self._uncharged += seconds

    def charge_more(self, begin: float) -> None:
        """Charges work for a step that is charged already; it began at ``begin``."""
        now = time.perf_counter()
        self._next_allowed += _HIDDEN_COST * (now - begin) / self._share

    def charge(self, begin: float) -> None:
        """Charges a step's measurement that began at ``begin`` and ends now."""
        now = time.perf_counter()
        seconds = self._uncharged + now - begin
        self._next_allowed = now + _HIDDEN_COST * seconds / self._share
        self._uncharged = 0.0
