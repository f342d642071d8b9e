"""The layers of the runs in one page: their tree, and what a user can switch off."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from gradsound.music.layer_tree import ROWS_MAX, LayerGroup, LayerTree
from gradsound.runs.run_names import distinct_names
from gradsound.web.layer_places import LayerPlaces, make_page_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradsound.rendering.sound import Sound


class RecordedLayers:
    """The layers of all runs of a sound, those of the first run first.

    Args:
        sound: The sound.

    Attributes:
        tree: All layers in groups. If they do not fit a screen, each run is a group.
        lines: What a user can switch on and off, as `LayerPlaces.lines` has it.
        tracks: Index of the first track of each run.
    """

    def __init__(self, sound: Sound) -> None:
        layers = [run.header.layers for run in sound.runs]
        self._several = len(layers) > 1
        self._names = sound.names  # as captions have them
        self._short = distinct_names([run.name for run in sound.runs])
        self._starts = [0, *accumulate(map(len, layers))]
        names = [self.name(k, one) for k, own in enumerate(layers) for one in own]
        trees = [make_page_tree(own, sound.preset) for own in layers]
        self.tree = self._join(trees) if self._several else trees[0]
        self._places = LayerPlaces(names, self.tree)
        self._indices = {name: index for index, name in enumerate(names)}
        tracks = sound.layers_by_track()
        self.tracks = [0, *accumulate(map(len, tracks))][:-1]
        self.lines = self._places.lines(
            [
                (self.name(k, name), [self._starts[k] + layer for layer in own])
                for k, of_run in enumerate(tracks)
                for name, own in of_run
            ]
        )

    def spans(self, run: int, layers: Iterable[str]) -> list[tuple[int, int]]:
        """Returns the places of some layers of a run as spans."""
        names = [self.name(run, name) for name in layers]
        return self._places.spans([self._indices[n] for n in names if n in self._indices])

    def layer(self, layers: Iterable[str]) -> int | None:
        """Returns the index of the first of some layers; None if there are several runs."""
        return self._places.layer(layers)

    def text(self, run: int, text: str) -> str:
        """Returns a text about a run; of several runs, it begins with the name."""
        return f"{self._names[run]}, {text}" if self._several else text

    def name(self, run: int, name: str) -> str:
        """Returns a name in a run; of several runs, it begins with that of the run."""
        return f"{self._short[run]}: {name}" if self._several else name

    def _join(self, trees: Sequence[LayerTree]) -> LayerTree:
        """Returns the tree of all runs."""
        order, groups = list[int](), list[LayerGroup]()
        for run, tree in enumerate(trees):
            start = self._starts[run]
            inside = tuple(self._move(group, run) for group in tree.groups)
            if self._starts[-1] <= ROWS_MAX:
                groups += (replace(group, label=group.name) for group in inside)
            else:
                name, end = self._short[run], self._starts[run + 1]
                groups.append(LayerGroup(name, name, start, end, inside))
            order += (start + layer for layer in tree.order)
        return LayerTree(tuple(groups), tuple(order))

    def _move(self, group: LayerGroup, run: int) -> LayerGroup:
        """Returns a group of a run at its place among the layers of all runs."""
        start = self._starts[run]
        return replace(
            group,
            name=self.name(run, group.name),
            begin=start + group.begin,
            end=start + group.end,
            groups=tuple(self._move(one, run) for one in group.groups),
        )
