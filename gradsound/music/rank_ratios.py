"""Norms of ranks as ratios to the median of all ranks at the same step.

Shapes: S steps, R ranks, B bands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.rank_centers import median_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band

RANK_BASELINE = "ranks"
_ZERO_OCTAVES = 10.0  # below the median; the place of a norm of 0 among deviations
_LARGEST = float(np.finfo(np.float32).max)


def rank_ratios(
    norms: NDArray[np.float32], absent: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Returns the ratio of each rank's norm to the median of all, at each step.

    Args:
        norms: Norms of the ranks, shape (S, R).
        absent: Which ranks have none, shape (S, R).

    Returns:
        Shape (S, R): 1 where the median is not above 0, unless the norm is; NaN and
        infinity are kept.
    """
    known = np.where(absent | ~np.isfinite(norms), np.nan, norms).astype(np.float64)
    middle = median_known(known)[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratios = np.where(middle > 0, norms / middle, np.where(norms == 0, 1.0, norms))
    ratios = np.where(np.isfinite(norms), np.minimum(ratios, _LARGEST), norms)
    return ratios.astype(np.float32)


def farthest_ratios(
    norms: NDArray[np.float32], absent: NDArray[np.bool_], bands: Sequence[Band]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns the ratio of the rank of each band that is farthest from the median.

    Args:
        norms: Norms of the ranks, shape (S, R).
        absent: Which ranks have none, shape (S, R).
        bands: The bands, B of them.

    Returns:
        Ratios, shape (S, B), NaN or infinite if that of any rank of the band is; and which
        bands have no rank with a norm, shape (S, B).
    """
    ratios = rank_ratios(norms, absent)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.abs(np.log2(ratios))
    distances = np.nan_to_num(distances, nan=np.inf, posinf=_ZERO_OCTAVES)
    distances[np.isinf(ratios)] = _LARGEST  # below NaN
    distances[absent] = -1.0
    found, silent = [], []
    for band in bands:
        ranks = np.array(band.layers)
        farthest = ranks[np.argmax(distances[:, ranks], axis=1)]
        found.append(np.take_along_axis(ratios, farthest[:, None], axis=1)[:, 0])
        silent.append(absent[:, ranks].all(axis=1))
    return np.stack(found, axis=1), np.stack(silent, axis=1)
