"""The layers of a deep model as a tree: bands, then groups by name, then layers.

Shapes: L layers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.layer_groups import Band

ROWS_MAX = 48  # of one picture; more do not fit a screen with readable names
_CHILDREN_MAX = 12  # of a group; four open groups and the bands then fit a screen
_ROUND = (5, 8, 10, 12, 16, 20, 25, 32, 50, 64, 100, 128, 250, 256, 500, 512, 1000)
_PART = re.compile(r"[^./]+")


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """A layer, or a group of layers.

    Attributes:
        name: Name of the layer or of the group, such as "model.layers.12".
        label: The name without what the groups around it have in common.
        begin: Place of its first layer in the order of the tree.
        end: Place after its last layer.
        groups: The groups of a group in the order of the model; empty for a layer.
    """

    name: str
    label: str
    begin: int
    end: int
    groups: tuple[LayerGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerTree:
    """The layers of a model in groups.

    Attributes:
        groups: The groups without a parent, in the order of the model.
        order: Indices of the layers in the order of the tree, L of them.

    Example:
        >>> from gradsound.music.layer_groups import find_bands
        >>> names = [f"h.{k}.{part}" for k in range(40) for part in ("attn", "mlp")]
        >>> tree = make_layer_tree(names, find_bands(names))
        >>> [(band.name, len(band.groups)) for band in tree.groups]
        [('attention', 5), ('mlp', 5)]
        >>> attention = tree.groups[0]
        >>> attention.groups[1].name, attention.groups[1].groups[0].name
        ('h.8 to 15', 'h.8.attn')
        >>> tree.path(names.index("h.9.mlp"))
        (1, 1, 1)
    """

    groups: tuple[LayerGroup, ...]
    order: tuple[int, ...]

    def path(self, layer: int) -> tuple[int, ...]:
        """Returns the index of each group around a layer, then of the layer, from outside.

        Args:
            layer: Index of the layer.
        """
        place, groups, path = self.order.index(layer), self.groups, []
        while groups:
            index = next(k for k, group in enumerate(groups) if place < group.end)
            path.append(index)
            groups = groups[index].groups
        return tuple(path)


def make_layer_tree(names: Sequence[str], bands: Sequence[Band]) -> LayerTree:
    """Groups the layers of a model, unless so few have rows of their own on one screen.

    A band has groups by the parts of its layers' names, such as "model.layers.12". Of more
    than twelve groups, successive ones form one, such as "model.layers.0 to 9".

    Args:
        names: Names of the layers, in the order of the model.
        bands: The bands of the model, four at most.
    """
    order: list[int] = []
    layers = [_Layer.of(name, index) for index, name in enumerate(names)]
    if len(names) <= ROWS_MAX:
        groups = [_add_layer(layer, layer.name, order) for layer in layers]
    else:
        groups = [
            _add_group(band.name, band.name, [layers[k] for k in band.layers], 0, order)
            for band in bands
        ]
    return LayerTree(tuple(groups), tuple(order))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer with the parts of its name.

    Attributes:
        name: Its name.
        index: Its index in the model.
        parts: Begin and end of each part of the name, in characters.
    """

    name: str
    index: int
    parts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, name: str, index: int) -> _Layer:
        return cls(name, index, tuple(match.span() for match in _PART.finditer(name)))

    def part(self, depth: int) -> str | None:
        """Returns a part of the name; None after the last."""
        if depth >= len(self.parts):
            return None
        begin, end = self.parts[depth]
        return self.name[begin:end]

    def prefix(self, depth: int) -> str:
        """Returns the name up to a part and with it; the whole name after the last."""
        return self.name[: self.parts[depth][1]] if depth < len(self.parts) else self.name

    def label(self, depth: int, name: str) -> str:
        """Returns a prefix of the name without the parts before a depth.

        A number keeps the part before it: "layers.12" tells more than "12".
        """
        if depth >= len(self.parts):
            return name
        begin = self.parts[depth][0]
        if depth and self.name[begin].isdigit():
            begin = self.parts[depth - 1][0]
        return name[begin:]


def _add_layer(layer: _Layer, label: str, order: list[int]) -> LayerGroup:
    order.append(layer.index)
    return LayerGroup(layer.name, label, len(order) - 1, len(order))


def _add_group(
    name: str, label: str, layers: Sequence[_Layer], depth: int, order: list[int]
) -> LayerGroup:
    """Returns the group of some layers and adds these to the order.

    Args:
        name: Name of the group.
        label: Its label.
        layers: Its layers, at least one.
        depth: Parts of the names that all its layers have in common.
        order: Indices of the layers so far.
    """
    if len(layers) == 1:
        return _add_layer(layers[0], label if depth else layers[0].name, order)
    first = layers[0].part(depth)
    while first is not None and all(layer.part(depth) == first for layer in layers):
        depth += 1
        first = layers[0].part(depth)
    parts: dict[str | tuple[int], list[_Layer]] = {}
    for layer in layers:
        part = layer.part(depth)
        parts.setdefault((layer.index,) if part is None else part, []).append(layer)
    children = [_Child(group, depth) for group in parts.values()]
    begin = len(order)
    groups = _add_children(children, order)
    return LayerGroup(name, label, begin, len(order), groups)


@dataclass(frozen=True, slots=True)
class _Child:
    """Layers of a group whose names have one more part in common, or a single layer."""

    layers: Sequence[_Layer]
    depth: int

    @property
    def part(self) -> str:
        """The part of the name in which the children of a group differ."""
        return self.layers[0].part(self.depth) or self.layers[0].name

    def add(self, order: list[int]) -> LayerGroup:
        """Returns their group, and adds them to the order."""
        first = self.layers[0]
        name = first.name if len(self.layers) == 1 else first.prefix(self.depth)
        label = first.label(self.depth, name)
        return _add_group(name, label, self.layers, self.depth + 1, order)


def _add_children(children: Sequence[_Child], order: list[int]) -> tuple[LayerGroup, ...]:
    """Returns the group of each child, or of many children, of each range of them."""
    total = len(children)
    if total <= _CHILDREN_MAX:
        return tuple(child.add(order) for child in children)
    levels = next(k for k in count(2) if _CHILDREN_MAX**k >= total)
    ranges = next(k for k in count(2) if k**levels >= total)
    least = -(-total // ranges)
    size = next((size for size in _ROUND if least <= size < 1.5 * least), least)
    parts = [children[begin : begin + size] for begin in range(0, total, size)]
    return tuple(
        _add_range(part, order) if len(part) > 1 else part[0].add(order) for part in parts
    )


def _add_range(children: Sequence[_Child], order: list[int]) -> LayerGroup:
    """Returns the group of successive children."""
    first, begin = children[0], len(order)
    name = first.layers[0].prefix(first.depth)
    label = first.layers[0].label(first.depth, name)
    groups, last = _add_children(children, order), children[-1].part
    return LayerGroup(f"{name} to {last}", f"{label} to {last}", begin, len(order), groups)
