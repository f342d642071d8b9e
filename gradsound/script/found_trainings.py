"""Finds the trainings of a script, by the steps of its optimizers, and records them."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gradsound.attachment import is_attached
from gradsound.measure.hooks.step_hooks import optimizers_in_a_step
from gradsound.script.backward_loss import BackwardLoss
from gradsound.script.first_cycle import FirstCycle
from gradsound.script.found_group import describe_group, describe_refusal, find_group
from gradsound.script.found_run import FoundRun, parameters_of
from gradsound.script.wrapped_torch import WrappedTorch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.script.run_options import RunOptions

_RUNS_MAX = 1000  # a training that makes an optimizer for each batch would fill the disk


def _print(_: str, text: str) -> None:
    sys.stderr.write(f"gradsound: {text}\n")
    sys.stderr.flush()


_active: list[FoundTrainings] = []


def active_trainings() -> FoundTrainings | None:
    """Returns what looks for trainings in this process, if something does."""
    return _active[-1] if _active else None


class FoundTrainings:
    """The runs of a script: it records each optimizer from its first step on.

    Optimizers are found at whatever comes first: the clipping of their gradients, the step
    of a GradScaler, or their own step.

    Args:
        options: Where the runs go.
        existing: The optimizers of a training that runs already.
        tell: Gets texts for the user, and their kinds: "records" at the begin of a run,
            "page" for its address, "error". It prints them by default.

    Attributes:
        runs: The runs that are open, and some that are closed.
        runs_begun: How many runs have begun.
        before: Called before each step, if not None; it returns whether the step counts.
        given: Whether the script attaches to some of its trainings itself.
    """

    def __init__(
        self,
        options: RunOptions,
        existing: Sequence[Optimizer] = (),
        tell: Callable[[str, str], None] = _print,
    ) -> None:
        self.runs_begun, self.given = 0, False
        self.before: Callable[[], bool] | None = None
        self._options, self._tell = options, tell
        self._loss = BackwardLoss()
        self._made = 0  # optimizers so far
        self._births: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        # None for an optimizer that is not recorded: another records its steps.
        self._run_of: WeakKeyDictionary[Optimizer, FoundRun | None] = WeakKeyDictionary()
        self.runs: list[FoundRun] = []
        self._files: set[Path] = set()
        self._lock = threading.RLock()  # threads may train a model each
        self._begins = False
        for optimizer in existing:
            self.add(optimizer)
        self._cycle = FirstCycle(existing)
        self._torch = WrappedTorch(self, self._loss)
        _active.append(self)

    def end(self) -> None:
        """Looks for trainings no more, and leaves torch as it was; the runs stay open."""
        self._torch.remove()
        _active.remove(self)

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
        if self.before is not None and (scaler is not None or not self.before()):
            return
        run = self._run_of.get(optimizer)
        if run is None or run.closed:
            if run is None and optimizer in self._run_of:
                return
            if self._cycle.goes_on(optimizer, self._loss.passes, steps=scaler is None):
                self._loss.pop()
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
        if self.before is not None:
            return
        clipped = {id(parameter) for parameter in parameters}
        for optimizer in [*self._births]:
            own = parameters_of(optimizer)
            if not any(id(parameter) in clipped for parameter in own):
                continue
            run = self._run_of.get(optimizer)
            if run is not None:
                run.log_values(optimizer, self._loss)
            elif (
                optimizer not in self._run_of
                and not self._cycle.goes_on(optimizer, self._loss.passes, steps=False)
                and not self._runs_with(own)
            ):
                self.before_step(optimizer)

    def after_closure(self, optimizer: Optimizer) -> None:
        """Records the loss that the closure of a step has computed."""
        if (run := self._run_of.get(optimizer)) is not None:
            run.log_values(optimizer, self._loss)

    def _runs_with(self, parameters: Sequence[Tensor]) -> list[FoundRun]:
        """Returns the open runs that train some of these parameters."""
        return [
            run for run in self.runs if not run.closed and run.trains_some_of(parameters)
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
        for run in self.runs:
            if not run.closed:
                run.show_error(error)

    def stop_after_error(self) -> None:
        """Ends the finding because of the exception in progress, with one warning."""
        self._tell(
            "error",
            "an error ended the search for trainings; the script goes on, what was "
            f"recorded so far is kept:\n{traceback.format_exc()}",
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
            if run.has_any(optimizers_in_a_step()):
                return None  # its step calls this optimizer, as that of SAM does
            if run.has_layers_of(parameters):
                run.join(optimizer, scaler)
                return run
            run.end()  # the training goes on with other layers
        for run in self.runs:
            if run.last_step < self._births[optimizer]:
                run.end()  # a sweep, whose last model this was
        return self._begin(optimizer, scaler)

    def _begin(self, optimizer: Optimizer, scaler: GradScaler | None) -> FoundRun | None:
        """Begins a run of an optimizer, and of those that share its backward pass."""
        self.runs = [run for run in self.runs if not run.closed]
        waiting = [one for one in self._births if one not in self._run_of]
        waiting.sort(key=lambda one: self._births[one])
        group, alone = find_group(optimizer, waiting, self._cycle)
        self.runs_begun += 1
        if self.runs_begun > _RUNS_MAX:
            self._tell(
                "error", f"{_RUNS_MAX:,} runs have begun; later trainings are not recorded"
            )
            return None
        index = None if alone and not self.runs else len(self.runs)
        file = self._options.file_of(index)
        first, self._begins = file not in self._files, True
        try:
            options = self._options.of_run(
                index,
                lambda address: self._tell("page", address),
                live=not self.runs,
                resume=first,
            )
            run = FoundRun(group, scaler, options)
        except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
            self._tell("error", describe_refusal(optimizer, error))
            return None
        finally:
            self._begins = False
        self._files.add(file)
        for one in group:
            self._run_of[one] = run
        self.runs.append(run)
        if run.records:
            text = describe_group(run, group, run.file.name, several=index is not None)
            self._tell("records", text)
        return run
