"""Reads the signals of the parameters of one optimizer, around its steps.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.measure.signals.first_moment import find_moment
from gradsound.measure.signals.moment_reader import MomentReader
from gradsound.measure.signals.pending_signals import OptimizerStep
from gradsound.measure.signals.weight_change import UPDATE_STEPS, WeightChange
from gradsound.measure.signals.zero_shares import ZEROS_STEPS, ZeroShares
from gradsound.signal_options import SNR, UPDATE_RATIO, ZEROS

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from torch.optim import Optimizer

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormSnapshot
    from gradsound.measure.parameter_tracker import ParameterTracker, Reference


class OptimizerSignals:
    """Reads the signals at each measured step of one optimizer.

    Args:
        names: Names of the signals.
        optimizer: The optimizer.
        tracker: The layers.
        combine: Makes norms of layers from those of all P parameters.
    """

    def __init__(
        self,
        names: Container[str],
        optimizer: Optimizer,
        tracker: ParameterTracker,
        combine: Callable[[NormSnapshot], NormsPerLayer],
    ) -> None:
        self._tracker = tracker
        self._change = WeightChange(combine) if UPDATE_RATIO in names else None
        moment = find_moment(optimizer) if SNR in names else None
        self._moments = MomentReader(moment, combine) if moment is not None else None
        self._has_zeros = ZEROS in names
        self._plan: tuple[object, int] = (), 0  # of which parameters the next two are
        self._references: list[Reference] = []
        self._groups = np.zeros(0, np.intp)
        self._holds_any = False  # of the layers' parameters
        self._measured = self._left_out = 0  # steps; since the last measured one
        self._step: OptimizerStep | None = None  # in progress
        self._counts_zeros = False  # in the step in progress

    def leave_out(self) -> None:
        """Counts a step that is not measured."""
        self._step = None
        self._left_out += 1

    def begin(self, optimizer: Optimizer, *, has_gradients: bool) -> None:
        """Reads what the step that begins will change.

        Args:
            optimizer: The optimizer.
            has_gradients: Whether the gradients exist; a closure makes them later.
        """
        self._follow(optimizer)
        self._step = OptimizerStep() if self._holds_any else None
        if self._step is None:
            return
        if self._change is not None and self._measured % UPDATE_STEPS == 0:
            self._change.begin(self._references)
        if self._moments is not None:
            self._moments.begin(
                optimizer, self._references, self._groups, self._tracker.first
            )
        self._counts_zeros = self._has_zeros and self._measured % ZEROS_STEPS == 0
        if has_gradients:
            self.count_zeros()

    def count_zeros(self) -> None:
        """Counts the zeros of the gradients, if they are due in the step in progress."""
        if self._counts_zeros and self._step is not None:
            alive = [reference() for reference in self._references]
            gradients = [None if p is None else p.grad for p in alive]
            self._step.zeros = ZeroShares(gradients, self._tracker.first)

    def end(self, optimizer: Optimizer) -> OptimizerStep | None:
        """Returns what the step gave that has just ended; None if it was left out."""
        step, self._step = self._step, None
        if step is None:
            return None
        if self._change is not None:
            step.ratios = self._change.end()
        if self._moments is not None:
            step.moments, step.moment_step = self._moments.end(
                optimizer, self._left_out + 1
            )
        self._measured += 1
        self._left_out = 0
        return step

    def _follow(self, optimizer: Optimizer) -> None:
        """Moves to the parameters that tracker and optimizer have now."""
        held = sum(len(group["params"]) for group in optimizer.param_groups)
        if self._plan[0] is self._tracker.parameters and self._plan[1] == held:
            return
        self._plan = self._tracker.parameters, held
        groups = {
            id(p): k
            for k, group in enumerate(optimizer.param_groups)
            for p in group["params"]
        }
        of_parameters = [groups.get(id(one()), -1) for one in self._tracker.parameters]
        self._holds_any = max(of_parameters) >= 0
        references = [
            one if group >= 0 else _no_parameter
            for one, group in zip(self._tracker.parameters, of_parameters)
        ]
        # The same list stands for the same parameters; the tracker makes others.
        if len(references) != len(self._references) or any(
            one() is not other() for one, other in zip(references, self._references)
        ):
            self._references = references
        self._groups = np.array(of_parameters, np.intp)


def _no_parameter() -> None:
    """Stands for a parameter that the optimizer does not have."""
