"""Missing steps: why, at the end of a training, no step was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.measure.deepspeed_engine import has_trained
from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    from gradsound.measure.parameter_tracker import ParameterTracker


class MissingSteps:
    """Compares weights and gradients with those at the beginning.

    Args:
        tracker: The measured layers.

    Attributes:
        strangers: Classes of optimizers that stepped, but hold none of these layers.
        idle: Classes of optimizers that stepped while these layers had no gradient.
    """

    def __init__(self, tracker: ParameterTracker) -> None:
        self._tracker = tracker
        self.strangers: set[str] = set()
        self.idle: set[str] = set()
        self._changes = self._count_changes()

    def _count_changes(self) -> int | None:
        """Returns how often the weights were changed in place; None if nothing counts it.

        The weights of sharded layers change without a count, as those made in inference
        mode.
        """
        alive = [p for p in self._tracker.alive_parameters() if p is not None]
        if not alive or any(is_sharded(p) or p.is_inference() for p in alive):
            return None
        return sum(p._version for p in alive)

    def reason(self) -> str:
        """Returns why no step was seen, as the end of a sentence; "" if that is unknown."""
        alive = [p for p in self._tracker.alive_parameters() if p is not None]
        if not alive:  # the model is gone
            return ""
        if has_trained({*map(id, alive)}):
            return (
                ": a DeepSpeed engine made the steps; attach to it: "
                "gradsound.attach(engine)"
            )
        if self.idle:
            names = " and ".join(sorted(self.idle))
            return f": {names} stepped, but backward() had made no gradient of these layers"
        changes = self._count_changes()
        if None not in (changes, self._changes) and changes != self._changes:
            return (
                ": the weights changed, but not by the step of a torch optimizer; give "
                "attach() the engine or wrapper whose step() does it, or use a callback "
                "of gradsound.integrations"
            )
        if self.strangers:
            names = " and ".join(sorted(self.strangers))
            return f": {names} stepped, which has no parameter of the measured layers"
        if any(p.grad is not None for p in alive):
            return (
                ": backward() made gradients, but the optimizer's step() did not come; a "
                "GradScaler that skips steps goes to attach(scaler=...)"
            )
        return ": these layers have no gradient, and nothing changed their weights"
