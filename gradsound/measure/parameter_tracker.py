"""What became of the layers since they were found: replaced, taken out, added, thawed.

Shapes: L layers, P parameters.
"""

from __future__ import annotations

import weakref
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import warn
from gradsound.measure.layers import held_by, is_sharded, own_parameters, trained_layers
from gradsound.name_matching import matching, several

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn
    from torch.optim import Optimizer

    from gradsound.measure.layers import Layer

_EVERY = 100  # steps; going through all modules takes about as long as measuring a few


class ParameterTracker:
    """Keeps track of the parameters of layers, and says what it has lost.

    It keeps neither model nor optimizer alive.

    Args:
        model: Where the layers are.
        layers: Those to keep track of, L.
        optimizer: If given, only what it holds counts.
        patterns: If given, globs over names: other layers are none of its business.

    Attributes:
        parameters: The parameters, layer by layer, as weak references, length P.
        first: The index of each layer's first parameter, shape (L,).
        sharded: Whether some are in pieces on several ranks.
        told: Names of layers about which there was a warning.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        optimizer: Optimizer | None,
        patterns: Iterable[str] | None,
    ) -> None:
        self._model = weakref.ref(model)
        self._optimizer = None if optimizer is None else weakref.ref(optimizer)
        self._patterns = patterns
        self._names = [layer.name for layer in layers]
        self._known = {*self._names}
        self.told: set[str] = set()
        self.sharded = any(layer.sharded for layer in layers)
        self._looks = 0
        self._all = np.ones(len(layers), bool)
        self._settle([[weakref.ref(p) for p in layer.parameters] for layer in layers])

    def _settle(self, own: list[list[weakref.ref[nn.Parameter]]]) -> None:
        self._own = own
        self.parameters = [*chain.from_iterable(own)]
        self.first = np.cumsum([0, *(len(references) for references in own[:-1])])
        self._had = np.zeros(len(self.parameters), bool)  # a gradient, at any time
        self._lacked = np.zeros(len(self.parameters), bool)  # one, at any time since
        self._none: NDArray[np.bool_] | None = None  # of the last look
        self._held = held_by(self._trainer())

    def _trainer(self) -> Optimizer | None:
        return None if self._optimizer is None else self._optimizer()

    def is_due(self, none: NDArray[np.bool_]) -> bool:
        """Whether to look again: from time to time, or because something is unusual.

        Args:
            none: Which parameters have no gradient at this step, shape (P,).
        """
        self._looks += 1
        suspicious = self._looks % _EVERY == 0 or held_by(self._trainer()) != self._held
        if none is not self._none:  # to look at it costs more than all the rest
            self._none = none
            ceased = none & self._had & ~self._lacked
            self._lacked |= ceased
            self._had |= ~none
            suspicious |= bool(ceased.any()) or (self._looks == 1 and bool(none.any()))
        return suspicious

    def layers_of(self, parameters: Iterable[torch.Tensor] | None) -> NDArray[np.bool_]:
        """Which layers have some of these parameters, shape (L,); all if None."""
        given = None if parameters is None else {id(parameter) for parameter in parameters}
        if given is None or all(id(reference()) in given for reference in self.parameters):
            return self._all
        own = np.array([id(reference()) in given for reference in self.parameters])
        return np.logical_or.reduceat(own, self.first)

    def parameters_of(self, layers: NDArray[np.bool_]) -> set[int]:
        """The ids of the parameters of layers, shape (L,)."""
        return {
            id(reference())
            for own, wanted in zip(self._own, layers.tolist())
            for reference in own
            if wanted
        }

    def refresh(self) -> bool:
        """Finds the layers' parameters anew; returns whether they are others than before.

        Of what can no longer be measured, or is not measured though it is trained, it
        warns, once for each layer.
        """
        model = self._model()
        if model is None:
            return False
        optimizer = self._trainer()
        held, today = held_by(optimizer), own_parameters(model)
        own: list[list[weakref.ref[nn.Parameter]]] = []
        lost: list[str] = []
        orphaned: list[str] = []
        sharded: list[str] = []
        for name, old in zip(self._names, self._own):
            now = today.get(name, [])
            usable = [p for p in now if held is None or id(p) in held]
            if any(is_sharded(p) for p in usable) and not self.sharded:
                sharded.append(name)
                usable = []
            elif not usable:
                (orphaned if now else lost).append(name)
            # If nothing is left of it, it is absent from here on.
            own.append([weakref.ref(p) for p in usable] or old)
        trained = [layer.name for layer in trained_layers(model, optimizer)]
        added = [name for name in trained if name not in self._known]
        if self._patterns is not None:
            added = [added[k] for k in matching(added, self._patterns)]
        self._tell(lost, "no longer in the model, and no longer measured")
        self._tell(
            orphaned,
            "replaced in the model, but the optimizer has the old parameters: they are not "
            "trained, nor measured; make the optimizer after replacing them",
        )
        self._tell(sharded, "sharded now, and not measured: attach after fully_shard()")
        self._tell(
            added,
            "trained now, but not when attach() was called, so not measured: close this "
            "attachment and attach again",
        )
        known = self.parameters
        self._settle(own)
        return len(known) != len(self.parameters) or any(
            one() is not other() for one, other in zip(known, self.parameters)
        )

    def _tell(self, names: list[str], what: str) -> None:
        untold = [name for name in names if name not in self.told]
        if untold:
            self.told.update(untold)
            warn(f"layer {several([repr(name) for name in untold])}: {what}")
