"""Measured steps whose norms may still be on an accelerator.

Shapes: S steps, L layers, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.measure.norms.per_layer import combine_rows, combined_norms
from gradsound.runs.step import NO_SIGNALS, Step
from gradsound.runs.step_block import StepBlock, gather_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.measure.logged_values import LoggedNumber
    from gradsound.measure.loss_scaling import LossScaling
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.raw_norms import RawMeasurement
    from gradsound.measure.signals.pending_signals import PendingSignals
    from gradsound.runs.step_block import LoggedValue


@dataclass(slots=True)
class PendingStep:
    """The parts of a `Step`, before all of them are on the host.

    Attributes:
        number: Index of the optimizer step, from 0.
        time: Seconds since the start of the run.
        norms: Norms of the layers; None if the training discarded the step.
        raw: Norms of some layers from before each clipping of this step; at least one if
            the training discarded it.
        loss_scaling: Loss scale and skip flag of a fused optimizer, or None.
        skipped_loss_scale: The loss scale if a GradScaler skipped the step and its
            gradients are unscaled; else None.
        values: Values logged for this step, by name.
        signals: The signals of the layers; None if there are none.
    """

    number: int
    time: float
    norms: NormsPerLayer | None
    raw: Sequence[RawMeasurement]
    loss_scaling: LossScaling | None
    skipped_loss_scale: float | None
    values: dict[str, LoggedNumber]
    signals: PendingSignals | None = None

    @property
    def ready(self) -> bool:
        """Whether `step` returns without waiting, as far as `exact`."""
        return (
            (self.norms is None or self.norms.ready)
            and (self.loss_scaling is None or self.loss_scaling.ready)
            and (not self.raw or all(measurement.ready for measurement in self.raw))
            and (self.signals is None or self.signals.ready)
            and (
                not self.values
                or all(v.ready for v in self.values.values() if not isinstance(v, float))
            )
        )

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but norms, and values that are on the host."""
        return not (
            self.raw
            or self.loss_scaling is not None
            or self.skipped_loss_scale is not None
            or self.signals is not None
            or (self.values and any(type(v) is not float for v in self.values.values()))
        )

    @property
    def exact(self) -> bool:
        """Whether ``ready`` is exact, as for an `AsyncCopy`."""
        return (self.raw[0].norms if self.norms is None else self.norms).exact

    def step(self) -> Step:
        """Returns the step; waits for parts that are still on an accelerator.

        Raises:
            RuntimeError: If a rank could not measure its part of a sharded model.
        """
        if self.norms is None:
            return self._discarded_step()
        norms, absent = self.norms.values()
        loss_scale, skipped = None, False
        if self.loss_scaling is not None:
            loss_scale, skipped = self.loss_scaling.values()
        raw = None
        if self.raw:
            unclipped = norms.copy()
            for measurement in self.raw:
                layers = measurement.layers
                unclipped[layers] = measurement.values()[0][layers]
            raw = _unscale(unclipped, loss_scale, absent)
        skipped = skipped or self.skipped_loss_scale is not None
        signals = NO_SIGNALS
        if self.signals is not None and not skipped:  # a skipped step changes nothing
            signals = self.signals.values(norms / (loss_scale or 1.0), absent)
        return Step(
            number=self.number,
            time=self.time,
            norms=_unscale(norms, loss_scale, absent),
            absent=absent,
            loss_scale=self.skipped_loss_scale or loss_scale,
            skipped=skipped,
            raw=raw,
            values=self.float_values(),
            signals=signals,
        )

    def _discarded_step(self) -> Step:
        """Returns the step with the norms from before clipping, the only ones there are."""
        norms, absent = self.raw[0].values()
        norms, absent = norms.copy(), absent.copy()
        for measurement in self.raw[1:]:
            layers, (more_norms, more_absent) = measurement.layers, measurement.values()
            norms[layers], absent[layers] = more_norms[layers], more_absent[layers]
        return Step(
            number=self.number,
            time=self.time,
            norms=_unscale(norms, None, absent),
            absent=absent,
            skipped=True,
            discarded=True,
            values=self.float_values(),
        )

    def float_values(self) -> dict[str, float]:
        """Returns the logged values; waits for those that are still on an accelerator."""
        return {name: _to_float(value) for name, value in self.values.items()}


@dataclass(slots=True)
class PendingBlock:
    """Successive steps that have nothing but norms, all of them on the host.

    Attributes:
        number: Index of the first of these steps.
        times: Seconds since the start of the run, shape (S,).
        norms: Norms of the parameters, shape (S, P).
        without_gradient: Which parameters have no gradient, shape (P,).
        first: Index of each layer's first parameter, shape (L,).
    """

    number: int
    times: NDArray[np.float64]
    norms: NDArray[np.float64]
    without_gradient: NDArray[np.bool_]
    first: NDArray[np.intp]

    @property
    def ready(self) -> bool:
        """True, as `PendingStep.ready` of steps on the host."""
        return True

    @property
    def exact(self) -> bool:
        """True, as `PendingStep.exact` of steps on the host."""
        return True

    def block(self) -> StepBlock:
        """Returns the steps."""
        norms = combine_rows(self.norms, self.first)
        absent = np.empty(norms.shape, bool)
        absent[:] = np.logical_and.reduceat(self.without_gradient, self.first)
        numbers = np.arange(self.number, self.number + len(norms))
        return _plain_block(numbers, self.times, norms, absent, {})


def gather_plain(pending: Sequence[PendingStep]) -> StepBlock | None:
    """Returns steps as one block, in a fraction of the time that they take one by one.

    Args:
        pending: One step or more.

    Returns:
        None if some have more than norms and values, or norms on an accelerator.
    """
    if not all(step.is_plain for step in pending):
        return None
    norms = combined_norms([step.norms for step in pending])
    if norms is None:
        return None
    values = [step.float_values() if step.values else None for step in pending]
    numbers = np.array([step.number for step in pending], np.int64)
    times = np.array([step.time for step in pending])
    return _plain_block(numbers, times, *norms, gather_values(values))


def _plain_block(
    numbers: NDArray[np.int64],
    times: NDArray[np.float64],
    norms: NDArray[np.float64],
    absent: NDArray[np.bool_],
    values: dict[str, LoggedValue],
) -> StepBlock:
    """Returns a block of steps that have nothing but norms and values."""
    unlike = np.zeros(len(numbers), bool)
    return StepBlock(
        numbers,
        times,
        _unscale(norms, None, absent),
        absent,
        loss_scales=np.full(len(numbers), np.nan),
        skipped=unlike,
        discarded=unlike,
        raw=None,
        clipped=unlike,
        values=values,
    )


def _to_float(value: LoggedNumber) -> float:
    return value if isinstance(value, float) else float(value.values()[0].item())


def _unscale(
    norms: NDArray[np.float64], loss_scale: float | None, absent: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Returns norms without the loss scale; norms above 3.4e38 become infinite."""
    values = (norms if loss_scale is None else norms / loss_scale).astype(np.float32)
    values[absent] = np.nan
    return values
