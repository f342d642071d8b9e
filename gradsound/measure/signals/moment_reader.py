"""Reads the first moments of one optimizer after each of its steps.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from gradsound.measure.norms.batched import BatchedNorms
from gradsound.measure.signals.moment_averages import MomentStep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormSnapshot
    from gradsound.measure.parameter_tracker import Reference
    from gradsound.measure.signals.first_moment import FirstMoment, Weights


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
        self._norms = BatchedNorms()
        self._references: Sequence[Reference] = ()
        self._known: list[int] = []  # ids of the moments after the last step; 0 for none
        self._new: list[int] = []  # parameters whose moment this has not seen
        self._had_moment: set[int] = set()  # of these, before the step in progress
        self._of_groups: list[Weights] = []
        self._groups = np.zeros(0, np.intp)
        self._weights = np.zeros((3, 0))
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
            self._references, self._norms = references, BatchedNorms()
            self._known = [known.get(id(one()), 0) for one in references]
            self._new = self._without_moment()
        of_groups = [self._moment.weights_of(group) for group in optimizer.param_groups]
        if of_groups != self._of_groups or groups is not self._groups:
            self._of_groups, self._groups, self._first = of_groups, groups, first
            self._weights = _weights_of_layers(of_groups, groups, first)
        self._had_moment = {
            k
            for k in self._new
            if self._moment_of(optimizer, self._references[k]) is not None
        }

    def end(self, optimizer: Optimizer, steps: int) -> tuple[NormsPerLayer, MomentStep]:
        """Returns norms of the moments after the step, and what the step did to them.

        Args:
            optimizer: As for `begin`.
            steps: As in `MomentStep`.
        """
        moments = self._moments(optimizer)
        begun, unknown = self._find_changes(moments)
        norms = self._combine(self._norms.compute(moments))
        return norms, MomentStep(self._weights, begun, unknown, steps)

    def _moments(self, optimizer: Optimizer) -> list[torch.Tensor | None]:
        """Returns the moments, length P; None for a parameter without one."""
        return [self._moment_of(optimizer, one) for one in self._references]

    def _moment_of(self, optimizer: Optimizer, reference: Reference) -> torch.Tensor | None:
        parameter = reference()
        state = None if parameter is None else optimizer.state.get(parameter)
        moment = state.get(self._moment.key) if state else None
        return moment if type(moment) is torch.Tensor else None

    def _without_moment(self) -> list[int]:
        """Returns the parameters that had no moment after the last step."""
        return [
            k
            for k, one in enumerate(self._known)
            if not one and self._references[k]() is not None
        ]

    def _find_changes(
        self, moments: Sequence[torch.Tensor | None]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Returns the layers whose moments begin, and those with unknown ones, shape (L,).

        A moment that is another tensor than after the step before was loaded.
        """
        ids = [0 if moment is None else id(moment) for moment in moments]
        first, nothing = self._first, np.zeros(len(self._first), bool)
        if ids == self._known:  # nearly always
            return nothing, nothing
        changed = {
            k for k, (one, known) in enumerate(zip(ids, self._known)) if one != known
        }
        begun = {k for k in changed if not self._known[k] and k not in self._had_moment}
        self._known, self._had_moment = ids, set()
        self._new = self._without_moment()
        layers = [np.zeros(len(ids), bool) for _ in range(2)]
        for flags, indices in zip(layers, (begun, changed - begun)):
            flags[[*indices]] = True
        begins, unknown = (np.logical_or.reduceat(flags, first) for flags in layers)
        # A layer of which only a part begins has gradients from before in the other.
        whole = np.logical_and.reduceat(layers[0] | (np.array(ids) == 0), first)
        return begins & whole, unknown | (begins & ~whole)


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
