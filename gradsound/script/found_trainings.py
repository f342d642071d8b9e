"""Finds the trainings of a script, by the steps of its optimizers, and records them."""

from __future__ import annotations

import sys
import threading
import traceback
import weakref
from typing import TYPE_CHECKING

from gradsound.attachment import is_attached
from gradsound.script.found_run import FoundRun, parameters_of
from gradsound.script.noted_loss import NotedLoss
from gradsound.script.wrapped_torch import WrappedTorch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import FrameType

    from torch import Tensor, nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.script.run_options import RunOptions

_RUNS_MAX = 1000  # a training that makes an optimizer for each batch would fill the disk


class FoundTrainings:
    """The runs of a script: it records each optimizer from its first step on.

    Optimizers are found at whatever comes first: the clipping of their gradients, the step
    of a GradScaler, or their own step.

    Args:
        options: Where the runs go.

    Attributes:
        runs_begun: How many runs have begun.
        given: Whether the script attaches to some of its trainings itself.
    """

    def __init__(self, options: RunOptions) -> None:
        self.runs_begun, self.given = 0, False
        self._options = options
        self._loss = NotedLoss()
        self._made = 0  # optimizers so far
        self._births: weakref.WeakKeyDictionary[Optimizer, int] = (
            weakref.WeakKeyDictionary()
        )
        # None for an optimizer that is not recorded: another records its steps.
        self._run_of: weakref.WeakKeyDictionary[Optimizer, FoundRun | None] = (
            weakref.WeakKeyDictionary()
        )
        self._runs: list[FoundRun] = []
        self._files: set[Path] = set()
        self._lock = threading.RLock()  # threads may train a model each
        self._begins = False
        WrappedTorch(self, self._loss)

    def add(self, optimizer: Optimizer) -> None:
        """Notes a new optimizer, which may never step."""
        self._made += 1
        self._births[optimizer] = self._made

    def before_step(
        self,
        optimizer: Optimizer,
        scaler: GradScaler | None = None,
        *,
        closure: bool = False,
    ) -> None:
        """Records the loss and the learning rate with the step; begins a run if it must.

        Args:
            optimizer: The optimizer.
            scaler: The GradScaler that makes the step, if one does.
            closure: Whether the step will compute the loss itself.
        """
        run = self._run_of.get(optimizer)
        if run is None or run.closed:
            if run is None and optimizer in self._run_of:
                return
            with self._lock:
                run = self._find_run(optimizer, scaler)
                self._run_of[optimizer] = run
        if run is not None:
            run.last_step = self._made
            if not closure:
                run.log_values(optimizer, self._loss)

    def before_clip(self, parameters: Sequence[Tensor]) -> None:
        """Begins runs at a clipping before their first step, and records the loss there.

        If the training then throws the gradients away, the loss is that of this step.
        """
        clipped = {id(parameter) for parameter in parameters}
        for optimizer in [*self._births]:
            own = parameters_of(optimizer)
            if not any(id(parameter) in clipped for parameter in own):
                continue
            run = self._run_of.get(optimizer)
            if run is not None:
                run.log_values(optimizer, self._loss)
            elif optimizer not in self._run_of and not self._runs_with(own):
                self.before_step(optimizer)

    def after_closure(self, optimizer: Optimizer) -> None:
        """Records the loss that the closure of a step has computed."""
        if (run := self._run_of.get(optimizer)) is not None:
            run.log_values(optimizer, self._loss)

    def _runs_with(self, parameters: Sequence[Tensor]) -> list[FoundRun]:
        """Returns the open runs that train some of these parameters."""
        return [
            run for run in self._runs if not run.closed and run.trains_some_of(parameters)
        ]

    def before_attach(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        """Ends the runs of a training to which the script attaches itself."""
        if self._begins:
            return
        self.given = True
        parameters = [p for one in optimizers for p in parameters_of(one)]
        parameters = parameters or [*model.parameters()]
        for run in self._runs_with(parameters):
            run.end()

    def show_error(self, error: BaseException) -> None:
        """Has the page tell how the script ended."""
        for run in self._runs:
            if not run.closed:
                run.show_error(error)

    def stop_after_error(self) -> None:
        """Ends the finding because of the exception in progress, with one warning."""
        _tell(
            "an error ended the search for trainings; the script goes on, what was "
            f"recorded so far is kept:\n{traceback.format_exc()}"
        )

    def _find_run(self, optimizer: Optimizer, scaler: GradScaler | None) -> FoundRun | None:
        """Returns the run of an optimizer that has none; None if it gets none."""
        if optimizer not in self._births:  # it was copied, or loaded from a file
            self.add(optimizer)
        parameters = parameters_of(optimizer)
        if is_attached(optimizer):
            self.given = True
            return None
        if not parameters or self.runs_begun > _RUNS_MAX:
            return None
        scaler = scaler or self._loss.scaler
        for run in self._runs_with(parameters):
            if run.has_any(_optimizers_in_a_step()):
                return None  # its step calls this optimizer, as that of SAM does
            if run.has_layers_of(parameters):
                run.join(optimizer, scaler)
                return run
            run.end()  # the training goes on with other layers
        for run in self._runs:
            if (
                run.last_step < self._births[optimizer]
            ):  # a sweep, whose last model this was
                run.end()
        return self._begin(optimizer, scaler)

    def _begin(self, optimizer: Optimizer, scaler: GradScaler | None) -> FoundRun | None:
        """Begins a run of an optimizer, and of those that share its backward pass."""
        self._runs = [run for run in self._runs if not run.closed]
        waiting = [one for one in self._births if one not in self._run_of]
        group = [optimizer]
        for one in sorted(waiting, key=lambda one: self._births[one]):
            own = parameters_of(one)
            held = {id(p) for member in group for p in parameters_of(member)}
            if not any(id(p) in held for p in own) and any(p.grad is not None for p in own):
                group.append(one)
        held = {id(p) for member in group for p in parameters_of(member)}
        others = [
            one
            for one in waiting
            if any(p.requires_grad and id(p) not in held for p in parameters_of(one))
        ]
        self.runs_begun += 1
        if self.runs_begun > _RUNS_MAX:
            _tell(f"{_RUNS_MAX:,} runs have begun; later trainings are not recorded")
            return None
        index = len(self._runs) if self._runs or others else None
        file = self._options.file_of(index)
        first, self._begins = file not in self._files, True
        try:
            options = self._options.of_run(index, live=not self._runs, resume=first)
            run = FoundRun(group, scaler, options)
        except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
            _tell(
                f"{type(optimizer).__name__} is not recorded, the script goes on: {error}"
            )
            return None
        finally:
            self._begins = False
        self._files.add(file)
        for one in group:
            self._run_of[one] = run
        self._runs.append(run)
        if run.records:
            _tell(self._describe(run, group, index))
        return run

    def _describe(
        self, run: FoundRun, group: Sequence[Optimizer], index: int | None
    ) -> str:
        """Returns a sentence about which model is recorded, and where."""
        names = " and ".join(type(one).__name__ for one in group)
        if len(group) > 1:
            names += " after one backward pass"
        layers = f"{run.layer_count} layer{'' if run.layer_count == 1 else 's'}"
        file = self._options.file_of(index).name
        more = "; each optimizer has a run of its own" if index is not None else ""
        return f"records {run.name} ({layers}, {names}) in {file}{more}"


def _tell(text: str) -> None:
    sys.stderr.write(f"gradsound: {text}\n")
    sys.stderr.flush()


def _optimizers_in_a_step() -> list[object]:
    """Returns the optimizers whose steps are in progress, outside the innermost one."""
    found: list[object] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.endswith("optimizer.py"):
            found.append(frame.f_locals.get("self"))
        frame = frame.f_back
    return found
