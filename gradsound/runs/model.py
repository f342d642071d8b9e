"""Data model of a run: the header, and a stream of steps with one norm per layer.

Shapes: L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.name_matching import choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


class _NoValues(Mapping[str, float]):
    """An empty mapping that all steps without values share.

    A MappingProxyType would not do: it cannot be copied or pickled.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> float:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


_NO_VALUES = _NoValues()


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Facts about a run that are known before its first step.

    Attributes:
        layers: Names of the layers, all different, length L, at least one.
        parameters: How many trainable numbers each layer has, length L; 0 if unknown.
        start: When the run began, ISO 8601; empty if unknown.
        comment: Free text of the user.
        budget: The share of the training time that measuring may take, between 0 and 1.
            The run then lacks the numbers of the steps that were not measured. None if
            every step was measured.
        first_step: Number of the training's first step in this run.

    Example:
        >>> import gradsound
        >>> header = gradsound.Header(layers=("conv", "fc"), parameters=(52, 510), start="")
        >>> sum(header.parameters)
        562
    """

    layers: tuple[str, ...]
    parameters: tuple[int, ...]
    start: str
    comment: str = ""
    budget: float | None = None
    first_step: int = 0

    @property
    def in_model_order(self) -> bool:
        """Whether the layers are in the order of the model; other tools sort by name."""
        return any(self.parameters)


@dataclass(frozen=True, slots=True, eq=False)  # == on arrays is not a bool
class Step:
    """Measurements of one optimizer step.

    Attributes:
        number: Index of the optimizer step, from 0.
        time: Seconds since the start of the run.
        norms: L2 norms of the layers' gradients, shape (L,), float32, 0 or more. NaN and
            infinity are kept. NaN without meaning where ``absent``.
        absent: Which layers had no gradient, shape (L,), bool.
        loss_scale: The factor by which a GradScaler multiplied the loss; None if unknown.
            The norms do not contain it.
        skipped: Whether the weights were not updated: the GradScaler found infinity or NaN,
            or the training discarded the gradients.
        raw: Like ``norms``, but from before gradients were clipped; None if no clipping
            was seen.
        values: Values logged since the previous step (loss, learning rate ...), by name.
            NaN and infinities are kept.
        discarded: Whether the training clipped the gradients and then threw them away. The
            norms are from before clipping.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> norms = np.array([0.5, np.inf, np.nan], np.float32)
        >>> step = gradsound.Step(7, 0.25, norms, absent=np.array([False, False, True]))
        >>> step.nonfinite.tolist()
        [False, True, False]
    """

    number: int
    time: float
    norms: NDArray[np.float32]
    absent: NDArray[np.bool_]
    loss_scale: float | None = None
    skipped: bool = False
    raw: NDArray[np.float32] | None = None
    values: Mapping[str, float] = field(default_factory=lambda: _NO_VALUES)
    discarded: bool = False

    @property
    def nonfinite(self) -> NDArray[np.bool_]:
        """Which layers' norms are NaN or infinite, shape (L,), bool."""
        return ~(np.isfinite(self.norms) | self.absent)

    @property
    def unclipped(self) -> NDArray[np.float32]:
        """``raw`` if clipping was seen, else ``norms``, shape (L,), float32."""
        return self.norms if self.raw is None else self.raw


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run: its header and its steps.

    Attributes:
        header: Facts that are known before the first step.
        steps: The steps in ascending order. The steps of a file can be iterated repeatedly.
        name: The name of the run in messages and pictures.
        total_steps: How many steps the training made, if its run file says so: a budget
            left out the last ones. None otherwise.
    """

    header: Header
    steps: Iterable[Step]
    name: str = "run"
    total_steps: int | None = None

    def select(self, layers: str | Iterable[str]) -> Run:
        """Returns a run with some of the layers only.

        Args:
            layers: A glob over layer names, or several.

        Raises:
            ValueError: If a glob matches no layer.
        """
        return pick_layers(self, choose(self.header.layers, layers))


def pick_layers(run: Run, indices: tuple[int, ...]) -> Run:
    """Returns a run with the layers of some indices, in their order."""
    header = replace(
        run.header,
        layers=tuple(run.header.layers[index] for index in indices),
        parameters=tuple(run.header.parameters[index] for index in indices),
    )
    steps: Iterable[Step] = _SelectedSteps(run.steps, indices)
    if isinstance(run.steps, Iterator):  # an iterator is read once, so is its selection
        steps = iter(steps)
    return replace(run, header=header, steps=steps)


def short_names(runs: Sequence[Run]) -> list[str]:
    """Returns the names of runs without their folders, or with them if they are alike."""
    names = [Path(run.name).name for run in runs]
    return names if len({*names}) == len(names) else [run.name for run in runs]


def repeatable(run: Run) -> Run:
    """Returns a run whose steps can be iterated repeatedly; keeps them in memory if not."""
    if isinstance(run.steps, Iterator):
        return replace(run, steps=[*run.steps])
    return run


@dataclass(frozen=True, slots=True)
class _SelectedSteps:
    """Steps with some of the layers only; repeatable if the original steps are."""

    steps: Iterable[Step]
    indices: tuple[int, ...]

    def __iter__(self) -> Iterator[Step]:
        indices = list(self.indices)
        for step in self.steps:
            raw = None if step.raw is None else step.raw[indices]
            yield replace(
                step, norms=step.norms[indices], absent=step.absent[indices], raw=raw
            )
