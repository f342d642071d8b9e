"""Grouping of a model's layers into at most four bands, which a listener can follow.

Listeners follow three streams of notes, and identify fewer than four simultaneous sounds
(docs/listening.md has the sources).

Shapes: S steps, L layers, B bands.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from gradsound.name_matching import choose
from gradsound.runs.rank_layers import are_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BANDS_MAX = 4  # a listener identifies no more at once
RANK_BANDS_MAX = 8  # equal notes in turn, of which a listener hears the one that differs
_DEPTHS = ("early", "middle", "late")

# Names of layers in the models of torch, Transformers, timm and nanoGPT. The parts are in
# the order of a model, which is also their precedence.
_PARTS: Mapping[str, re.Pattern[str]] = {
    "embedding": re.compile(
        r"embed(?!_out)|patch|conv_proj|\bw[tp]e\b|tok(en)?s?_emb|pos_enc|relative_att"
        r"|^shared$"
    ),
    "attention": re.compile(
        r"att(e)?n|Attention|\b(c_)?qkv?\b|\b[qkvo]_(proj|lin)\b|query|\.(key|value)$"
    ),
    "mlp": re.compile(
        r"mlp|ffn|feed_?forward|\bfc\d?\b|(up|down|gate)_proj|intermediate|expert"
        r"|\blinear[12]\b|\bff\b|DenseReluDense|\boutput\.dense\b"
    ),
    "head": re.compile(
        r"head|classifier|\bcls\b|embed_out|\bscore\b|logits|pooler|^decoder$|^output$"
    ),
}


@dataclass(frozen=True, slots=True)
class Band:
    """A group of layers that sound as one.

    Attributes:
        name: Name of the band.
        layers: Indices of its layers, ascending, at least one.

    Example:
        >>> import gradsound
        >>> names = ["conv1", "conv2", "conv3", "fc1", "fc2"]
        >>> for band in gradsound.PRESETS["notes"].bands_of(names):
        ...     print(band.name, band.layers)
        early (0, 1)
        middle (2, 3)
        late (4,)
    """

    name: str
    layers: tuple[int, ...]


def each_layer(names: Sequence[str]) -> tuple[Band, ...]:
    """Returns a band for each layer."""
    return tuple(Band(name, (layer,)) for layer, name in enumerate(names))


def find_bands(
    names: Sequence[str], patterns: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Band, ...]:
    """Groups layers into at most four bands, or ranks into eight; each belongs to one band.

    Args:
        names: Names of the layers, in the order of the model.
        patterns: Globs of layer names by the name of a band. The first band with a matching
            glob takes a layer; the band "others" takes the rest. If None, up to four
            layers are a band each; a transformer has the bands embedding, attention, mlp
            and head; any other model has early, middle and late layers. Of ranks, up to
            eight are a band each; more are in eight groups of neighbours.

    Raises:
        ValueError: If there are more than four bands, or a glob matches no layer.
    """
    if patterns is not None:
        return _by_patterns(names, patterns)
    if are_ranks(names):
        return _group_ranks(names)
    if len(names) <= BANDS_MAX:
        return each_layer(names)
    parts = [_find_part(name) for name in names]
    if {"attention", "mlp"} <= {*parts}:
        return _make_bands([*_PARTS], _fill_gaps(names, parts))
    cuts = np.arange(len(names)) * len(_DEPTHS) // len(names)
    return _make_bands(_DEPTHS, [_DEPTHS[cut] for cut in cuts])


def _group_ranks(names: Sequence[str]) -> tuple[Band, ...]:
    """Returns a band for each rank; of many ranks, groups of neighbours."""
    bands = []
    for part in np.array_split(np.arange(len(names)), min(len(names), RANK_BANDS_MAX)):
        first, last = names[part[0]], names[part[-1]]
        numbers = f"{first.split()[-1]} to {last.split()[-1]}"
        name = first if len(part) == 1 else f"ranks {numbers}"
        bands.append(Band(name, tuple(part.tolist())))
    return tuple(bands)


def _by_patterns(
    names: Sequence[str], patterns: Mapping[str, tuple[str, ...]]
) -> tuple[Band, ...]:
    assigned = ["others"] * len(names)
    for band, globs in reversed([*patterns.items()]):
        for layer in choose(names, globs):
            assigned[layer] = band
    bands = _make_bands(dict.fromkeys([*patterns, "others"]), assigned)
    if len(bands) > BANDS_MAX:
        listed = ", ".join(band.name for band in bands)
        raise ValueError(
            f"got {len(bands)} bands ({listed}); a listener cannot follow more than "
            f"{BANDS_MAX}, so merge some"
        )
    return bands


def _find_part(name: str) -> str | None:
    return next((part for part, regex in _PARTS.items() if regex.search(name)), None)


def _fill_gaps(names: Sequence[str], parts: list[str | None]) -> list[str]:
    """Returns the part of each layer; a layer without one takes that of a neighbour.

    A normalization has no part in its name, for example. Of the nearest layers with a part,
    before and after it, the function takes the one with the longer common name. If both are
    as long, it takes the layer after, which the normalization feeds.
    """
    known = [layer for layer, part in enumerate(parts) if part]
    filled = []
    for layer, name in enumerate(names):
        after = bisect_left(known, layer)
        neighbours = known[max(0, after - 1) : after + 1]
        nearest = max(
            reversed(neighbours), key=lambda other: _common_parts(name, names[other])
        )
        filled.append(parts[layer] or parts[nearest] or "")
    return filled


def _common_parts(one: str, other: str) -> int:
    """Returns how many leading parts two dotted names have in common."""
    pairs = zip(one.split("."), other.split("."))
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])


def _make_bands(
    order: Sequence[str] | Mapping[str, None], assigned: list[str]
) -> tuple[Band, ...]:
    """Returns the bands in order, without empty ones, from the band of each layer."""
    layers = {
        name: tuple(k for k, band in enumerate(assigned) if band == name) for name in order
    }
    return tuple(Band(name, indices) for name, indices in layers.items() if indices)


def band_norms(
    norms: NDArray[np.float32], absent: NDArray[np.bool_], bands: Sequence[Band]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns the norms of bands: the norm of all gradients of a band as one vector.

    Args:
        norms: Norms of layers, shape (S, L).
        absent: Which layers have no gradient, shape (S, L).
        bands: The bands, B of them.

    Returns:
        Norms, shape (S, B), NaN or infinite if any layer of the band is; and which bands
        have no gradient in any layer, shape (S, B).
    """
    if all(len(band.layers) == 1 for band in bands):
        order = [band.layers[0] for band in bands]
        return norms[:, order], absent[:, order]
    squares = np.where(absent, 0.0, np.square(norms, dtype=np.float64))
    layers = [_indices(band.layers) for band in bands]
    sums = np.stack([squares[:, own].sum(axis=1) for own in layers], axis=1)
    silent = np.stack([absent[:, own].all(axis=1) for own in layers], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(sums).astype(np.float32), silent


@lru_cache(maxsize=64)  # of thousands of layers, this takes longer than the sums
def _indices(layers: tuple[int, ...]) -> NDArray[np.intp]:
    return np.array(layers, np.intp)
