"""Norms of layers from before clipping, kept for the step that follows.

Shapes: L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from gradsound.measure.gradient_reader import GradientReader
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.parameter_tracker import ParameterTracker

    # Which layers are clipped, shape (L,), and the norms of all layers before that.
    RawMeasurement: TypeAlias = tuple[NDArray[np.bool_], NormsPerLayer]


class RawNorms:
    """Measures each layer before its first clipping in a step.

    Args:
        tracker: The layers.
        reader: Reads their gradients.
    """

    def __init__(self, tracker: ParameterTracker, reader: GradientReader) -> None:
        self._tracker, self._reader = tracker, reader
        self._measurements: list[RawMeasurement] = []

    def measure(self, parameters: Iterable[torch.Tensor] | None) -> None:
        """Measures the layers of these parameters (all layers if None)."""
        layers = self._tracker.layers_of(parameters)
        for measured, _ in self._measurements:
            layers = layers & ~measured
        if layers.any():
            self._measurements.append((layers, self._reader.read_layers(layers)))

    def pop(self) -> list[RawMeasurement]:
        """Returns the measurements since the last call and forgets them."""
        measurements, self._measurements = self._measurements, []
        return measurements
