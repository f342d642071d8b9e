"""The rows of a page of one file, which it computes as the server does."""

import json

import numpy as np
import pytest
from helpers.page_files import call_module

from gradsound.music.layer_groups import find_bands
from gradsound.music.layer_tree import ROWS_MAX, LayerGroup, LayerTree, make_layer_tree
from gradsound.web.row_view import RowView

MODELS = {
    "few": ["conv", "fc"],
    "deep": [f"h.{k}.{part}" for k in range(60) for part in ("attn", "mlp")],
    "nested": [
        f"h.{a}.attn.a{b}.b{c}.{d}"
        for a in range(12)
        for b in range(12)
        for c in range(2)
        for d in range(8)
    ],
    # With all groups around the first layer open, more rows than a screen has.
    "high": [f"h.{a}.{b}.0.0.0.0" for a in range(12) for b in range(12)]
    + [f"h.0.0.0.{k}.0.0" for k in range(1, 12)]
    + [f"h.0.0.0.0.{k}.0" for k in range(1, 12)]
    + [f"h.0.0.0.0.0.{k}" for k in range(1, 12)],
}
ROWS = """({ RowView }, { tree, messages, spans }) => messages.map((message) => {
  const view = message === null ? new RowView(tree) : new RowView(tree).opened(message);
  return [view.rows, view.rowsOf(spans)];
})"""


def data(group: LayerGroup) -> dict:
    """Returns a group as the recording has it."""
    inside = [*map(data, group.groups)]
    names = ("name", "label", "begin", "end")
    return {**{name: getattr(group, name) for name in names}, "groups": inside}


def paths(tree: LayerTree) -> list[dict | None]:
    """Returns messages that open groups: none, some layers, and paths that are too long."""
    last = len(tree.order) - 1
    layers = [{"layer": layer} for layer in (0, last // 2, last)]
    opened = [{"path": path} for path in ([], [0], [0, 1], [9], [0, 0, 0, 0, 0, 0])]
    return [None, *layers, *opened]


@pytest.mark.parametrize("names", MODELS.values(), ids=MODELS)
def test_rows_are_those_of_the_server(browser, names: list[str]) -> None:
    """All rows are equal, whichever groups are open, and so are those of an alarm."""
    bands = {"all": ("*",)} if names is MODELS["high"] else None
    tree = make_layer_tree(names, find_bands(names, bands))
    messages, places = paths(tree), np.arange(len(names) // 3, len(names) // 2 + 1)
    argument = {
        "tree": {
            "groups": [*map(data, tree.groups)],
            "order": tree.order,
            "rows_max": ROWS_MAX,
        },
        "messages": messages,
        "spans": [[int(places[0]), int(places[-1]) + 1]],
    }
    page = browser.new_page()
    found = call_module(page, "row_view.js", ROWS, argument)
    page.close()
    expected = []
    for message in messages:
        view = RowView(tree)
        if message is not None:
            view = view.opened({"kind": "open", **message})
        expected.append([view.describe(), view.rows_of(places)])
    assert found == json.loads(json.dumps(expected))
