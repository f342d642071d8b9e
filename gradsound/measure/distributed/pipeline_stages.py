"""The pipeline stages of torch on this rank, and the warning that they came too late."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gradsound.errors import warn
from gradsound.measure.live_objects import find_objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

_STAGES = "torch.distributed.pipelining.stage"  # module; loaded if there is a pipeline


def stages_by_parameter() -> dict[int, Any]:
    """Returns the ``PipelineStage`` of each parameter on this rank, by its id."""
    if _STAGES not in sys.modules:
        return {}
    stages: list[Any] = find_objects(sys.modules[_STAGES]._PipelineStageBase)
    return {id(p): stage for stage in stages for p in stage.submod.parameters()}


def warn_of_late_stages(parameters: Iterable[nn.Parameter | None]) -> None:
    """Warns if layers have become stages of a pipeline: only one rank is recorded then.

    Args:
        parameters: The measured parameters; None for one that is gone.
    """
    stages = stages_by_parameter()
    if any(id(parameter) in stages for parameter in parameters):
        warn(
            "the PipelineStage of these layers was made after attach(), so gradsound "
            "does not record the stages of other ranks: call attach() on every rank "
            "after you make the stages"
        )
