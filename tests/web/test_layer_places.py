"""Names of layers lead to their places in the tree, and tracks to lines of the page."""

import numpy as np

from gradsound.music.presets import PRESETS
from gradsound.web.layer_places import LayerPlaces, make_page_tree

NAMES = [f"h.{k}.{part}" for k in range(30) for part in ("attn", "mlp")]


def places_of(names: list[str], preset: str) -> LayerPlaces:
    return LayerPlaces(names, make_page_tree(names, PRESETS[preset]))


def test_a_line_for_each_track() -> None:
    """Up to 48 tracks are lines with their layers; a value's track has no layers."""
    tracks = [("attention", range(0, 60, 2)), ("mlp", range(1, 60, 2)), ("loss", ())]
    assert places_of(NAMES, "notes").lines(tracks) == [
        {"name": "attention", "spans": [(0, 30)], "tracks": [0]},
        {"name": "mlp", "spans": [(30, 60)], "tracks": [1]},
        {"name": "loss", "spans": [], "tracks": [2]},
    ]


def test_many_tracks_share_the_lines_of_bands() -> None:
    """If each of many layers has a track, a line switches all tracks of a band."""
    tracks = [(name, (layer,)) for layer, name in enumerate(NAMES)]
    lines = places_of(NAMES, "scan").lines([*tracks, ("loss", ())])
    assert [line["name"] for line in lines] == ["attention", "mlp", "loss"]
    assert [line["tracks"] for line in lines] == [
        [*range(0, 60, 2)],
        [*range(1, 60, 2)],
        [60],
    ]


def test_places_of_names() -> None:
    """Layers that the run lacks have no place."""
    places = places_of(NAMES, "notes")
    assert places.layer(["h.1.mlp", "h.0.attn"]) == 3
    assert places.layer(["other"]) is None
    assert places.layer([]) is None
    found = places.places(["h.1.mlp", "h.0.attn", "other"])
    np.testing.assert_array_equal(found, [0, 31])
    assert len(places.places([])) == 0
