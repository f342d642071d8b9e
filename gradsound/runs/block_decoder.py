"""Decodes many lines of a run file at once, as arrays.

It decodes what a writer writes. Of anything else it says nothing: `step_line` then decodes
line by line, more slowly, and names what is wrong.

Shapes: S steps, L layers.
"""

from __future__ import annotations

import json
import struct
from itertools import chain, starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.runs.signals import known_signals
from gradsound.runs.step import NO_SIGNALS
from gradsound.runs.step_block import LoggedValue, StepBlock
from gradsound.runs.step_line import NONFINITE, NORM_MAX, STEP_MAX, TIME_MAX
from gradsound.runs.strict_json import refuse_constant

try:
    import orjson
except ImportError:  # an extra
    orjson = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from numpy.typing import NDArray

_NUMBERS = {int, float}
# The keys, types and ranges of a damaged line may be any.
_LINE_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)


class _IrregularError(ValueError):
    """A line is not as a writer writes it."""


def decode_block(lines: Sequence[bytes], layers: int, after: int) -> StepBlock | None:
    """Decodes the lines of successive steps.

    Args:
        lines: One or more whole lines.
        layers: How many layers the header names, L.
        after: The number of the step before, -1 if there is none.

    Returns:
        The steps. None if a line is no step, or is written in an unusual way.
    """
    try:
        steps = _decode_json(_join(lines))
        if len(steps) != len(lines):
            return None
        return _to_block(steps, layers, after)
    except _LINE_ERRORS:
        return None


def _join(lines: Sequence[bytes]) -> bytes:
    """Returns the array of JSON with some lines, in a single copy of them."""
    parts = [*lines]
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    return b",".join(parts)


def _decode_json(text: bytes) -> Any:
    if orjson is None:
        return json.loads(text, parse_constant=refuse_constant)
    return orjson.loads(text)


def _to_block(steps: list[dict[str, Any]], layers: int, after: int) -> StepBlock:
    numbers = _to_array([step["step"] for step in steps], "q", {int})
    _check(after < numbers[0] and numbers[-1] <= STEP_MAX)
    _check(bool((numbers[1:] > numbers[:-1]).all()))
    times = _to_array([step["time"] for step in steps])
    _check(times.min() >= 0 and times.max() <= TIME_MAX)
    norms, absent = _decode_norms([step["norms"] for step in steps], layers)
    raw, clipped, scales = None, np.zeros(len(steps), bool), np.full(len(steps), np.nan)
    discarded = skipped = clipped
    values = [step.get("values") for step in steps]
    signals: Mapping[str, NDArray[np.float32]] = NO_SIGNALS
    # Most steps have these keys only: step, time, norms, and perhaps values.
    if max(map(len, steps)) > (3 if None in values else 4):
        raw, clipped = _decode_raw([step.get("raw") for step in steps], norms, absent)
        scales = _decode_scales([step.get("scale") for step in steps])
        discarded = _decode_flags([step.get("discarded", False) for step in steps])
        skipped = _decode_flags([step.get("skipped", False) for step in steps])
        signals = _decode_signals([step.get("signals") for step in steps], layers)
    return StepBlock(
        numbers,
        times,
        norms,
        absent,
        scales,
        skipped | discarded,
        discarded,
        raw,
        clipped,
        _decode_values(values),
        signals=signals,
    )


def _check(holds: bool) -> None:
    if not holds:
        raise _IrregularError


def _to_array(
    numbers: Sequence[Any], code: str = "d", types: Set[type] = _NUMBERS
) -> NDArray[Any]:
    """Returns numbers as an array, shape (S,).

    struct takes numbers only, in half the time of a look at types.

    Args:
        numbers: S of them.
        code: Their type as struct and numpy have it.
        types: Their types in Python.
    """
    array = np.frombuffer(struct.pack(f"{len(numbers)}{code}", *numbers), code)
    if ((array == 0) | (array == 1)).any():  # struct takes true and false for numbers
        _check({*map(type, numbers)} <= types)
    return array


def _decode_norms(
    rows: list[list[Any]], layers: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns norms and which of them are absent, both of shape (S, L)."""
    shape = len(rows), layers
    try:  # nearly always, as in `_to_array`
        packed = b"".join(starmap(struct.Struct(f"{layers}d").pack, rows))
    except struct.error:
        return _decode_odd_norms(rows, shape)
    flat = np.frombuffer(packed)
    lowest = flat.min()
    _check(lowest >= 0 and flat.max() <= NORM_MAX)
    if lowest == 0 or (flat == 1).any():
        _check({*map(type, chain.from_iterable(rows))} <= _NUMBERS)
    return flat.reshape(shape).astype(np.float32), np.zeros(shape, bool)


def _decode_odd_norms(
    rows: list[list[Any]], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns norms, some of which are absent or not finite, as `_decode_norms`."""
    _check({*map(type, rows)} == {list} and {*map(len, rows)} == {shape[1]})
    norms = [*chain.from_iterable(rows)]
    _check({*map(type, norms)} <= {*_NUMBERS, type(None), str})
    absent = np.array([norm is None for norm in norms])
    nonfinite = np.array([type(norm) is str for norm in norms])
    flat = np.array([NONFINITE[n] if type(n) is str else n for n in norms], float)
    _check(bool((nonfinite | absent | ((flat >= 0) & (flat <= NORM_MAX))).all()))
    return flat.reshape(shape).astype(np.float32), absent.reshape(shape)


def _decode_raw(
    rows: list[list[Any] | None], norms: NDArray[np.float32], absent: NDArray[np.bool_]
) -> tuple[NDArray[np.float32] | None, NDArray[np.bool_]]:
    """Returns the norms before clipping, and which steps have them."""
    clipped = np.array([row is not None for row in rows])
    if not clipped.any():
        return None, clipped
    known = [row for row in rows if row is not None]
    raw, raw_absent = _decode_norms(known, norms.shape[1])
    _check(bool(np.array_equal(raw_absent, absent[clipped])))
    everything = norms.copy()
    everything[clipped] = raw
    return everything, clipped


def _decode_scales(scales: list[float | None]) -> NDArray[np.float64]:
    known = [scale for scale in scales if scale is not None]
    if not known:
        return np.full(len(scales), np.nan)
    array = _to_array(known)
    _check(array.min() > 0 and array.max() <= NORM_MAX)
    return np.array([np.nan if scale is None else scale for scale in scales], np.float64)


def _decode_flags(flags: list[bool]) -> NDArray[np.bool_]:
    _check({*map(type, flags)} == {bool})
    return np.array(flags)


def _decode_signals(
    of_steps: list[dict[str, Any] | None], layers: int
) -> Mapping[str, NDArray[np.float32]]:
    """Returns the signals of steps by name, each of shape (S, L)."""
    _check({*map(type, of_steps)} <= {dict, type(None)})
    signals = {}
    for name in dict.fromkeys(chain.from_iterable(filter(None, of_steps))):
        has_name = [name in (of_step or ()) for of_step in of_steps]
        rows = [of_step[name] for of_step in of_steps if of_step and name in of_step]
        numbers, absent = _decode_norms(rows, layers)
        _check(not (np.isneginf(numbers) | (np.isnan(numbers) & ~absent)).any())
        signals[name] = np.full((len(of_steps), layers), np.nan, np.float32)
        signals[name][has_name] = numbers
    return known_signals(signals)


def _decode_values(values: list[dict[str, Any] | None]) -> dict[str, LoggedValue]:
    """Returns the values of steps by name."""
    _check({*map(type, values)} <= {dict, type(None)})
    rows, known = np.arange(len(values)), [of_step for of_step in values if of_step]
    if len(known) < len(values):
        rows = np.array([row for row, of_step in enumerate(values) if of_step], np.intp)
    if not known:
        return {}
    try:
        columns = {name: [*map(itemgetter(name), known)] for name in known[0]}
    except KeyError:
        columns = {}
    if len(columns) * len(known) == sum(map(len, known)):  # nearly always
        return {name: LoggedValue(rows, _decode_numbers(c)) for name, c in columns.items()}
    decoded = {}
    for name in dict.fromkeys(chain.from_iterable(known)):
        has_name = [name in of_step for of_step in known]
        numbers = [of_step[name] for of_step in known if name in of_step]
        decoded[name] = LoggedValue(rows[has_name], _decode_numbers(numbers))
    return decoded


def _decode_numbers(numbers: list[Any]) -> NDArray[np.float64]:
    """Returns the numbers of one value."""
    try:
        array = _to_array(numbers)
    except struct.error:  # some are not finite
        _check({*map(type, numbers)} <= {*_NUMBERS, str})
        _check(all(np.isfinite(n) for n in numbers if type(n) is not str))
        return np.array([NONFINITE[n] if type(n) is str else n for n in numbers], float)
    _check(bool(np.isfinite(array).all()))
    return array
