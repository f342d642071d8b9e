"""The places of a run's layers in the order of its tree, by name."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.music.layer_groups import BANDS_MAX, find_bands
from gradsound.music.layer_tree import ROWS_MAX, make_layer_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band
    from gradsound.music.layer_tree import LayerTree
    from gradsound.music.presets import Preset


def make_page_tree(names: Sequence[str], preset: Preset) -> LayerTree:
    """Returns the tree of a page, of its bands."""
    return make_layer_tree(names, page_bands(names, preset))


def page_bands(names: Sequence[str], preset: Preset) -> tuple[Band, ...]:
    """Returns the preset's bands, or the usual ones if it has too many."""
    bands = preset.bands_of(names)
    return find_bands(names) if len(bands) > BANDS_MAX else bands


class LayerPlaces:
    """The places of layers in the order of a tree.

    Args:
        names: Names of the layers, in the order of the model.
        tree: The same layers in groups.

    Example:
        >>> from gradsound.music.layer_groups import find_bands
        >>> names = ["a.attn", "a.mlp", "b.attn", "b.mlp"] * 13
        >>> tree = make_layer_tree(names, find_bands(names))
        >>> places = LayerPlaces(names, tree)
        >>> places.lines([("attention", [0, 2, 3])])
        [{'name': 'attention', 'spans': [(0, 1), (13, 14), (39, 40)], 'tracks': [0]}]
    """

    def __init__(self, names: Sequence[str], tree: LayerTree) -> None:
        self._layers = {name: layer for layer, name in enumerate(names)}
        self._places, self._groups = np.argsort(tree.order), tree.groups

    def layer(self, names: Iterable[str]) -> int | None:
        """Returns the index of the first of some layers; None if the run lacks it."""
        return next((self._layers.get(name) for name in names), None)

    def places(self, names: Iterable[str]) -> NDArray[np.intp]:
        """Returns the places of some layers, ascending."""
        known = [self._layers[name] for name in names if name in self._layers]
        return np.sort(self._places[known])

    def lines(self, tracks: Sequence[tuple[str, Sequence[int]]]) -> list[dict[str, Any]]:
        """Returns what a user can switch on and off: each track, or each group of many.

        Args:
            tracks: Name of each track, and the indices of its layers.

        Returns:
            Name of each line, the spans of its layers in the order of the tree, and the
            indices of its tracks.
        """
        named = [*enumerate(tracks)]
        if len(tracks) <= ROWS_MAX:
            return [_line(name, self.spans(own), [k]) for k, (name, own) in named]
        places = [self._places[own[0]] if own else -1 for _, own in tracks]
        groups = []
        for group in self._groups:
            inside = [k for k, at in enumerate(places) if group.begin <= at < group.end]
            groups.append(_line(group.name, [(group.begin, group.end)], inside))
        return groups + [_line(name, [], [k]) for k, (name, own) in named if not own]

    def spans(self, layers: Sequence[int]) -> list[tuple[int, int]]:
        """Returns the places of some layers as spans: the first, and the one after.

        Args:
            layers: Indices of the layers.
        """
        places = enumerate(np.sort(self._places[[*layers]]).tolist())
        runs = [[place for _, place in run] for _, run in groupby(places, _distance)]
        return [(run[0], run[-1] + 1) for run in runs]


def _distance(entry: tuple[int, int]) -> int:
    """Returns the same number for successive places."""
    count, place = entry
    return place - count


def _line(
    name: str, spans: Sequence[tuple[int, int]], tracks: Sequence[int]
) -> dict[str, Any]:
    return {"name": name, "spans": spans, "tracks": tracks}
