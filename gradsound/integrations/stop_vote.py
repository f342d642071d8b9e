"""Agreement of all ranks on the step at which they stop."""

from __future__ import annotations

from collections import deque

import torch
from torch import distributed

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.distributed.ranks import rank_count

_STEPS_BEHIND = (
    2  # between a vote on an accelerator and its result, for which no host waits
)


class StopVote:
    """The votes of all ranks, one after each step.

    The rank that records knows the alarms. If it stopped alone, the others would wait for
    it. So each rank votes by an all-reduce of one number. On an accelerator, the host reads
    the result two steps later, when it is there: then no rank waits for it.

    Args:
        device: The device of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._results: deque[AsyncCopy] = deque()

    def cast(self, *, stop: bool) -> bool:
        """Votes; returns whether the training stops now. All ranks call it at a step."""
        if rank_count() < 2:
            return stop
        vote = torch.full((), float(stop), device=self._device)
        distributed.all_reduce(vote, op=distributed.ReduceOp.MAX)
        self._results.append(AsyncCopy([vote]))
        if len(self._results) <= (0 if vote.is_cpu else _STEPS_BEHIND):
            return False
        return bool(self._results.popleft().values()[0])
