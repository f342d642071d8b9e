"""Reads the first moments of one optimizer after each of its steps.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradsound.measure.norms.gradient_norms import GradientNorms
from gradsound.measure.signals.moment_averages import MomentStep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormSnapshot
    from gradsound.measure.parameter_tracker import Reference
    from gradsound.measure.signals.first_moment import FirstMoment, Weights

_NO_MOMENT = id(None)


class MomentReader:
    """Reads norms of first moments, and notices those that it does not know.

    Args:
        moment: Where the optimizer keeps them.
        combine: Makes norms of layers from those of all P parameters.
    """

    def __init__(
        self, moment: FirstMoment, combine: Callable[[NormSnapshot], NormsPerLayer]
    ) -> None:
        self._moment, self._combine = moment, combine
        self._norms = GradientNorms()
        self._references: Sequence[Reference] = ()
        self._known: list[int] = []  # ids of the moments after the last step
        self._new: list[int] = []  # parameters whose moment this has not seen
        self._had_moment: set[int] = set()  # of these, before the step in progress
        self._of_groups: list[Weights] = []
        self._groups = np.zeros(0, np.intp)
        self._weights = np.zeros((3, 0))  # of layers
        self._usual = MomentStep(self._weights[0], self._weights[1])
        self._first = np.zeros(0, np.intp)

    def begin(
        self,
        optimizer: Optimizer,
        references: Sequence[Reference],
        groups: NDArray[np.intp],
        first: NDArray[np.intp],
    ) -> None:
        """Reads how the step that begins will weigh gradients.

        Args:
            optimizer: The optimizer.
            references: Length P; those of other parameters refer to None. The same list
                stands for the same parameters.
            groups: Index of the group of each parameter; -1 for none, shape (P,).
            first: Index of each layer's first parameter, shape (L,).
        """
        if references is not self._references:
            known = {id(one()): k for one, k in zip(self._references, self._known)}
            self._references, self._norms = references, GradientNorms()
            self._known = [known.get(id(one()), _NO_MOMENT) for one in references]
            self._new = self._without_moment()
        of_groups = [self._moment.weights_of(group) for group in optimizer.param_groups]
        if of_groups != self._of_groups or groups is not self._groups:
            self._of_groups, self._groups, self._first = of_groups, groups, first
            self._weights = _weights_of_layers(of_groups, groups, first)
            self._usual = MomentStep(self._weights[0], self._weights[1])
        moments = self._moments(optimizer, [references[k] for k in self._new])
        self._had_moment = {k for k, one in zip(self._new, moments) if one is not None}

    def end(self, optimizer: Optimizer, steps: int) -> tuple[NormsPerLayer, MomentStep]:
        """Returns norms of the moments after the step, and what the step did to them.

        Args:
            optimizer: As for `begin`.
            steps: How many steps the optimizer made since the last measured one, with this
                one.
        """
        moments = self._moments(optimizer, self._references)
        norms = self._combine(self._norms.compute(moments))
        ids = [*map(id, moments)]
        if ids == self._known and steps == 1:  # nearly always
            return norms, self._usual
        return norms, self._unusual_step(ids, steps)

    def _moments(
        self, optimizer: Optimizer, references: Sequence[Reference]
    ) -> list[torch.Tensor | None]:
        """Returns the moments of parameters; None for one without a plain tensor."""
        get: Callable[[Any], Any] = optimizer.state.get  # one look-up each: a hash is slow
        states = [get(reference()) for reference in references]
        key, kind = self._moment.key, torch.Tensor
        moments = [state.get(key) if state else None for state in states]
        return [moment if type(moment) is kind else None for moment in moments]

    def _without_moment(self) -> list[int]:
        """Returns the parameters that had no moment after the last step."""
        nothing = [k for k, one in enumerate(self._known) if one == _NO_MOMENT]
        return [k for k in nothing if self._references[k]() is not None]

    def _unusual_step(self, ids: list[int], steps: int) -> MomentStep:
        """Returns what a step did after others, or with moments that it made or found.

        A moment that is another tensor than after the step before was loaded.

        Args:
            ids: The ids of the moments, length P.
            steps: As for `end`.
        """
        changed = {k for k, one in enumerate(ids) if one != self._known[k]}
        made = {k for k in changed if self._known[k] == _NO_MOMENT} - self._had_moment
        self._known = ids
        self._new, self._had_moment = self._without_moment(), set()
        flags = np.zeros((3, len(ids)), bool)
        flags[0, [*changed]] = flags[1, [*made]] = True
        flags[2] = flags[1] | (np.array(ids) == _NO_MOMENT)
        first = self._first
        is_changed, any_made = np.logical_or.reduceat(flags[:2], first, axis=1)
        # A layer of which only a part is new has gradients from before in the other.
        is_made = any_made & np.logical_and.reduceat(flags[2], first)
        decay, share, begin = self._weights
        with np.errstate(all="ignore"):
            all_weights = share / (1 - decay)  # of a moment without a begin
            kept = decay**steps
            added = np.where(is_made, begin, all_weights * (1 - kept))
            unknown = np.where(is_made, 0.0, np.where(is_changed, all_weights, np.nan))
        return MomentStep(kept, added, unknown)


def _weights_of_layers(
    of_groups: Sequence[Weights], groups: NDArray[np.intp], first: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Returns the weights of layers, shape (3, L); NaN where its parameters differ.

    Parameters in no group do not count.
    """
    of_parameters = np.array(of_groups).T[:, groups]
    ends = (np.where(groups < 0, end, of_parameters) for end in (np.inf, -np.inf))
    lowest, highest = (
        f.reduceat(numbers, first, axis=1)
        for f, numbers in zip((np.minimum, np.maximum), ends)
    )
    return np.where(lowest == highest, lowest, np.nan)
