"""Data model of a run: the header, and a stream of steps with one norm per layer.

Shapes: L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from gradsound.name_matching import choose
from gradsound.runs.signals import take_signals
from gradsound.runs.step import NO_SIGNALS
from gradsound.runs.step_stream import StepStream, make_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock


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
        training: A text that the files of all ranks of one training share, and no others;
            empty if the training has a single run file.
        stages: The pipeline stage of each layer, from 0, length L; empty if the run is not
            that of a rank in a pipeline.
        signals: How each signal was measured, in a few words, by its name; empty if only
            norms were. A part of the training that resumed may have measured others.

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
    training: str = ""
    stages: tuple[int, ...] = ()
    signals: Mapping[str, str] = field(default_factory=lambda: NO_SIGNALS, hash=False)

    @property
    def in_model_order(self) -> bool:
        """Whether the layers are in the order of the model; other tools sort by name."""
        return any(self.parameters)


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

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks, as large as their source finds useful."""
        read = getattr(self.steps, "blocks", None)
        return make_blocks(self.steps) if read is None else read()

    def select(self, layers: str | Iterable[str]) -> Run:
        """Returns a run with some of the layers only.

        Args:
            layers: A glob over layer names, or several.

        Raises:
            ValueError: If a glob matches no layer.
        """
        return pick_layers(self, choose(self.header.layers, layers))


def find_begin(header: Header) -> datetime | None:
    """Returns when a run began; None if it is unknown, or in an unknown time zone."""
    try:  # Python 3.10 knows no Z
        begin = datetime.fromisoformat(header.start.replace("Z", "+00:00"))
    except ValueError:
        return None
    return begin if begin.tzinfo else None


def pick_layers(run: Run, indices: tuple[int, ...]) -> Run:
    """Returns a run with the layers of some indices, in their order."""
    header = replace(
        run.header,
        layers=tuple(run.header.layers[index] for index in indices),
        parameters=tuple(run.header.parameters[index] for index in indices),
        stages=tuple(run.header.stages[index] for index in indices if run.header.stages),
    )
    steps = _SelectedSteps(run, indices)
    if isinstance(run.steps, Iterator):  # an iterator is read once, so is its selection
        return replace(run, header=header, steps=StepStream(steps.blocks()))
    return replace(run, header=header, steps=steps)


def repeatable(run: Run) -> Run:
    """Returns a run whose steps can be iterated repeatedly; keeps them in memory if not."""
    if isinstance(run.steps, Iterator):
        return replace(run, steps=[*run.steps])
    return run


@dataclass(frozen=True, slots=True)
class _SelectedSteps:
    """Steps with some of the layers only; repeatable if the original steps are."""

    run: Run
    indices: tuple[int, ...]

    def __iter__(self) -> Iterator[Step]:
        indices = list(self.indices)
        for step in self.run.steps:
            raw = None if step.raw is None else step.raw[indices]
            yield replace(
                step,
                norms=step.norms[indices],
                absent=step.absent[indices],
                raw=raw,
                signals=take_signals(step.signals, indices),
            )

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the blocks of the original steps, with some of the layers only."""
        return (block.take_layers(self.indices) for block in self.run.blocks())
