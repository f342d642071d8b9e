"""The rows of one page: bands, and the groups and layers that its user has opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.layer_tree import ROWS_MAX
from gradsound.web.messages import encode_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from gradsound.music.layer_tree import LayerGroup, LayerTree
    from gradsound.web.columns import Columns


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the picture.

    Attributes:
        group: Its layer or group.
        path: Index of each group around it, then its own, from outside.
        siblings: How many groups its parent has.
        is_open: Whether the rows of its groups are below it.
    """

    group: LayerGroup
    path: tuple[int, ...]
    siblings: int
    is_open: bool


class RowView:
    """The rows of one page, the lowest first, at most 48.

    One group of each level may be open. If more than 48 rows were visible, those beside an
    open group are hidden, from the outermost level below the bands on.

    Args:
        tree: The layers of the run.
        path: The open groups, from outside; the view ignores what the tree lacks.

    Attributes:
        path: The open groups, from outside.
        rows: The rows, the lowest first.

    Example:
        >>> from gradsound.music.layer_groups import find_bands
        >>> from gradsound.music.layer_tree import make_layer_tree
        >>> names = [f"h.{k}.{part}" for k in range(40) for part in ("attn", "mlp")]
        >>> tree = make_layer_tree(names, find_bands(names))
        >>> view = RowView(tree, (1, 4))
        >>> [row.group.label for row in view.rows][:3]
        ['attention', 'h.0 to 7', 'h.8 to 15']
        >>> [row.group.label for row in view.rows][-3:]
        ['h.39.mlp', 'h.32 to 39', 'mlp']
    """

    def __init__(self, tree: LayerTree, path: Sequence[int] = ()) -> None:
        self._tree = tree
        levels, groups = [tree.groups], tree.groups
        for index in path:
            if not 0 <= index < len(groups) or not groups[index].groups:
                break
            groups = groups[index].groups
            levels.append(groups)
        self.path = tuple(path[: len(levels) - 1])
        surplus = sum(map(len, levels)) - ROWS_MAX
        hidden = set()  # levels that show only their open group
        for level in range(1, len(levels) - 1):
            if surplus > 0:
                surplus -= len(levels[level]) - 1
                hidden.add(level)
        self.rows = tuple(self._visible(tree.groups, (), hidden))

    def _visible(
        self, groups: Sequence[LayerGroup], parent: tuple[int, ...], hidden: set[int]
    ) -> Iterator[Row]:
        level = len(parent)
        for index, group in enumerate(groups):
            path = (*parent, index)
            is_open = self.path[: level + 1] == path
            if is_open:
                yield from self._visible(group.groups, path, hidden)
            if is_open or level not in hidden:
                yield Row(group, path, len(groups), is_open)

    def opened(self, message: Mapping[str, Any]) -> RowView | None:
        """Returns the view that a page asks for; None if it asks for something else.

        Args:
            message: A message of a page; ``path`` has the open groups, or ``layer`` the
                index of a layer whose groups shall be open.
        """
        if message.get("kind") != "open":
            return None
        layer, path = message.get("layer"), message.get("path", [])
        if type(layer) is int and 0 <= layer < len(self._tree.order):
            return RowView(self._tree, self._tree.path(layer)[:-1])
        if isinstance(path, list) and all(type(index) is int for index in path):
            return RowView(self._tree, path)
        return self

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First place of each row in the order of the tree, and the one after its last."""
        return [(row.group.begin, row.group.end) for row in self.rows]

    def rows_of(self, places: NDArray[np.intp]) -> list[int]:
        """Returns the indices of the rows that have some layers.

        Args:
            places: Places of the layers in the order of the tree, ascending.
        """
        found = np.searchsorted(places, self.spans)
        return np.flatnonzero(found[:, 0] < found[:, 1]).tolist()

    def norms(self, columns: Columns) -> Columns:
        """Returns the columns with a norm for each row."""
        return columns.of_rows(self.spans)

    def encode(self) -> str:
        """Returns the message with the rows."""
        return encode_rows(self.describe())

    def describe(self) -> list[dict[str, Any]]:
        """Returns the rows as data for a page, see docs/web.md."""
        return [
            {
                "path": row.path,
                "siblings": row.siblings,
                "name": row.group.name,
                "label": row.group.label,
                "span": (row.group.begin, row.group.end),
                "open": row.is_open if row.group.groups else None,
                "layer": None if row.group.groups else self._tree.order[row.group.begin],
            }
            for row in self.rows
        ]
