"""The run of a training that was found, not given: one or several optimizers."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.api import attach
from gradsound.attachment import _finish, close_recorder
from gradsound.measure.hooks.install import join_optimizer
from gradsound.measure.hooks.model import ModelMonitor
from gradsound.measure.hooks.optimizer import OptimizerMonitor
from gradsound.script.found_model import FoundModel, find_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.script.backward_loss import BackwardLoss


class FoundRun:
    """Records the steps of optimizers until their model is gone.

    It keeps neither the model nor an optimizer alive.

    Args:
        optimizers: One, or several that step after the same backward pass.
        scaler: Their GradScaler, with mixed precision.
        options: For `gradsound.attach`.

    Attributes:
        last_step: When an optimizer stepped last, in optimizers made so far.
        file: The run file.
        name: The classes of the root modules.
        records: Whether this rank writes the run.
        sharded: Whether each rank has a part of the gradients.

    Raises:
        ValueError, OSError, ImportError: As `gradsound.attach`.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        scaler: GradScaler | None,
        options: dict[str, Any],
    ) -> None:
        model, owner = find_model(optimizers)
        given = optimizers[0] if len(optimizers) == 1 else [*optimizers]
        self._attachment = attach(model, given, scaler=scaler, **options)
        self._monitor = self._attachment._monitor
        self._recorder = self._attachment._recorder
        self._optimizers = [weakref.ref(optimizer) for optimizer in optimizers]
        trained = [p for optimizer in optimizers for p in parameters_of(optimizer)]
        frozen: list[Tensor] = [p for p in model.parameters() if not p.requires_grad]
        self._trained = [weakref.ref(parameter) for parameter in trained]
        self._frozen = [weakref.ref(parameter) for parameter in frozen]
        self.sharded = self._monitor is not None and self._monitor.tracker.sharded
        self.last_step, self.file = 0, Path(options["log"])
        recorder = self._attachment._recorder
        if recorder is not None and recorder.log_file is not None:
            self.file = recorder.log_file[0]  # a rank may have a file of its own
        self.name = model.label if isinstance(model, FoundModel) else type(model).__name__
        self.records = self._recorder is not None
        self.layer_count = 0 if self._monitor is None else len(self._monitor.tracker.first)
        self._live_as_long_as(model, owner)
        if isinstance(self._monitor, ModelMonitor):
            self._monitor.mark_present()

    def _live_as_long_as(self, model: object, owner: object) -> None:
        """Finishes the files with the model: another optimizer may train it after this."""
        self._attachment._end_watch()
        self._attachment._finish.detach()
        finish: Any = weakref.finalize(owner, _finish, self._monitor, self._recorder)
        self._attachment._finish = finish
        # A model that only we made out of several modules has no other owner.
        self._model = None if model is owner else model

    @property
    def closed(self) -> bool:
        """Whether the files are complete."""
        return not self._attachment._finish.alive

    def trains_some_of(self, parameters: Iterable[Tensor]) -> bool:
        """Returns whether its optimizers have some of these parameters."""
        trained = _alive_ids(self._trained)
        return any(id(parameter) in trained for parameter in parameters)

    def has_layers_of(self, parameters: Iterable[Tensor]) -> bool:
        """Returns whether its layers, trained or frozen, have all these parameters."""
        known = _alive_ids(self._trained) | _alive_ids(self._frozen)
        return all(id(parameter) in known for parameter in parameters)

    def has_any(self, objects: Iterable[object]) -> bool:
        """Returns whether one of its optimizers is among these objects."""
        alive = [one for reference in self._optimizers if (one := reference()) is not None]
        return any(one is other for other in objects for one in alive)

    def join(self, optimizer: Optimizer, scaler: GradScaler | None) -> None:
        """Records the steps of another optimizer of the same layers too."""
        self._optimizers.append(weakref.ref(optimizer))
        trained = _alive_ids(self._trained)
        self._trained += [
            weakref.ref(p) for p in parameters_of(optimizer) if id(p) not in trained
        ]
        self._attachment._optimizers.append(weakref.ref(optimizer))
        if isinstance(self._monitor, OptimizerMonitor | ModelMonitor):
            join_optimizer(self._monitor, optimizer, scaler)

    def log_values(self, optimizer: Optimizer, loss: BackwardLoss) -> None:
        """Records the learning rate of an optimizer, and the loss, with the next step."""
        mean = loss.pop()
        if self._monitor is None or not self.records:
            return
        values: dict[str, object] = {"lr": optimizer.param_groups[0]["lr"]}
        if mean is not None:
            values["loss"] = mean
        self._monitor.logged_values.add(values)

    def end(self) -> None:
        """Finishes the files."""
        self._attachment.close()

    def leave(self) -> Callable[[], None]:
        """Removes the hooks; returns what finishes the files, in any thread."""
        self._attachment._end_watch()
        # After this, nothing else finishes them.
        mine = self._attachment._finish.detach() is not None
        if mine and self._monitor is not None:
            self._monitor.leave()
            self._monitor.close()

        def finish() -> None:
            if mine and self._recorder is not None:
                close_recorder(self._recorder, self._monitor)

        return finish

    def show_error(self, error: BaseException) -> None:
        """Has the page show, at the end of the run, how the training ended."""
        if self._recorder is not None and self._recorder.player is not None:
            self._recorder.player.error = error


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Returns the parameters of all groups of an optimizer."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _alive_ids(references: Iterable[weakref.ref[Tensor]]) -> set[int]:
    alive = [reference() for reference in references]
    return {id(parameter) for parameter in alive if parameter is not None}
