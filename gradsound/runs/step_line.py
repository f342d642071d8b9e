"""Encodes and decodes the line of a step in a run file, as JSON.

docs/run-format.md describes the format. Shapes: S steps, L layers.
"""

from __future__ import annotations

import math
import sys
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.errors import RunFormatError
from gradsound.runs.signals import known_signals
from gradsound.runs.step import Step
from gradsound.runs.strict_json import decode_object, encode_json, is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from gradsound.runs.step_block import StepBlock

try:  # nine times as fast for a hundred norms
    import orjson
except ImportError:  # the extra `fast`
    orjson = None  # type: ignore[assignment]

NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# float32 rounds more to infinity.
NORM_MAX = float(np.finfo(np.float32).max) * (1 + 2**-25)
STEP_MAX = 2**53  # the largest whole number that every JSON reader keeps exact
TIME_MAX = 1e12  # seconds, 30,000 years; no run lasts longer
_VALUE_MAX = sys.float_info.max  # JSON allows larger numbers, which are not infinite


def encode_block(block: StepBlock) -> bytes:
    """Returns the lines of steps, each with its newline.

    Nine significant digits keep every float32 norm unchanged; orjson writes only as many as
    that needs.
    """
    rows = block.numbers.tolist(), block.times.tolist()
    norms, more = _encode_rows(block.norms, block.absent), _encode_optional(block)
    lines = [
        f'{{"step": {number}, "time": {time:.6f}, "norms": [{own}]{optional}}}\n'
        for number, time, own, optional in zip(*rows, norms, more)
    ]
    return "".join(lines).encode("utf-8", "backslashreplace")  # of names, as in the header


def _encode_optional(block: StepBlock) -> Iterable[str]:
    """Returns the fields of each step that most have not."""
    rare = block.clipped | block.skipped | block.discarded | ~np.isnan(block.loss_scales)
    has_fields = bool(block.values) or bool(block.signals) or bool(rare.any())
    return map(_encode_fields, block) if has_fields else repeat("")


def _encode_fields(step: Step) -> str:
    fields = ""
    if step.raw is not None:
        fields += f', "raw": [{_encode_norms(step.raw, step.absent)}]'
    if step.loss_scale is not None:
        fields += f', "scale": {step.loss_scale!r}'
    if step.skipped:
        fields += ', "skipped": true'
    if step.discarded:
        fields += ', "discarded": true'
    if step.values:
        values = {name: _encode_value(float(value)) for name, value in step.values.items()}
        fields += f', "values": {encode_json(values)}'
    if step.signals:
        fields += f', "signals": {{{_encode_signals(step.signals)}}}'
    return fields


def _encode_value(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _encode_signals(signals: Mapping[str, NDArray[np.float32]]) -> str:
    return ", ".join(
        f"{encode_json(name)}: [{_encode_norms(numbers, np.isnan(numbers))}]"
        for name, numbers in signals.items()
    )


def _encode_rows(norms: NDArray[np.float32], absent: NDArray[np.bool_]) -> list[str]:
    """Returns the numbers of each row, both arrays of shape (S, L)."""
    if orjson is None:
        row = ("%.9g, " * norms.shape[1])[:-2]
        rows = [row % tuple(numbers) for numbers in norms.tolist()]
    else:
        array = np.ascontiguousarray(norms, np.float32)
        text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY).decode()
        rows = text[2:-2].split("],[")
    for k, text in enumerate(rows):
        if "n" in text:  # nan, inf or null, which are rare
            rows[k] = ", ".join(map(_encode_norm, norms[k].tolist(), absent[k].tolist()))
    return rows


def _encode_norms(norms: NDArray[np.float32], absent: NDArray[np.bool_]) -> str:
    return _encode_rows(norms[None], absent[None])[0]


def _encode_norm(norm: float, absent: bool) -> str:
    if absent:
        return "null"
    return f"{norm:.9g}" if math.isfinite(norm) else f'"{_encode_value(norm)}"'


def decode_step(line: bytes, layers: int, after: int) -> Step:
    """Decodes the line of a step.

    Args:
        line: The line, with or without its newline.
        layers: How many layers the header names, L.
        after: The number of the previous step, -1 if there is none.

    Raises:
        RunFormatError: If the line is no step, or its number is not above ``after``.
    """
    fields = decode_object(line)
    number = fields.get("step")
    time: Any = fields.get("time")
    if not (type(number) is int and after < number <= STEP_MAX):
        raise RunFormatError(
            f'expected "step": a whole number above {after}, got {number!r}'
        )
    if not (is_number(time) and 0 <= time <= TIME_MAX):
        raise RunFormatError(f'expected "time": seconds since the start, got {time!r}')
    norms, absent = _decode_norms("norms", fields.get("norms"), layers)
    raw = None
    if fields.get("raw") is not None:
        raw, raw_absent = _decode_norms("raw", fields["raw"], layers)
        if not np.array_equal(raw_absent, absent):
            raise RunFormatError(
                'expected "raw" to be null where "norms" are, and only there'
            )
    loss_scale: Any = fields.get("scale")
    if not (loss_scale is None or (is_number(loss_scale) and 0 < loss_scale <= NORM_MAX)):
        raise RunFormatError(f'expected "scale": a number above 0, got {loss_scale!r}')
    discarded = _decode_flag("discarded", fields)
    skipped = _decode_flag("skipped", fields) or discarded
    loss_scale = None if loss_scale is None else float(loss_scale)
    values = {} if fields.get("values") is None else _decode_values(fields["values"])
    signals = {}
    if fields.get("signals") is not None:
        signals = _decode_signals(fields["signals"], layers)
    return Step(
        number,
        float(time),
        norms,
        absent,
        loss_scale,
        skipped,
        raw,
        values,
        discarded,
        known_signals(signals),
    )


def _decode_flag(key: str, fields: dict[str, Any]) -> bool:
    flag = fields.get(key, False)
    if not isinstance(flag, bool):
        raise RunFormatError(f'expected "{key}": true or false, got {flag!r}')
    return flag


def _decode_values(values: object) -> dict[str, float]:
    if not isinstance(values, dict):
        raise RunFormatError(f'expected "values": numbers by name, got {values!r}')
    return {name: _decode_value(name, value) for name, value in values.items()}


def _decode_value(name: str, value: Any) -> float:
    if is_number(value):
        if abs(value) <= _VALUE_MAX:
            return float(value)
    elif isinstance(value, str) and value in NONFINITE:
        return NONFINITE[value]
    raise RunFormatError(
        f'expected the value {name!r} to be a float64, "NaN", "Infinity" or "-Infinity", '
        f"got {value!r}"
    )


def _decode_signals(signals: object, layers: int) -> dict[str, NDArray[np.float32]]:
    if not isinstance(signals, dict):
        raise RunFormatError(f'expected "signals": lists by name, got {signals!r}')
    return {name: _decode_signal(name, own, layers) for name, own in signals.items()}


def _decode_signal(name: str, numbers: Any, layers: int) -> NDArray[np.float32]:
    if not (isinstance(numbers, list) and len(numbers) == layers):
        got = f"{len(numbers)} of them" if isinstance(numbers, list) else repr(numbers)
        raise RunFormatError(
            f"expected the signal {name!r} to be a list of {layers}, got {got}"
        )
    for number in numbers:
        is_known = 0 <= number <= NORM_MAX if is_number(number) else number == "Infinity"
        if not (is_known or number is None):
            raise RunFormatError(
                f"expected each number of the signal {name!r} to be a float32 of 0 or "
                f'more, null or "Infinity", got {number!r}'
            )
    return np.array([NONFINITE.get(n, n) for n in numbers], np.float32)


def _decode_norms(
    key: str, norms: object, layers: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns norms and which of them are absent, both of shape (L,)."""
    if not (isinstance(norms, list) and len(norms) == layers):
        got = f"{len(norms)} of them" if isinstance(norms, list) else repr(norms)
        raise RunFormatError(f'expected "{key}": a list of {layers}, got {got}')
    for norm in norms:
        if is_number(norm):
            if 0 <= norm <= NORM_MAX:
                continue
        elif norm is None or (isinstance(norm, str) and norm in NONFINITE):
            continue
        raise RunFormatError(
            'expected each norm to be a float32 of 0 or more, null, "NaN", "Infinity" '
            f'or "-Infinity", got {norm!r}'
        )
    absent = np.array([norm is None for norm in norms])
    values = [NONFINITE[n] if isinstance(n, str) else n for n in norms]
    return np.array(values, np.float32), absent  # numpy makes NaN of None
