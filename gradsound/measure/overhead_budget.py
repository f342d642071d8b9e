"""A share of training time that measuring may take, kept by leaving steps out."""

from __future__ import annotations

import time

_UNSEEN = 1.1  # times what is timed: a hook costs something before it looks at the clock
_FIRST = 15e-6  # seconds a parameter that the first measurement takes, or somewhat less


class OverheadBudget:
    """Tells when the next measurement is paid for.

    Each is paid for after it was taken, but the first before.

    Args:
        share: Of the time that measuring may take, between 0 and 1.
        parameters: How many are measured.
    """

    def __init__(self, share: float, parameters: int) -> None:
        self._share, self._before = share, 0.0  # seconds
        self._due = time.perf_counter() + _FIRST * parameters / share

    def allows(self, now: float) -> bool:
        """Whether something may be measured at a time on the clock."""
        return now >= self._due

    def spend(self, seconds: float) -> None:
        """Pays, with the next step, for what was measured before it."""
        self._before += seconds

    def pay(self, begin: float) -> None:
        """Pays for a step whose measurement began at a time on the clock and ends now."""
        now = time.perf_counter()
        self._due = now + _UNSEEN * (self._before + now - begin) / self._share
        self._before = 0.0
