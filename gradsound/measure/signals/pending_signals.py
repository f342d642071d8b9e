"""The signals of one measured step, possibly still on an accelerator.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.signals import known_signals
from gradsound.runs.step import NO_SIGNALS
from gradsound.signal_options import SNR, UPDATE_RATIO, ZEROS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.signals.moment_averages import MomentAverages, MomentStep
    from gradsound.measure.signals.weight_change import UpdateRatios
    from gradsound.measure.signals.zero_shares import ZeroShares


@dataclass(slots=True)
class OptimizerStep:
    """What the step of one optimizer gave.

    Attributes:
        ratios: The update ratios; None if they are not due.
        moments: Norms of the first moments after the step; None if there are none.
        moment_step: What the step did to these moments.
        zeros: The shares of zeros; None if they are not due.
    """

    ratios: UpdateRatios | None = None
    moments: NormsPerLayer | None = None
    moment_step: MomentStep | None = None
    zeros: ZeroShares | None = None

    @property
    def ready(self) -> bool:
        """Whether all numbers are on the host."""
        return all(
            part is None or part.ready for part in (self.ratios, self.moments, self.zeros)
        )


@dataclass(slots=True)
class PendingSignals:
    """The signals of one step.

    Attributes:
        averages: Averages of squared norms, which each step that is emitted goes on.
        on_error: Called in an except block, if the signals cannot be computed.
        closed: Whether no further optimizer takes part in the step.
        parts: What each optimizer that took part gave, by its id.
    """

    averages: MomentAverages
    on_error: Callable[[], None]
    closed: bool = False
    parts: dict[int, OptimizerStep] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether `values` returns without waiting."""
        return self.closed and all(part.ready for part in self.parts.values())

    def values(
        self, norms: NDArray[np.float64], absent: NDArray[np.bool_]
    ) -> Mapping[str, NDArray[np.float32]]:
        """Returns the signals by name, each of shape (L,); to be called once, in order.

        Never raises.

        Args:
            norms: Norms of the gradients that the optimizer got, shape (L,).
            absent: Which layers had no gradient, shape (L,); they have no signals.
        """
        try:
            signals: dict[str, NDArray[np.float64]] = {}
            for part in self.parts.values():
                for name, numbers in self._values_of(part, norms, absent).items():
                    known = signals.get(name)
                    signals[name] = (
                        numbers
                        if known is None
                        else np.where(np.isnan(known), numbers, known)
                    )
            for numbers in signals.values() if absent.any() else ():
                numbers[absent] = np.nan
            return known_signals(
                {name: numbers.astype(np.float32) for name, numbers in signals.items()}
            )
        except Exception:  # noqa: BLE001 (the norms must go on after any error)
            self.on_error()
            return NO_SIGNALS

    def _values_of(
        self,
        part: OptimizerStep,
        norms: NDArray[np.float64],
        absent: NDArray[np.bool_],
    ) -> dict[str, NDArray[np.float64]]:
        values = {}
        if part.ratios is not None:
            values[UPDATE_RATIO] = part.ratios.values()
        if part.moments is not None and part.moment_step is not None:
            moments, no_moment = part.moments.values()
            values[SNR] = self.averages.add(
                part.moment_step, norms, moments, absent | no_moment
            )
        if part.zeros is not None:
            values[ZEROS] = part.zeros.values()
        return values
