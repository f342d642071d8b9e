"""The warning that no gradient is visible: ``.grad`` of all parameters is None."""

from __future__ import annotations

from gradsound import errors


class NoGradientWarning:
    """Gives this warning once."""

    def __init__(self) -> None:
        self._warned = False

    def warn(self, step: int) -> None:
        """Warns that a step has no gradient, unless an earlier step had a warning.

        Args:
            step: Number of the step.
        """
        if self._warned:
            return
        self._warned = True
        errors.warn(
            f"no gradient is visible at step {step}: .grad is None everywhere. Nothing was "
            "computed, or a wrapper (such as DeepSpeed) keeps gradients to itself; with "
            "DeepSpeed, attach to its engine: gradsound.attach(engine)"
        )
