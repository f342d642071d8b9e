"""The rows of a page: bands first, and at most a screen of them at any depth."""

import numpy as np
import pytest

from gradsound.music.layer_groups import find_bands
from gradsound.music.layer_tree import ROWS_MAX, make_layer_tree
from gradsound.web.row_view import RowView

# Names with many levels of many groups: all of them open would be 8 x 12 rows.
NESTED = [
    f"h.{a}.attn.a{b}.b{c}.c{d}.{e}"
    for a in range(12)
    for b in range(12)
    for c in range(2)
    for d in range(2)
    for e in range(8)
]
TREE = make_layer_tree(NESTED, find_bands(NESTED))


def test_the_first_view_has_the_bands() -> None:
    """A page that asks for nothing gets at most four rows."""
    view = RowView(TREE)
    assert [row.group.name for row in view.rows] == ["early", "middle", "late"]
    assert view.spans[0][0] == 0
    assert view.spans[-1][1] == len(NESTED)


@pytest.mark.parametrize("layer", [0, 17, len(NESTED) - 1])
def test_any_layer_is_on_one_screen(layer: int) -> None:
    """A layer's row comes with the groups around it and all beside it, in 48 rows."""
    view = RowView(TREE).opened({"kind": "open", "layer": layer})
    assert view is not None
    rows = view.rows
    assert len(rows) <= ROWS_MAX
    (row,) = [row for row in rows if row.group.name == NESTED[layer]]
    path = row.path
    for length in range(1, len(path)):
        (around,) = [other for other in rows if other.path == path[:length]]
        assert around.is_open
    beside = [other for other in rows if other.path[:-1] == path[:-1]]
    assert len(beside) == row.siblings
    assert {row.path[0] for row in rows} == {0, 1, 2}  # all bands stay


def test_too_many_rows_hide_those_beside_open_groups() -> None:
    """Of five open levels of twelve groups, the innermost have all their rows."""
    names = [f"h.{a}.{b}.0.0.0.0" for a in range(12) for b in range(12)]
    names += [f"h.0.0.0.{k}.0.0" for k in range(1, 12)]
    names += [f"h.0.0.0.0.{k}.0" for k in range(1, 12)]
    names += [f"h.0.0.0.0.0.{k}" for k in range(1, 12)]
    tree = make_layer_tree(names, find_bands(names, {"all": ("*",)}))
    view = RowView(tree, tree.path(0)[:-1])
    levels = [sum(len(row.path) == k for row in view.rows) for k in range(1, 8)]
    assert sum(levels) <= ROWS_MAX
    assert levels[0] == 1
    assert levels[-1] == 12 or levels[-2] == 12
    assert 1 in levels[1:3]


def test_a_group_is_above_its_rows() -> None:
    """The lowest row comes first, so the rows of an open group come before it."""
    view = RowView(TREE, (1,))
    inner = [(1, k) for k in range(len(TREE.groups[1].groups))]
    assert [row.path for row in view.rows] == [(0,), *inner, (1,), (2,)]


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "open"},
        {"kind": "open", "path": "0.1"},
        {"kind": "open", "path": [True]},
        {"kind": "open", "path": [99]},
        {"kind": "open", "path": [-1, 0]},
        {"kind": "open", "path": [None]},
        {"kind": "open", "layer": -1},
        {"kind": "open", "layer": len(NESTED)},
        {"kind": "open", "layer": "h.0"},
    ],
)
def test_any_request_is_harmless(message: dict) -> None:
    """A request that makes no sense shows rows that exist."""
    view = RowView(TREE).opened(message)
    assert view is not None
    assert view.path == ()
    assert len(view.rows) == 3


def test_other_messages_open_nothing() -> None:
    """A page that plays asks for no rows."""
    assert RowView(TREE).opened({"kind": "play", "from": 0}) is None


def test_rows_of_layers() -> None:
    """The rows of layers are those whose groups have one of them."""
    view = RowView(TREE, (0,))
    places = np.array([0, len(NESTED) - 1])
    top = len(view.rows) - 3
    assert view.rows_of(places) == [0, top, top + 2]
    assert view.rows_of(np.array([], int)) == []
