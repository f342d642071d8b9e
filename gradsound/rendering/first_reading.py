"""The first reading of runs before they sound: their anchor, and the number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gradsound.errors import without_warnings
from gradsound.music.anchor import AnchorFit
from gradsound.runs.compare import align_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run

_Block = TypeVar("_Block")
_STEPS = 1024  # read at once


def read_first(runs: Sequence[Run], preset: Preset) -> tuple[Preset, int]:
    """Returns the preset with the anchor that fits runs, and how many steps they have.

    A step that several runs have counts once.

    Args:
        runs: The runs; their steps can be iterated repeatedly.
        preset: How the runs sound.

    Raises:
        OSError, RunFormatError: If a run cannot be read.
    """
    fit, steps = AnchorFit(preset), 0
    for run in runs:
        bands = preset.bands_of(run.header.layers)
        for block in run.blocks():
            fit.add(block, bands)
            steps += len(block)
    if len(runs) > 1:
        aligned = read_again(align_blocks(runs, _STEPS))
        steps = sum(len(first.present) for first, *_ in aligned)
    return fit.preset(), steps


def read_again(blocks: Iterator[_Block]) -> Iterator[_Block]:
    """Yields the blocks of runs whose first reading gave the warnings."""
    while True:
        with without_warnings():
            block = next(blocks, None)
        if block is None:
            return
        yield block
