"""The trend of a loss: its slope per doubling of the steps, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gradsound.alarms.loss_trend import LossTrend, Slope


def trend_of(losses: Sequence[float] | np.ndarray, first: int = 0) -> LossTrend:
    """Returns the trend of losses of successive steps."""
    trend = LossTrend()
    steps, losses = first + np.arange(len(losses)), np.array(losses, float)
    for begin in range(0, len(losses), 700):  # the sums do not depend on the parts
        trend.add(steps[begin : begin + 700], losses[begin : begin + 700])
    return trend


def residuals_of(steps: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Returns the distances of losses from their line over the logarithm of the steps."""
    x = np.log2(steps + 1)
    return losses - np.polyval(np.polyfit(x, losses, 1), x)


@pytest.mark.parametrize("first", [0, 10_000])
def test_the_slope_is_that_of_a_doubling_of_the_steps(first: int) -> None:
    """A loss that falls by 2 for each doubling has that slope, wherever its log begins."""
    doublings = np.log2(first + np.arange(100) + 1)
    slope = trend_of(9 - 2 * doublings, first).slope(1 / 4)

    assert slope.rise == pytest.approx(-2, abs=1e-9)
    assert slope.error == pytest.approx(0, abs=1e-9)
    assert slope.mean == pytest.approx(9 - 2 * doublings[75:].mean(), abs=1e-9)
    assert slope.first_step == first + 75


def test_fewer_than_24_losses_have_no_certain_slope() -> None:
    """Of more losses, the last 24 count, or a larger share."""
    assert trend_of(np.ones(23)).slope(1.0) == Slope(0.0, np.inf, 0.0, 0)
    assert trend_of(np.ones(24)).slope(1 / 4) == Slope(0.0, 0.0, 1.0, 0)
    assert trend_of(np.ones(90)).slope(1 / 4).first_step == 66
    assert trend_of(np.ones(200)).slope(1 / 4).first_step == 150


def test_the_error_of_noise_is_the_standard_error_of_a_regression() -> None:
    """Noise that changes its sign each time is no more certain than independent noise."""
    x, losses = np.log2(np.arange(60) + 1), 3 + np.resize([0.1, -0.1], 60)
    (rise, _), covariance = np.polyfit(x, losses, 1, cov=True)
    slope = trend_of(losses).slope(1.0)

    assert slope.rise == pytest.approx(rise)
    assert slope.error == pytest.approx(covariance[0, 0] ** 0.5)


@pytest.mark.parametrize(("period", "largest"), [(12, 0.9), (150, 1.0)])
def test_losses_that_resemble_each_other_have_a_less_certain_slope(
    period: int, largest: float
) -> None:
    """The variance grows by (1 + r) / (1 - r), where r is their similarity, at most 0.9."""
    steps = np.arange(300)
    losses = 3 + np.sin(2 * np.pi * steps / period)
    residuals = residuals_of(steps, losses)
    similarity = residuals[1:] @ residuals[:-1] / (residuals @ residuals)
    _, covariance = np.polyfit(np.log2(steps + 1), losses, 1, cov=True)
    growth = (trend_of(losses).slope(1.0).error ** 2) / covariance[0, 0]

    assert largest - 0.1 < similarity < largest
    used = min(similarity, 0.9)
    assert growth == pytest.approx((1 + used) / (1 - used))


@pytest.mark.parametrize(
    ("count", "size"), [(2047, 1), (2049, 2), (4096, 4), (8195, 8), (16_384, 16)]
)
def test_a_long_run_is_kept_as_at_most_2_047_means(count: int, size: int) -> None:
    """At 2,048 blocks, two become one; losses that fill no block yet do not count."""
    losses = 5 - np.arange(count) / count
    trend = trend_of(losses)
    slope, end = trend.slope(1.0), trend.slope(1 / 4)
    blocks = count // size

    assert trend.count == count
    assert slope.first_step == (size - 1) // 2
    assert end.first_step == (blocks - round(blocks / 4)) * size + (size - 1) // 2
    assert slope.mean == pytest.approx(losses[: count // size * size].mean(), abs=1e-9)
    assert slope.error < np.inf
