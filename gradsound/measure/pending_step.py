"""Steps whose figures are on their way.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.measure.async_copy import AsyncCopy
from gradsound.runs.model import Step

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from gradsound.measure.norms.per_layer import LayerNorms


class ScalerState:
    """What is said of a step by figures that may be on an accelerator.

    Args:
        scale: What the norms are still multiplied by, if by anything.
        skip: Not 0 if the step changes nothing; None if that is not known.
    """

    def __init__(self, scale: torch.Tensor | None, skip: torch.Tensor | None) -> None:
        figures = {"scale": scale, "skip": skip}
        found = {name: figure for name, figure in figures.items() if figure is not None}
        self._names, self._reading = [*found], AsyncCopy([*found.values()])

    @classmethod
    def of(
        cls, optimizer: Optimizer, scale: torch.Tensor | None = None
    ) -> ScalerState | None:
        """What a GradScaler hands to a fused optimizer, which unscales and skips itself.

        Args:
            optimizer: The one that is about to step.
            scale: If known, what the norms are multiplied by; else what it was given.
        """
        if scale is None:
            scale = getattr(optimizer, "grad_scale", None)
        skip = getattr(optimizer, "found_inf", None)
        return None if scale is None and skip is None else cls(scale=scale, skip=skip)

    @property
    def ready(self) -> bool:
        """Whether asking for them takes no waiting."""
        return self._reading.ready

    def values(self) -> tuple[float | None, bool]:
        """The scale, if it is known, and whether the step is skipped."""
        values = dict(zip(self._names, self._reading.values()))
        scale = values.get("scale")
        return None if scale is None else float(scale), bool(values.get("skip", 0))


@dataclass(slots=True)
class PendingStep:
    """A step, once its figures have arrived.

    Attributes:
        number: Index of the optimizer step.
        time: Seconds since the start of the run.
        taken: Its norms.
        raw: Norms from before they were clipped: of which layers, shape (L,), and these.
        scalars: What else is said of it, if anything.
        skipped_at: If a scaler skipped it and gradients are unscaled, the scale.
        values: What was noted for it, by name.
    """

    number: int
    time: float
    taken: LayerNorms
    raw: tuple[tuple[NDArray[np.bool_], LayerNorms], ...]
    scalars: ScalerState | None
    skipped_at: float | None
    values: dict[str, float | AsyncCopy]

    @property
    def ready(self) -> bool:
        """Whether making it a step takes no waiting."""
        return (
            self.taken.ready
            and (self.scalars is None or self.scalars.ready)
            and all(taken.ready for _, taken in self.raw)
            and all(v.ready for v in self.values.values() if isinstance(v, AsyncCopy))
        )

    def step(self) -> Step:
        """The step; waits for it if need be."""
        norms, absent = self.taken.layers()
        scale, skipped = (None, False) if self.scalars is None else self.scalars.values()
        raw = None
        if self.raw:
            unclipped = norms.copy()
            for layers, taken in self.raw:
                unclipped[layers] = taken.layers()[0][layers]
            raw = _recorded(unclipped, scale, absent)
        return Step(
            number=self.number,
            time=self.time,
            norms=_recorded(norms, scale, absent),
            absent=absent,
            scale=self.skipped_at or scale,
            skipped=skipped or self.skipped_at is not None,
            raw=raw,
            values={name: _arrived(value) for name, value in self.values.items()},
        )


def _arrived(value: float | AsyncCopy) -> float:
    return float(value.values()[0].item()) if isinstance(value, AsyncCopy) else value


def _recorded(
    norms: NDArray[np.float64], scale: float | None, absent: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Norms without the scale, as a step has them; above 3.4e38 they are infinite."""
    values = (norms if scale is None else norms / scale).astype(np.float32)
    values[absent] = np.nan
    return values
