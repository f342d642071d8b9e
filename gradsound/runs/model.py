"""The nouns of a run: its header, and a stream of steps.

Shapes: L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.name_matching import choose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class _NoValues(Mapping[str, float]):
    """What most steps have; other than a MappingProxyType, it can be copied and pickled."""

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
    """What is known before the first step.

    Attributes:
        layers: Names of the layers, all different, length L, at least one.
        parameters: How many numbers each layer trains, length L.
        start: When the run began, ISO 8601.
        comment: Free text of whoever made the run.
        budget: The share of time that measuring may take: numbers of steps that are missing
            are those it left out. None if every step was measured.
    """

    layers: tuple[str, ...]
    parameters: tuple[int, ...]
    start: str
    comment: str = ""
    budget: float | None = None


@dataclass(frozen=True, slots=True, eq=False)  # == on arrays is not a bool
class Step:
    """What one optimizer step left behind.

    Attributes:
        number: Index of the optimizer step, from 0.
        time: Seconds since the start of the run.
        norms: L2 norms of the layers' gradients, shape (L,), float32; NaN and infinity
            are kept as they are. Where ``absent``, NaN and without meaning.
        absent: Which layers had no gradient at all, shape (L,), bool.
        scale: What the loss was multiplied by (a GradScaler's scale); None if unknown. The
            norms are without it.
        skipped: Whether the scaler found infinity or NaN and left the weights alone.
        raw: As ``norms``, but from before gradients were clipped; None if that was not
            seen.
        values: What was noted since the step before (loss, learning rate ...), by name; NaN
            and infinities are kept as they are.
    """

    number: int
    time: float
    norms: NDArray[np.float32]
    absent: NDArray[np.bool_]
    scale: float | None = None
    skipped: bool = False
    raw: NDArray[np.float32] | None = None
    values: Mapping[str, float] = field(default_factory=lambda: _NO_VALUES)

    @property
    def nonfinite(self) -> NDArray[np.bool_]:
        """Which layers' norms are NaN or infinite, shape (L,), bool."""
        return ~(np.isfinite(self.norms) | self.absent)

    @property
    def unclipped(self) -> NDArray[np.float32]:
        """The norms as the backward pass left them, as far as is known, shape (L,)."""
        return self.norms if self.raw is None else self.raw


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run: its header and its steps.

    Attributes:
        header: What is known before the first step.
        steps: Read in order; of a file they may be read as often as wanted.
        name: What to call the run in messages and pictures.
    """

    header: Header
    steps: Iterable[Step]
    name: str = "run"

    def select(self, layers: str | Iterable[str]) -> Run:
        """Returns the run of some of the layers only.

        Args:
            layers: A glob over layer names, or several.

        Raises:
            ValueError: If a glob matches no layer.
        """
        chosen = choose(self.header.layers, layers)
        header = replace(
            self.header,
            layers=tuple(self.header.layers[index] for index in chosen),
            parameters=tuple(self.header.parameters[index] for index in chosen),
        )
        steps: Iterable[Step] = _Selected(self.steps, chosen)
        if isinstance(self.steps, Iterator):  # these can be read once, so can they
            steps = iter(steps)
        return replace(self, header=header, steps=steps)


@dataclass(frozen=True, slots=True)
class _Selected:
    """Steps of some layers only, as often readable as the steps they come from."""

    steps: Iterable[Step]
    chosen: tuple[int, ...]

    def __iter__(self) -> Iterator[Step]:
        chosen = list(self.chosen)
        for step in self.steps:
            raw = None if step.raw is None else step.raw[chosen]
            yield replace(
                step, norms=step.norms[chosen], absent=step.absent[chosen], raw=raw
            )
