"""Encodes and decodes a run file as JSON Lines: a header, then one line for each step.

docs/run-format.md describes the format. Shapes: L layers.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.errors import RunFormatError
from gradsound.runs.json_objects import decode_object, excerpt, is_number, list_of
from gradsound.runs.model import Header
from gradsound.runs.step import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "gradsound-run"
VERSION = (1, 3)  # major, minor; a decoder refuses a newer major one, ignores unknown keys

NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# float32 rounds more to infinity.
NORM_MAX = float(np.finfo(np.float32).max) * (1 + 2**-25)
STEP_MAX = 2**53  # the largest whole number that every JSON reader keeps exact
TIME_MAX = 1e12  # seconds, 30,000 years; no run lasts longer
_VALUE_MAX = sys.float_info.max  # JSON allows larger numbers, which are not infinite

_encode_json = json.JSONEncoder(ensure_ascii=False).encode  # writes floats exactly, by repr


def encode_header(header: Header) -> bytes:
    """Returns the first line of a run file, with its newline."""
    fields: dict[str, object] = {
        "format": FORMAT,
        "version": ".".join(map(str, VERSION)),
        "start": header.start,
        **({"training": header.training} if header.training else {}),
        "note": header.comment,
        "layers": header.layers,
        "parameters": header.parameters,
    }
    if header.budget is not None:
        fields["budget"] = header.budget
    if header.first_step:
        fields["first_step"] = header.first_step
    if header.stages:
        fields["stages"] = header.stages
    # UTF-8 cannot encode a lone surrogate, so it becomes its JSON escape.
    return _encode_json(fields).encode("utf-8", "backslashreplace") + b"\n"


def encode_step(step: Step) -> bytes:
    """Returns the line of a step, with its newline.

    Nine significant digits keep every float32 norm unchanged.
    """
    optional = "" if step.raw is None else f', "raw": [{_encode_norms(step.raw, step)}]'
    if step.loss_scale is not None:
        optional += f', "scale": {step.loss_scale!r}'
    if step.skipped:
        optional += ', "skipped": true'
    if step.discarded:
        optional += ', "discarded": true'
    norms = _encode_norms(step.norms, step)
    number, time = step.number, step.time
    line = f'{{"step": {number}, "time": {time:.6f}, "norms": [{norms}]{optional}}}\n'
    if step.values:
        values = {name: _encode_value(float(value)) for name, value in step.values.items()}
        line = f'{line[:-2]}, "values": {_encode_json(values)}}}\n'
        return line.encode("utf-8", "backslashreplace")  # for the names, as in the header
    return line.encode()


def _encode_value(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _encode_norms(norms: NDArray[np.float32], step: Step) -> str:
    if np.isfinite(norms).all():  # nearly always; a single % for all norms is fast
        return ("%.9g, " * len(norms))[:-2] % tuple(norms.tolist())
    return ", ".join(map(_encode_norm, norms.tolist(), step.absent.tolist()))


def _encode_norm(norm: float, absent: bool) -> str:
    if absent:
        return "null"
    return f"{norm:.9g}" if math.isfinite(norm) else f'"{_encode_value(norm)}"'


def decode_header(line: bytes) -> Header:
    """Decodes the first line of a run file.

    Raises:
        RunFormatError: If the line is no header, or has a newer major version.
    """
    fields = _decode_format(line)
    _check_version(fields.get("version"))
    layers = list_of(str, fields.get("layers"))
    if not layers or len({*layers}) != len(layers):
        raise RunFormatError('expected "layers": a list of different names')
    parameters = list_of(int, fields.get("parameters"))
    if len(parameters) != len(layers):
        raise RunFormatError(f'expected "parameters": a list of {len(layers)} counts')
    budget: Any = fields.get("budget")
    if not (budget is None or (is_number(budget) and 0 < budget < 1)):
        raise RunFormatError(f'expected "budget": between 0 and 1, got {budget!r}')
    first_step = fields.get("first_step", 0)
    if not (type(first_step) is int and 0 <= first_step <= STEP_MAX):
        raise RunFormatError(f'expected "first_step": 0 or more, got {first_step!r}')
    start, comment = fields.get("start", ""), fields.get("note", "")
    if not (isinstance(start, str) and isinstance(comment, str)):
        raise RunFormatError('expected "start" and "note" to be texts')
    training = fields.get("training", "")
    if not isinstance(training, str):
        raise RunFormatError(f'expected "training" to be a text, got {training!r}')
    stages = list_of(int, fields.get("stages"))
    if fields.get("stages") is not None and len(stages) != len(layers):
        raise RunFormatError(f'expected "stages": a list of {len(layers)} numbers')
    return Header(
        layers=tuple(layers),
        parameters=tuple(parameters),
        start=start,
        comment=comment,
        budget=None if budget is None else float(budget),
        first_step=first_step,
        training=training,
        stages=tuple(stages),
    )


def _decode_format(line: bytes) -> dict[str, Any]:
    """Returns the fields of a header that has the right ``format``."""
    got = f'expected a run, which begins {{"format": "{FORMAT}", ...}}, got {excerpt(line)}'
    try:
        fields = decode_object(line)
    except RunFormatError as error:
        raise RunFormatError(got) from error
    if fields.get("format") != FORMAT:
        raise RunFormatError(got)
    return fields


def _check_version(version: object) -> None:
    major = version.partition(".")[0] if isinstance(version, str) else ""
    if not major.isdecimal():
        raise RunFormatError(f'expected "version" such as "1.0", got {version!r}')
    if int(major) > VERSION[0]:
        raise RunFormatError(
            f"written in run format {version}; this gradsound reads up to "
            f"{VERSION[0]}.x: install a newer one"
        )


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
    return Step(
        number, float(time), norms, absent, loss_scale, skipped, raw, values, discarded
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
