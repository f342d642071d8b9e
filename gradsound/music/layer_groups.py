"""Bands: the layers of a model of any depth, gathered into the few that an ear can follow.

Listeners follow three streams of notes, and tell fewer than four sounds at once
(docs/listening.md has the sources), so layers are gathered before they are sounded.

Shapes: S steps, L layers, B bands.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from gradsound.name_matching import choose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MOST = 4
_DEPTHS = ("early", "middle", "late")

# What layers are called in the models of torch, Transformers, timm and nanoGPT, in the
# order in which a model has these parts. The first that matches counts.
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
    """Layers that sound as one.

    Attributes:
        name: What to call it.
        layers: Their indices, in order, at least one.
    """

    name: str
    layers: tuple[int, ...]


def each_layer(names: Sequence[str]) -> tuple[Band, ...]:
    """Every layer by itself."""
    return tuple(Band(name, (layer,)) for layer, name in enumerate(names))


def find_bands(
    names: Sequence[str], patterns: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Band, ...]:
    """Gathers layers into at most four bands, each layer into one.

    Args:
        names: The layers', in the order of the model.
        patterns: Globs over these by the name of a band; a layer goes to the first band
            that has it, and what is left makes a band "others". If None, a few layers stay
            by themselves, a transformer has its embedding, attention, mlp and head, and
            any other model is cut by depth: early, middle, late.

    Raises:
        ValueError: If there are more bands than four, or a glob matches no layer.
    """
    if patterns is not None:
        return _by_patterns(names, patterns)
    if len(names) <= MOST:
        return each_layer(names)
    parts = [_part(name) for name in names]
    if {"attention", "mlp"} <= {*parts}:
        return _ordered([*_PARTS], _filled(names, parts))
    cuts = np.arange(len(names)) * len(_DEPTHS) // len(names)
    return _ordered(_DEPTHS, [_DEPTHS[cut] for cut in cuts])


def _by_patterns(
    names: Sequence[str], patterns: Mapping[str, tuple[str, ...]]
) -> tuple[Band, ...]:
    of = ["others"] * len(names)
    for band, globs in reversed([*patterns.items()]):
        for layer in choose(names, globs):
            of[layer] = band
    bands = _ordered(dict.fromkeys([*patterns, "others"]), of)
    if len(bands) > MOST:
        raise ValueError(
            f"{len(bands)} bands ({', '.join(band.name for band in bands)}): nobody can "
            f"follow more than {MOST}; gather some"
        )
    return bands


def _part(name: str) -> str | None:
    return next((part for part, found in _PARTS.items() if found.search(name)), None)


def _filled(names: Sequence[str], parts: list[str | None]) -> list[str]:
    """Gives a layer that nothing names (a normalisation, say) to its nearest of kin.

    That is the named layer before or after it with which it has more of its name in
    common; the one after, which it feeds, if both have as much.
    """
    known = [layer for layer, part in enumerate(parts) if part]
    filled = []
    for layer, name in enumerate(names):
        after = bisect_left(known, layer)
        kin = known[max(0, after - 1) : after + 1]
        nearest = max(reversed(kin), key=lambda other: _shared(name, names[other]))
        filled.append(parts[layer] or parts[nearest] or "")
    return filled


def _shared(one: str, other: str) -> int:
    """How many parts of a dotted name two have in common, from the left."""
    pairs = zip(one.split("."), other.split("."))
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])


def _ordered(order: Sequence[str] | Mapping[str, None], of: list[str]) -> tuple[Band, ...]:
    """The bands in their order, without empty ones."""
    found = {name: tuple(k for k, band in enumerate(of) if band == name) for name in order}
    return tuple(Band(name, layers) for name, layers in found.items() if layers)


def band_norms(
    norms: NDArray[np.float32], absent: NDArray[np.bool_], bands: Sequence[Band]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The norms of bands, each that of its layers' gradients as one vector.

    Args:
        norms: Of layers, shape (S, L).
        absent: Which layers have no gradient, shape (S, L).
        bands: B of them.

    Returns:
        Norms, shape (S, B), NaN or infinite as soon as one of the layers is; and which
        bands have no gradient in any layer, shape (S, B).
    """
    if all(len(band.layers) == 1 for band in bands):
        order = [band.layers[0] for band in bands]
        return norms[:, order], absent[:, order]
    squares = np.where(absent, 0.0, np.square(norms, dtype=np.float64))
    sums = np.stack([squares[:, band.layers].sum(axis=1) for band in bands], axis=1)
    none = np.stack([absent[:, band.layers].all(axis=1) for band in bands], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(sums).astype(np.float32), none
