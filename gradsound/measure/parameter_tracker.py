"""Follows parameters that are replaced, removed, added or thawed during training.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gradsound.measure.layer_names import parameters_by_module
from gradsound.measure.layer_warnings import LayerWarnings
from gradsound.measure.layers import find_trained_layers, is_sharded, parameter_ids
from gradsound.measure.optimizer_parameters import OptimizerParameters
from gradsound.measure.untrained_layers import UntrainedLayers
from gradsound.name_matching import match_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    import torch
    from numpy.typing import NDArray
    from torch import nn
    from torch.optim import Optimizer

    from gradsound.measure.layers import Layer

    Reference: TypeAlias = Callable[[], nn.Parameter | None]

_CHECK_STEPS = 100  # between checks


class ParameterTracker:
    """Keeps track of the parameters of layers, and warns about layers that it loses.

    It keeps neither the model nor the optimizer alive.

    A layer that is frozen as a whole, or whose parameters no optimizer has yet, has no
    parameter here, so it costs little time. It gets its parameters when it is trained.

    Args:
        model: The model with the layers.
        layers: Layers to track, length L.
        optimizers: If there are any, only their parameters count.
        patterns: If given, globs over layer names; the tracker ignores new layers that
            match none.

    Attributes:
        parameters: Weak references to the parameters, layer by layer, length P; a layer
            without parameters has a reference to None.
        first: Index of each layer's first parameter, shape (L,).
        held: What the optimizers held when the parameters were looked up.
        optimizers: Weak references to the given optimizers, and to those that joined them.
        sharded: Whether some parameters are divided among ranks.
        stepped: Optimizers that made a step, if none was given.
        warned: Names of layers with a warning.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        optimizers: Sequence[Optimizer],
        patterns: Iterable[str] | None,
    ) -> None:
        self._model = weakref.ref(model)
        self.optimizers = [weakref.ref(optimizer) for optimizer in optimizers]
        self._patterns = patterns
        self._names = [layer.name for layer in layers]
        self._known_names = {*self._names}
        self.stepped: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._warnings = LayerWarnings()
        self.warned = self._warnings.warned
        self.sharded = any(layer.sharded for layer in layers)
        self._steps, self._next_check = 0, _CHECK_STEPS
        self._all_layers = np.ones(len(layers), bool)
        self._by_layer: list[list[Reference]] = []
        self._untrained = UntrainedLayers(layer.name for layer in layers if layer.frozen)
        self._set_parameters(
            [
                [_nothing] if layer.frozen else [weakref.ref(p) for p in layer.parameters]
                for layer in layers
            ],
            [layer.parameters for layer in layers],
        )

    def _set_parameters(
        self, by_layer: list[list[Reference]], current: Iterable[Iterable[nn.Parameter]]
    ) -> None:
        """Moves to other parameters.

        Args:
            by_layer: References to the measured parameters of each layer, length L.
            current: All parameters of these layers, for a check whether they thaw.
        """
        # If nothing changes, steps before and after have the same arrays. Python has one
        # weak reference for each parameter; == would compare the parameters' elements.
        if _ids(by_layer) != _ids(self._by_layer):
            self._by_layer = by_layer
            self.parameters = [*chain.from_iterable(by_layer)]
            self.first = np.cumsum([0, *(len(own) for own in by_layer[:-1])])
        self._frozen = [
            weakref.ref(p) for p in chain.from_iterable(current) if not p.requires_grad
        ]
        self._measured = [one for one in self.parameters if one is not _nothing]
        self._had_gradient = np.zeros(len(self.parameters), bool)  # in some step
        self._lost_gradient = np.zeros(len(self.parameters), bool)  # in a later step
        self._without_gradient: NDArray[np.bool_] | None = None  # in the last step
        self.held = OptimizerParameters(self.optimizers)

    def _current_optimizers(self) -> list[Optimizer]:
        alive = [reference() for reference in self.optimizers]
        return [optimizer for optimizer in alive if optimizer is not None]

    def alive_parameters(self) -> list[nn.Parameter | None]:
        """Returns the parameters, length P; None for one that no longer exists."""
        return [reference() for reference in self.parameters]

    def is_due(self, without_gradient: NDArray[np.bool_] | None = None) -> bool:
        """Counts a step; returns whether to call `refresh`.

        That is every 100 steps, and when a gradient ceases, when a parameter is thawed,
        when the optimizers have other parameters, and when the first step lacks a gradient.

        Args:
            without_gradient: Which parameters have no gradient, shape (P,); None if that
                does not count.
        """
        self._steps += 1
        due = (
            (is_check := self.check_is_due)
            or self.held.differ()
            or (bool(self._frozen) and self.any_thawed())
        )
        if is_check:
            self._next_check = self._steps + _CHECK_STEPS
        # Plans return the same array at every step: to compare elements costs more.
        if without_gradient is not None and without_gradient is not self._without_gradient:
            self._without_gradient = without_gradient
            ceased = without_gradient & self._had_gradient & ~self._lost_gradient
            self._lost_gradient |= ceased
            self._had_gradient |= ~without_gradient
            due |= bool(ceased.any()) or (self._steps == 1 and bool(without_gradient.any()))
        return due

    def count_steps(self, count: int) -> None:
        """Counts steps that machine code measured, for which `is_due` was not called."""
        self._steps += count

    @property
    def check_is_due(self) -> bool:
        """Whether the next `is_due` is the one of every 100 steps."""
        return self._steps >= self._next_check

    @property
    def any_frozen(self) -> bool:
        """Whether there are frozen parameters, which may be thawed at any step."""
        return bool(self._frozen)

    def any_thawed(self) -> bool:
        """Returns whether a frozen parameter was thawed since the last `refresh`."""
        return True in [p.requires_grad for r in self._frozen if (p := r()) is not None]

    def layers_of(self, parameters: Iterable[torch.Tensor] | None) -> NDArray[np.bool_]:
        """Returns which layers have some of these parameters, shape (L,); all if None."""
        if parameters is None:
            return self._all_layers
        ids = {id(parameter) for parameter in parameters}
        if all(id(reference()) in ids for reference in self._measured):
            return self._all_layers
        selected = np.array([id(reference()) in ids for reference in self.parameters])
        return np.logical_or.reduceat(selected, self.first)

    def parameters_of(self, layers: NDArray[np.bool_]) -> set[int]:
        """Returns the ids of the parameters of the selected layers, shape (L,)."""
        return {
            id(reference())
            for references, selected in zip(self._by_layer, layers.tolist())
            for reference in references
            if selected
        }

    def find_gradient(self, layers: NDArray[np.bool_]) -> nn.Parameter | None:
        """Returns a trained parameter of the selected layers that has a gradient.

        Args:
            layers: Which layers are selected, shape (L,).
        """
        for layer in layers.nonzero()[0]:
            for reference in self._by_layer[layer]:
                p = reference()
                if p is not None and p.requires_grad and p.grad is not None:
                    return p
        return None

    def refresh(self) -> bool:
        """Looks up the layers' parameters in the model; returns whether they changed.

        It warns once for each layer that it can no longer measure, and for each layer that
        is trained but not measured.
        """
        model = self._model()
        if model is None:
            return False
        optimizers, thawed = self._current_optimizers(), self.any_thawed()
        optimizer_ids, modules = parameter_ids(optimizers), parameters_by_module(model)
        by_layer: list[list[Reference]] = []
        changed: dict[str, list[str]] = defaultdict(list)  # layers by kind of change
        for name, previous in zip(self._names, self._by_layer):
            current = modules.get(name, [])
            usable = [p for p in current if optimizer_ids is None or id(p) in optimizer_ids]
            if any(is_sharded(p) for p in usable) and not self.sharded:
                changed["sharded"].append(name)
                usable = []
            elif usable:
                if optimizer_ids is not None:
                    self._untrained.discard(name)
                elif self._untrained.waits_in_vain(name, usable, self.stepped, self._steps):
                    changed["not held"].append(name)
            elif not current:
                changed["removed"].append(name)
            elif name not in self._untrained:
                if len(optimizers) == len(self.optimizers):  # else one is gone
                    changed["orphaned"].append(name)
            elif any(p.requires_grad for p in current):
                changed["not given"].append(name)
            if current and all(_is_idle(p) for p in usable or current):
                by_layer.append([_nothing])
            else:  # a layer without parameters keeps the previous ones, and is absent
                by_layer.append([weakref.ref(p) for p in usable] or previous)
        trained = [layer.name for layer in find_trained_layers(model, optimizers)]
        added = [name for name in trained if name not in self._known_names]
        if self._patterns is not None:
            added = [added[k] for k in match_names(added, self._patterns)]
        self._warnings.warn({**changed, "added": added})
        before = self.parameters
        self._set_parameters(by_layer, [modules.get(name, []) for name in self._names])
        return (
            thawed
            or len(before) != len(self.parameters)
            or any(one() is not other() for one, other in zip(before, self.parameters))
        )


def _ids(by_layer: list[list[Reference]]) -> list[list[int]]:
    return [[*map(id, references)] for references in by_layer]


def _nothing() -> None:
    """Stands for the parameters of a layer that has none to measure."""


def _is_idle(parameter: nn.Parameter) -> bool:
    """Returns whether a parameter is frozen; an old gradient would still be applied."""
    return not parameter.requires_grad and parameter.grad is None
