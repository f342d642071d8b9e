"""Reads the signals of layers: what each step does with their gradients.

They are read around the step: the weights and the gradients before it, the change of the
weights and the moments of the optimizer after it.
"""

from __future__ import annotations

import traceback
import weakref
from typing import TYPE_CHECKING

import torch

from gradsound.errors import warn
from gradsound.measure.signals.first_moment import why_no_moment
from gradsound.measure.signals.moment_averages import MomentAverages
from gradsound.measure.signals.optimizer_signals import OptimizerSignals
from gradsound.measure.signals.pending_signals import PendingSignals
from gradsound.measure.signals.weight_change import UPDATE_STEPS
from gradsound.measure.signals.zero_shares import ZEROS_STEPS
from gradsound.signal_options import SNR, UPDATE_RATIO, ZEROS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from torch.optim import Optimizer

    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.norms.snapshot import NormSnapshot
    from gradsound.measure.parameter_tracker import ParameterTracker

_KEEPING = "Adam, AdamW, NAdam, RAdam, Adamax, Muon and SGD with momentum do"


class SignalReader:
    """Reads the signals of each measured step.

    Args:
        names: Names of the signals.
        tracker: The layers.
        combine: Makes norms of layers from those of all parameters.
    """

    def __init__(
        self,
        names: Collection[str],
        tracker: ParameterTracker,
        combine: Callable[[NormSnapshot], NormsPerLayer],
    ) -> None:
        self._names, self._tracker, self._combine = names, tracker, combine
        self._readers: weakref.WeakKeyDictionary[Optimizer, OptimizerSignals]
        self._readers = weakref.WeakKeyDictionary()
        self._averages = MomentAverages(len(tracker.first))
        self._open: PendingSignals | None = None
        self._stepping: OptimizerSignals | None = None  # the step in progress
        self._ended = False  # after an error
        self._warned: set[str] = set()  # of what

    def open(self) -> PendingSignals | None:
        """Begins a measured step; returns what its signals will be, None after an error."""
        self.close()
        if not self._ended:
            self._open = PendingSignals(self._averages, self.stop_after_error)
        return self._open

    def close(self) -> None:
        """Ends the measured step: no further optimizer takes part."""
        if self._open is not None:
            self._open.closed = True
        self._open = None

    def before_step(self, optimizer: Optimizer, *, closure: bool = False) -> None:
        """Reads what a step is about to change; never raises, as the other methods.

        Args:
            optimizer: The optimizer that steps.
            closure: Whether a closure will make the gradients, and `open` be called after
                the step.
        """
        try:
            if not self._ended:
                self._begin(optimizer, closure)
        except Exception:  # noqa: BLE001 (the norms must go on after any error)
            self.stop_after_error()

    def _begin(self, optimizer: Optimizer, closure: bool) -> None:
        if torch._C._current_graph_task_id() >= 0:
            self._warn_of_backward(optimizer)
            return
        if (reader := self._readers.get(optimizer)) is None:
            reader = self._readers[optimizer] = OptimizerSignals(
                self._names, optimizer, self._tracker, self._combine
            )
            self._warn_of_moments(optimizer)
        if closure or (self._open is not None and id(optimizer) not in self._open.parts):
            self._stepping = reader
            reader.begin(optimizer, has_gradients=not closure)
        else:
            reader.leave_out()

    def after_closure(self) -> None:
        """Reads the gradients that a closure made; they replace those of the one before."""
        try:
            if self._stepping is not None:
                self._stepping.count_zeros()
        except Exception:  # noqa: BLE001
            self.stop_after_error()

    def after_step(self, optimizer: Optimizer) -> None:
        """Reads what the step of an optimizer changed."""
        self._stepping = None
        reader = self._readers.get(optimizer)
        if reader is None or self._open is None:
            return
        try:
            if (part := reader.end(optimizer)) is not None:
                self._open.parts[id(optimizer)] = part
        except Exception:  # noqa: BLE001
            self.stop_after_error()

    def stop_after_error(self) -> None:
        """Ends the signals because of the exception in progress, with one warning."""
        self.close()
        self._readers.clear()
        self._stepping = None
        if not self._ended:
            self._ended = True
            warn(
                "an error ended the signals; training and the norms go on:\n"
                f"{traceback.format_exc()}"
            )

    def _warn_of_backward(self, optimizer: Optimizer) -> None:
        self._warn(
            f"{type(optimizer).__name__} steps in the backward pass, where gradsound "
            "measures norms alone: leave signals out"
        )

    def _warn_of_moments(self, optimizer: Optimizer) -> None:
        why = why_no_moment([optimizer])
        if SNR in self._names and why:
            self._warn(
                f"snr has no numbers, because {why} of the gradients; {_KEEPING}: leave "
                "snr out of signals"
            )

    def _warn(self, text: str) -> None:
        """Warns once of each thing."""
        if text not in self._warned:
            self._warned.add(text)
            warn(text)


def describe_signals(
    names: Collection[str], optimizers: Sequence[Optimizer]
) -> dict[str, str]:
    """Returns how each signal is measured, in a few words, for the header of a run.

    Args:
        names: Names of the signals.
        optimizers: The optimizers, if they are known.
    """
    keeping = [type(one).__name__ for one in optimizers if not why_no_moment([one])]
    source = " and ".join(dict.fromkeys(keeping)) or "the optimizer"
    why = "" if keeping else why_no_moment(optimizers)
    texts = {
        UPDATE_RATIO: f"from the weights, every {UPDATE_STEPS}th step",
        SNR: f"none, because {why}" if why else f"from the first moments of {source}",
        ZEROS: f"every {ZEROS_STEPS}th step",
    }
    return {name: texts[name] for name in names}
