"""Signals: more numbers of each layer and step beside the norm, as arrays by name.

An array has NaN where a layer has no number. A signal without any number is missing, so
the same steps have the same signals, however their blocks are joined and cut.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.runs.step import NO_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Signals = Mapping[str, NDArray[np.float32]]


def known_signals(signals: Signals) -> Signals:
    """Returns the signals that have a number."""
    if not signals:
        return NO_SIGNALS
    return {name: own for name, own in signals.items() if not np.isnan(own).all()}


def take_signals(signals: Signals, index: Any) -> Signals:
    """Returns the signals at an index of numpy: of some steps, or of some layers."""
    return known_signals({name: own[index] for name, own in signals.items()})


def hold_last(
    numbers: NDArray[np.float32], last: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Returns the numbers of a signal with the last known one where a layer has none.

    Args:
        numbers: Shape (S, L).
        last: The last known numbers before these steps, shape (L,); None if none is.
    """
    first = np.full((1, numbers.shape[1]), np.nan, np.float32) if last is None else last
    rows = np.vstack([first, numbers])
    places = np.where(np.isnan(rows), 0, np.arange(len(rows))[:, None])
    places = np.maximum.accumulate(places, axis=0)
    return np.take_along_axis(rows, places, axis=0)[1:]


def split_signals(signals: Signals, steps: int) -> Iterable[Signals]:
    """Returns the signals of each step.

    Args:
        signals: Those of a block, of shape (S, L).
        steps: How many steps it has, S.
    """
    if not signals:
        return repeat(NO_SIGNALS, steps)
    of_steps: list[Signals] = [NO_SIGNALS] * steps
    for name, own in signals.items():
        for row in np.flatnonzero(~np.isnan(own).all(axis=1)).tolist():
            of_steps[row] = {**of_steps[row], name: own[row]}
    return of_steps


def stack_signals(of_steps: Sequence[Signals | None], layers: int) -> Signals:
    """Returns the signals of successive steps, of shape (S, L).

    Args:
        of_steps: The signals of each step; None for a step without signals.
        layers: How many layers there are, L.
    """
    if not any(of_steps):
        return NO_SIGNALS
    stacked: dict[str, NDArray[np.float32]] = {}
    for row, signals in enumerate(of_steps):
        for name, own in signals.items() if signals else ():
            if name not in stacked:
                stacked[name] = np.full((len(of_steps), layers), np.nan, np.float32)
            stacked[name][row] = own
    return known_signals(stacked)


def concatenate_signals(
    blocks: Sequence[Signals], shapes: Sequence[tuple[int, ...]]
) -> Signals:
    """Returns the signals of successive blocks as those of one.

    Args:
        blocks: The signals of each block.
        shapes: S and L of each block.
    """
    if not any(blocks):
        return NO_SIGNALS
    names = dict.fromkeys(name for signals in blocks for name in signals)
    return {
        name: np.concatenate(
            [
                signals[name] if name in signals else np.full(shape, np.nan, np.float32)
                for signals, shape in zip(blocks, shapes)
            ]
        )
        for name in names
    }
