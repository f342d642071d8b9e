"""Values of a run that the detectors watch: loss, evaluation loss, learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.runs.value_roles import find_usual, is_evaluation_loss

if TYPE_CHECKING:
    from collections.abc import Mapping


class WatchedValues:
    """Picks the values that the detectors watch; of each kind one, by the name first seen.

    A run may have several evaluation losses, which must not be compared with each other.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._names: dict[str, str] = {}  # by kind
        self._evaluations: set[str] = set()

    def pick(self, values: Mapping[str, float]) -> dict[str, float]:
        """Returns the "loss", "evaluation" and "lr" of a step that has them."""
        new = [name for name in values if name not in self._known]
        if new:
            self._known.update(new)
            self._evaluations.update(name for name in new if is_evaluation_loss(name))
            found = {usual: find_usual(usual, new) for usual in ("loss", "lr")}
            found["evaluation"] = next(filter(is_evaluation_loss, new), None)
            for kind, name in found.items():
                if name is not None:
                    self._names.setdefault(kind, name)
        return {kind: values[name] for kind, name in self._names.items() if name in values}

    def has_evaluation(self, values: Mapping[str, float]) -> bool:
        """Whether a step has an evaluation loss, watched or not."""
        return not self._evaluations.isdisjoint(values)
