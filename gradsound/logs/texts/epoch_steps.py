"""Steps that begin again with each epoch, counted on over the epochs."""

from __future__ import annotations


class EpochSteps:
    """Converts the steps of a log to steps that grow over its epochs.

    Steps count on if a later epoch begins with a smaller step: they were steps of an epoch.
    A training that resumes in an earlier epoch goes back to the steps of that epoch.
    """

    def __init__(self) -> None:
        self._offsets: dict[float, float] = {}  # steps before each epoch
        self._epoch, self._first, self._last = -1.0, 0.0, -1.0  # as logged
        self._size = 0.0  # steps of the epoch in progress, as far as is known

    def count(
        self,
        step: float,
        epoch: float | None,
        total: float | None = None,
        *,
        is_of_epoch: bool = False,
    ) -> float:
        """Returns the step, counted from the first epoch on.

        Args:
            step: The step as logged.
            epoch: The epoch as logged; None if unknown.
            total: The steps of an epoch, if the log says how many there are.
            is_of_epoch: Whether steps surely begin again with each epoch.
        """
        if epoch is None:
            return step
        epoch = float(int(epoch))
        if epoch != self._epoch:
            if epoch not in self._offsets:
                self._begin(epoch, begins_again=is_of_epoch or step < self._last)
            self._epoch, self._first, self._size = epoch, step, 0.0
        self._last = step
        self._size = max(self._size, step, total or 0.0)
        return self._offsets[epoch] + step

    def _begin(self, epoch: float, *, begins_again: bool) -> None:
        """Notes how many steps there are before an epoch."""
        before = self._offsets.get(self._epoch, 0.0)
        if begins_again and epoch > self._epoch:
            # An epoch with a step 0 has one step more than its last says, unless its total
            # is known, which is larger than the last.
            is_from_zero = self._first == 0 and self._size == self._last
            before += self._size + is_from_zero
        self._offsets[epoch] = before
