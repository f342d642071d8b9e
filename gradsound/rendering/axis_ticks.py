"""Ticks of the picture's axes: round norms and pitches, and their texts."""

from __future__ import annotations

from math import ceil, floor, log10

import numpy as np

_TICKS_MAX = 9  # on an axis; more would overlap
_MANTISSAS = ((1, 2, 5), (1, 3), (1,))  # finest first
_PLAIN = (1e-3, 1e6)  # numbers outside are in powers of ten


def log_ticks(low: float, high: float, most: int = _TICKS_MAX) -> list[float]:
    """Returns round numbers for a logarithmic axis.

    Args:
        low: Lower end of the axis, above 0.
        high: Upper end.
        most: How many there are at most, from 2 on; a range below 8 may have six.
    """
    first, last = floor(log10(low)), ceil(log10(high))
    if high / low < 8:
        return _linear_ticks(low, high)
    for mantissas in _MANTISSAS:
        exponents = range(first, last + 1)
        numbers = [float(f"{m}e{e}") for e in exponents for m in mantissas]
        ticks = [number for number in numbers if low <= number <= high]
        if len(ticks) <= most:
            return ticks
    stride = ceil((last - first + 1) / most)
    exponents = range(ceil(first / stride) * stride, last + 1, stride)
    numbers = [float(f"1e{exponent}") for exponent in exponents]
    return [number for number in numbers if low <= number <= high]


def format_tick(number: float) -> str:
    """Returns a number as a short text: 0.05, 10,000, 2e-5."""
    if number == 0 or _PLAIN[0] <= abs(number) < _PLAIN[1]:
        return f"{number:,.10g}" if abs(number) < 1 else f"{float(f'{number:.6g}'):,.10g}"
    mantissa, exponent = f"{number:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def format_hertz(hertz: float) -> str:
    """Returns a pitch as a short text: 87.3, 262, 2,637."""
    return f"{hertz:,.0f}" if hertz >= 100 else f"{hertz:.1f}"


def _linear_ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
    ticks = np.asarray(locator.tick_values(low, high), np.float64).tolist()
    return [float(f"{tick:.10g}") for tick in ticks if low <= tick <= high]
