"""What a hook does when it is called: it measures a step, emits it, and never fails.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from gradsound.errors import warn
from gradsound.measure.hooks.guards import never_raises, uncompiled
from gradsound.measure.logged_values import LoggedValues
from gradsound.measure.norms.batched import BatchedNorms
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.measure.overhead_budget import OverheadBudget
from gradsound.measure.pending_step import PendingStep, ScalerState
from gradsound.measure.step_queue import StepQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.measure.distributed.local_gradients import LocalGradients
    from gradsound.measure.distributed.sharded_norms import ShardedNorms
    from gradsound.measure.norms.per_layer import LayerNorms
    from gradsound.measure.norms.snapshot import NormCollector, NormSnapshot
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import Emit


class GradientMonitor:
    """Measures layers and emits their norms, until closed.

    It is reached from hooks only, which go when the optimizer or the model goes, and it
    keeps no parameter alive.

    Args:
        census: What to measure.
        emit: Called in the training thread with one or several steps.
        budget: If given, the share of time that measuring may take: as many steps as it
            takes are left out.

    Attributes:
        emitter: Has the steps that were measured, until it emits them.
        own: What is to be measured instead of reduced gradients, if anything.
        steps: How many were seen, measured or not.
        handles: What keeps it informed, each with a ``remove()``.
    """

    def __init__(
        self, tracker: ParameterTracker, emit: Emit, budget: float | None = None
    ) -> None:
        self.tracker, self.queue = tracker, StepQueue(emit)
        self._start, self._batched = time.perf_counter(), BatchedNorms()
        self._shards: ShardedNorms | None = None
        if tracker.sharded:
            from gradsound.measure.distributed.sharded_norms import (
                ShardedNorms,  # half a second, for few
            )

            self._shards = ShardedNorms()
        self._raw: list[tuple[NDArray[np.bool_], LayerNorms]] = []  # of the step to come
        self._logged = LoggedValues()  # for it
        parameters = len(tracker.parameters)
        self._budget = None if budget is None else OverheadBudget(budget, parameters)
        self._muted, self._stays = False, False
        self._none: NDArray[np.bool_] | None = None  # which had no gradient, at last
        self._told = False  # that no gradient is visible
        self.own: LocalGradients | None = None
        self.steps = 0
        self.handles: list[Any] = []
        self.rebind()

    def rebind(self) -> None:
        """Adapts to other parameters than before."""
        alive = [reference() for reference in self.tracker.parameters]
        if self._shards is not None:
            self._shards.rebind(alive)
        if self.own is not None:
            self.own.rebind(alive)

    def close(self) -> None:
        """Emits what is under way and removes every hook. A second call does nothing."""
        self.flush()
        while self.handles and not self._stays:
            self.handles.pop().remove()

    def leave(self) -> None:
        """Makes ready to close: of a sharded model, together with the other ranks.

        If they do not, this one emits nothing more, but goes on adding up with them.
        """
        if self._shards is None or not self.handles:
            return
        try:
            from gradsound.measure.distributed.rendezvous import meet

            meet("close()")
        except (RuntimeError, ValueError) as error:  # ValueError: no process group any more
            self._stays = torch.distributed.is_initialized()
            self.flush()
            self._muted = True
            warn(f"{error}; this rank goes on adding up gradients with the others")

    @never_raises
    def measure_skipped(self, optimizer: Optimizer, scaler: GradScaler) -> None:
        """Takes and emits a step that a scaler skipped."""
        # The scaler has just waited for its verdict, so asking its scale costs no sync.
        self.measure(optimizer, skipped_at=scaler.get_scale())

    @never_raises
    def measure(
        self,
        optimizer: Optimizer,
        fresh: Container[int] | None = None,
        skipped_at: float | None = None,
    ) -> None:
        """Takes the norms of this moment, to be emitted as a step once they are here.

        Args:
            optimizer: Which one steps. A fused one under a GradScaler unscales gradients
                itself, later; until then they are scaled, and it has the scale.
            fresh: The ids of the parameters whose gradients count; all if None.
            skipped_at: If the step was skipped and its gradients are unscaled: the scale.
        """
        if self.own is not None:
            self.measure_collected(
                self.own.collector, self.own.scalars(optimizer), skipped_at
            )
            return
        begin = time.perf_counter()
        if self._begins(begin):
            taken = self._take(self._sample, fresh)
            self._ends(begin, taken, ScalerState.of(optimizer), skipped_at)

    @never_raises
    def measure_collected(
        self,
        collector: NormCollector,
        scalars: ScalerState | None,
        skipped_at: float | None = None,
    ) -> None:
        """As `measure`, of norms that were taken one by one, which it empties."""
        begin = time.perf_counter()
        if self._begins(begin):
            taken = self._take(collector.sample, len(self.tracker.parameters))
            self._ends(begin, taken, scalars, skipped_at)
        collector.norms.clear()

    @never_raises
    def before_clip(self, parameters: Iterable[torch.Tensor] | None = None) -> None:
        """Takes the norms of layers before some of their gradients are clipped.

        Args:
            parameters: Whose gradients; all if None.
        """
        begin = time.perf_counter()
        if self.own is not None or not self._is_allowed(begin):
            return
        layers = self.tracker.layers_of(parameters)
        for done, _ in self._raw:
            layers = layers & ~done
        if layers.any():
            wanted = None if layers.all() else self.tracker.parameters_of(layers)
            taken = self._take(lambda: self._batched.take(self._gradients(wanted)))
            self._raw.append((layers, taken))
        if self._budget is not None:
            self._budget.spend(time.perf_counter() - begin)

    @uncompiled
    def log_values(self, values: Mapping[str, object]) -> None:
        """Keeps values for the next step that is measured; once closed, none.

        The time that takes is not part of the budget: it is asked for, step by step.
        """
        if self.handles and not self._muted:
            self._logged.add(values)

    @never_raises
    def flush(self) -> None:
        """Emits everything that was measured, and waits for it if need be."""
        self.queue.flush()

    def part_of(self, parameter: torch.Tensor) -> torch.Tensor | None:
        """What this rank has of a parameter's gradient, if there is one."""
        if self._shards is None:
            return parameter.grad
        return self._shards.local_part(parameter)

    @never_raises
    def collect(self, index: int, gradient: torch.Tensor) -> None:
        """Takes the norm of this rank's gradient of a parameter, given its index."""
        if self.own is not None:
            self.own.collector.put(index, gradient)

    def give_up(self) -> None:
        """Ends the measuring because of the exception that is being handled."""
        with suppress(Exception):  # the queue may be what failed
            self.queue.flush()
        self.queue.pending.clear()
        if self._muted:
            return
        self._muted = True
        if self._shards is None:
            self.close()
        warn(
            "an error ended the measuring; training goes on, what was recorded so far "
            f"is kept:\n{traceback.format_exc()}"
        )

    def _gradients(self, fresh: Container[int] | None) -> list[torch.Tensor | None]:
        alive = [reference() for reference in self.tracker.parameters]
        if fresh is not None:
            alive = [p if id(p) in fresh else None for p in alive]
        if self._shards is None:  # in one go, for there may be thousands
            return [None if p is None else p.grad for p in alive]
        return [None if p is None else self.part_of(p) for p in alive]

    def _sample(self, fresh: Container[int] | None) -> NormSnapshot:
        """Norms of parameters, after a look at whether these are still the right ones."""
        sample = self._batched.take(self._gradients(fresh))
        if self.tracker.is_due(sample.none) and self.tracker.refresh():
            self.rebind()
            self._batched = BatchedNorms()
            sample = self._batched.take(self._gradients(fresh))
        if sample.none is not self._none:  # so at the first step, and when others have none
            self._none = sample.none
            if self._none.all() and not (self._told or self.tracker.told):
                self._told = True
                warn(
                    f"no gradient is visible at step {self.steps - 1}: .grad is None "
                    "everywhere. Nothing was computed, or a wrapper (such as DeepSpeed) "
                    "keeps gradients to itself"
                )
        return sample

    def _take(self, sample: Callable[..., NormSnapshot], *args: Any) -> LayerNorms:
        """Norms of layers; where ranks do it together, this one takes part if it fails."""
        if self._shards is None:
            return LocalNorms(sample(*args), self.tracker.first)
        own = None
        try:
            own = None if self._muted else sample(*args)
        finally:
            taken = self._shards.add_up(own, self.tracker.first)
        return taken

    def _is_allowed(self, now: float) -> bool:
        return self._budget is None or self._budget.allows(now)

    def _begins(self, begin: float) -> bool:
        """Counts a step; returns whether it is to be measured."""
        self.steps += 1
        if self._is_allowed(begin):
            return True
        self._raw.clear()
        return False

    def _ends(
        self,
        begin: float,
        taken: LayerNorms,
        scalars: ScalerState | None,
        skipped_at: float | None,
    ) -> None:
        if not self._muted:
            number, seconds, raw = self.steps - 1, begin - self._start, tuple(self._raw)
            logged = self._logged.take()
            self.queue.pending.append(
                PendingStep(number, seconds, taken, raw, scalars, skipped_at, logged)
            )
        self._raw.clear()
        self.queue.emit_if_due(begin)
        if self._budget is not None:
            self._budget.pay(begin)
