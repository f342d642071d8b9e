"""Values of a run that the detectors watch: losses, learning rate, experts in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.runs.value_roles import (
    are_experts_in_use,
    find_usual,
    is_evaluation_loss,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradsound.runs.step_block import LoggedValue


class WatchedValues:
    """Picks the values that the detectors watch; of each kind one, by the name first seen.

    A run may have several evaluation losses, which must not be compared with each other.

    Attributes:
        evaluations: The names of all evaluation losses, watched or not.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._names: dict[str, str] = {}  # by kind
        self.evaluations: set[str] = set()
        self._experts: list[str] = []  # of each layer, if they are logged so

    def pick(self, values: Mapping[str, LoggedValue]) -> dict[str, LoggedValue]:
        """Returns the "loss", "evaluation" and "lr" of steps that have them."""
        # By the step at which a name comes first, so that it does not matter how many steps
        # come at a time.
        new: dict[int, list[str]] = {}
        for name in values:
            if name not in self._known:
                new.setdefault(int(values[name].rows[0]), []).append(name)
        for _, names in sorted(new.items()):
            self._learn(names)
        return {kind: values[name] for kind, name in self._names.items() if name in values}

    def pick_experts(self, values: Mapping[str, LoggedValue]) -> dict[str, LoggedValue]:
        """Returns the experts in use of steps that have them; `pick` learns the names."""
        return {name: values[name] for name in self._experts if name in values}

    def _learn(self, names: Sequence[str]) -> None:
        """Adds the names that a step has first."""
        self._known.update(names)
        evaluations = [name for name in names if is_evaluation_loss(name)]
        self.evaluations.update(evaluations)
        self._experts += [name for name in names if are_experts_in_use(name)]
        found = {usual: find_usual(usual, names) for usual in ("loss", "lr")}
        found["evaluation"] = evaluations[0] if evaluations else None
        for kind, name in found.items():
            if name is not None:
                self._names.setdefault(kind, name)
