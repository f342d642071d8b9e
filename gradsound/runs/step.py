"""The measurements of one optimizer step.

Shapes: L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Nothing(Mapping[str, Any]):
    """An empty mapping that all steps without values, or without signals, share.

    A MappingProxyType would not do: it cannot be copied or pickled.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NO_VALUES: Mapping[str, float] = _Nothing()
NO_SIGNALS: Mapping[str, Any] = _Nothing()


@dataclass(frozen=True, slots=True, eq=False)  # == on arrays is not a bool
class Step:
    """Measurements of one optimizer step.

    Attributes:
        number: Index of the optimizer step, from 0.
        time: Seconds since the start of the run.
        norms: L2 norms of the layers' gradients, shape (L,), float32, 0 or more. NaN and
            infinity are kept. NaN without meaning where ``absent``.
        absent: Which layers had no gradient, shape (L,), bool.
        loss_scale: The factor by which a GradScaler multiplied the loss; None if unknown.
            The norms do not contain it.
        skipped: Whether the weights were not updated: the GradScaler found infinity or NaN,
            or the training discarded the gradients.
        raw: Like ``norms``, but from before gradients were clipped; None if no clipping
            was seen.
        values: Values logged since the previous step (loss, learning rate ...), by name.
            NaN and infinities are kept.
        discarded: Whether the training clipped the gradients and then threw them away. The
            norms are from before clipping.
        signals: More numbers of each layer beside its norm, by the name of the signal, each
            of shape (L,), float32, 0 or more; NaN where the layer has none. A signal that
            no layer has at this step is missing.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> norms = np.array([0.5, np.inf, np.nan], np.float32)
        >>> step = gradsound.Step(7, 0.25, norms, absent=np.array([False, False, True]))
        >>> step.nonfinite.tolist()
        [False, True, False]
    """

    number: int
    time: float
    norms: NDArray[np.float32]
    absent: NDArray[np.bool_]
    loss_scale: float | None = None
    skipped: bool = False
    raw: NDArray[np.float32] | None = None
    values: Mapping[str, float] = field(default_factory=lambda: NO_VALUES)
    discarded: bool = False
    signals: Mapping[str, NDArray[np.float32]] = field(default_factory=lambda: NO_SIGNALS)

    @property
    def nonfinite(self) -> NDArray[np.bool_]:
        """Which layers' norms are NaN or infinite, shape (L,), bool."""
        return ~(np.isfinite(self.norms) | self.absent)

    @property
    def unclipped(self) -> NDArray[np.float32]:
        """``raw`` if clipping was seen, else ``norms``, shape (L,), float32."""
        return self.norms if self.raw is None else self.raw
