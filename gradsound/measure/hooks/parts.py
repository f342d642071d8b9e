"""Constructors of the parts of a monitor; a test passes others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.measure.logged_values import LoggedValues
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.measure.overhead_budget import OverheadBudget
from gradsound.measure.step_queue import StepQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormSnapshot
    from gradsound.measure.step_queue import Emit


@dataclass(frozen=True, slots=True)
class MonitorParts:
    """Constructors that a monitor calls.

    Attributes:
        queue: Makes the queue of measured steps from the function that receives them.
        logged_values: Makes the store of logged values.
        norms_per_layer: Makes norms of whole layers, as `LocalNorms`.
        budget: Makes the budget from a share and a number of parameters.
    """

    queue: Callable[[Emit], StepQueue] = StepQueue
    logged_values: Callable[[], LoggedValues] = LoggedValues
    norms_per_layer: Callable[[NormSnapshot, NDArray[np.intp]], NormsPerLayer] = LocalNorms
    budget: Callable[[float, int], OverheadBudget] = OverheadBudget


DEFAULT_PARTS = MonitorParts()
