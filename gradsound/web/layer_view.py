"""All layers of a run as rows, for a page that opens and closes groups by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.music.layer_tree import ROWS_MAX
from gradsound.web.messages import encode_tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradsound.music.layer_tree import LayerGroup, LayerTree
    from gradsound.web.columns import Columns


class LayerView:
    """A row for each layer, in the order of a tree.

    Args:
        tree: The layers of the run.

    Attributes:
        path: None; the path of a `RowView` has its open groups.

    Example:
        >>> import numpy as np
        >>> from gradsound.music.layer_tree import make_layer_tree
        >>> view = LayerView(make_layer_tree(["a", "b"], ()))
        >>> view.encode()[:32], view.rows_of(np.array([1]))
        ('{"kind": "tree", "tree": {"group', [1])
    """

    path = None

    def __init__(self, tree: LayerTree) -> None:
        self._tree = tree

    def encode(self) -> str:
        """Returns the message with the tree."""
        return encode_tree(tree_data(self._tree))

    def norms(self, columns: Columns) -> Columns:
        """Returns the columns with a norm for each row: as they are."""
        return columns

    def rows_of(self, places: NDArray[np.intp]) -> list[int]:
        """Returns the rows of some layers, by their places in the order of the tree."""
        return [*map(int, places)]


def tree_data(tree: LayerTree) -> dict[str, Any]:
    """Returns a tree as data for a page."""
    groups = [*map(_group_data, tree.groups)]
    return {"groups": groups, "order": tree.order, "rows_max": ROWS_MAX}


def _group_data(group: LayerGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "label": group.label,
        "begin": group.begin,
        "end": group.end,
        "groups": [*map(_group_data, group.groups)],
    }
