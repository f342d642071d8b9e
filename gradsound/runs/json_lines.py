"""A run as JSON Lines: the one format of our own, read and written line by line.

docs/run-format.md is its description. Shapes: L layers.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.errors import RunFormatError
from gradsound.runs.model import Header, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT = "gradsound-run"
VERSION = (1, 2)  # a reader refuses a newer first number, ignores what it does not know

_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NORM_MAX = float(np.finfo(np.float32).max) * (1 + 2**-25)  # above, float32 rounds to inf
_STEP_MAX = 2**53  # any JSON reader has whole numbers up to that
_TIME_MAX = 1e12  # seconds; a number that no run lasts
_VALUE_MAX = sys.float_info.max  # JSON may have larger ones, which are not infinite

_text = json.JSONEncoder(ensure_ascii=False).encode  # floats as repr: none is changed


def encode_header(header: Header) -> bytes:
    """The first line of a run, with its newline."""
    line: dict[str, object] = {
        "format": FORMAT,
        "version": ".".join(map(str, VERSION)),
        "start": header.start,
        "note": header.comment,
        "layers": header.layers,
        "parameters": header.parameters,
    }
    if header.budget is not None:
        line["budget"] = header.budget
    # A lone surrogate, which UTF-8 cannot have, becomes its JSON escape.
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def encode_step(step: Step) -> bytes:
    """One further line, with its newline; nine digits carry any float32 unchanged."""
    more = "" if step.raw is None else f', "raw": [{_encode_norms(step.raw, step)}]'
    if step.scale is not None:
        more += f', "scale": {step.scale!r}'
    if step.skipped:
        more += ', "skipped": true'
    norms = _encode_norms(step.norms, step)
    line = f'{{"step": {step.number}, "time": {step.time:.6f}, "norms": [{norms}]{more}}}\n'
    if step.values:
        line = f'{line[:-2]}, "values": {_encode_values(step.values)}}}\n'
        return line.encode("utf-8", "backslashreplace")  # names as in the header
    return line.encode()


def _encode_values(values: Mapping[str, float]) -> str:
    return _text({name: _encode_value(float(value)) for name, value in values.items()})


def _encode_value(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _encode_norms(norms: NDArray[np.float32], step: Step) -> str:
    if np.isfinite(norms).all():  # nearly always: one % for all of them is fast
        return ("%.9g, " * len(norms))[:-2] % tuple(norms.tolist())
    return ", ".join(map(_encode_norm, norms.tolist(), step.absent.tolist()))


def _encode_norm(norm: float, absent: bool) -> str:
    if absent:
        return "null"
    return f"{norm:.9g}" if math.isfinite(norm) else f'"{_encode_value(norm)}"'


def decode_header(line: bytes) -> Header:
    """Reads the first line of a run.

    Raises:
        RunFormatError: If it is not one, or one of a newer version.
    """
    expected = f'expected a run, which begins {{"format": "{FORMAT}", ...}}'
    try:
        found = _decode(line)
    except RunFormatError as error:
        raise RunFormatError(f"{expected}, got {_shown(line)}") from error
    if found.get("format") != FORMAT:
        raise RunFormatError(f"{expected}, got {_shown(line)}")
    version = found.get("version")
    major = version.partition(".")[0] if isinstance(version, str) else ""
    if not major.isdecimal():
        raise RunFormatError(f'expected "version" such as "1.0", got {version!r}')
    if int(major) > VERSION[0]:
        raise RunFormatError(
            f"written in run format {version}; this gradsound reads up to "
            f"{VERSION[0]}.x: install a newer one"
        )
    layers = _list_of(str, found.get("layers"))
    if not layers or len({*layers}) != len(layers):
        raise RunFormatError('expected "layers": a list of different names')
    parameters = _list_of(int, found.get("parameters"))
    if len(parameters) != len(layers):
        raise RunFormatError(f'expected "parameters": a list of {len(layers)} counts')
    budget: Any = found.get("budget")
    if not (budget is None or (_is_number(budget) and 0 < budget < 1)):
        raise RunFormatError(f'expected "budget": between 0 and 1, got {budget!r}')
    start, comment = found.get("start", ""), found.get("note", "")
    if not (isinstance(start, str) and isinstance(comment, str)):
        raise RunFormatError('expected "start" and "note" to be texts')
    return Header(
        layers=tuple(layers),
        parameters=tuple(parameters),
        start=start,
        comment=comment,
        budget=None if budget is None else float(budget),
    )


def decode_step(line: bytes, layers: int, after: int) -> Step:
    """Reads a further line of a run.

    Args:
        line: The line, with or without its newline.
        layers: How many layers the header names, L.
        after: The number of the step before, -1 if there is none.

    Raises:
        RunFormatError: If the line is not a step, or not one that may follow.
    """
    found = _decode(line)
    number = found.get("step")
    time: Any = found.get("time")
    if not (type(number) is int and after < number <= _STEP_MAX):
        raise RunFormatError(
            f'expected "step": a whole number above {after}, got {number!r}'
        )
    if not (_is_number(time) and 0 <= time <= _TIME_MAX):
        raise RunFormatError(f'expected "time": seconds since the start, got {time!r}')
    norms, absent = _decode_norms("norms", found.get("norms"), layers)
    raw = None
    if found.get("raw") is not None:
        raw, unknown = _decode_norms("raw", found["raw"], layers)
        if not np.array_equal(unknown, absent):
            raise RunFormatError(
                'expected "raw" to be null where "norms" are, and only there'
            )
    scale: Any = found.get("scale")
    if not (scale is None or (_is_number(scale) and 0 < scale <= _NORM_MAX)):
        raise RunFormatError(f'expected "scale": a number above 0, got {scale!r}')
    skipped = found.get("skipped", False)
    if not isinstance(skipped, bool):
        raise RunFormatError(f'expected "skipped": true or false, got {skipped!r}')
    scale = None if scale is None else float(scale)
    values = {} if found.get("values") is None else _decode_values(found["values"])
    return Step(number, float(time), norms, absent, scale, skipped, raw, values)


def _decode_values(values: object) -> dict[str, float]:
    if not isinstance(values, dict):
        raise RunFormatError(f'expected "values": numbers by name, got {values!r}')
    return {name: _decode_value(name, value) for name, value in values.items()}


def _decode_value(name: str, value: Any) -> float:
    if _is_number(value):
        if abs(value) <= _VALUE_MAX:
            return float(value)
    elif isinstance(value, str) and value in _NONFINITE:
        return _NONFINITE[value]
    raise RunFormatError(
        f'expected the value {name!r} to be a float64, "NaN", "Infinity" or "-Infinity", '
        f"got {value!r}"
    )


def _decode_norms(
    key: str, norms: object, layers: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if not (isinstance(norms, list) and len(norms) == layers):
        got = f"{len(norms)} of them" if isinstance(norms, list) else repr(norms)
        raise RunFormatError(f'expected "{key}": a list of {layers}, got {got}')
    for norm in norms:
        if _is_number(norm):
            if 0 <= norm <= _NORM_MAX:
                continue
        elif norm is None or (isinstance(norm, str) and norm in _NONFINITE):
            continue
        raise RunFormatError(
            'expected each norm to be a float32 of 0 or more, null, "NaN", "Infinity" '
            f'or "-Infinity", got {norm!r}'
        )
    absent = np.array([norm is None for norm in norms])
    values = [_NONFINITE[n] if isinstance(n, str) else n for n in norms]
    return np.array(values, np.float32), absent  # null becomes NaN


def _decode(line: bytes) -> dict[str, Any]:
    """Any JSON object; its deviations from the standard are refused."""
    try:
        found = json.loads(line.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RunFormatError(f"expected a JSON object, got {_shown(line)}") from error
    if not isinstance(found, dict):
        raise RunFormatError(f"expected a JSON object, got {_shown(line)}")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _list_of(kind: type, value: object) -> list[Any]:
    """The value if it is a list of that kind, an empty list if not."""
    if isinstance(value, list) and all(type(item) is kind for item in value):
        return value
    return []


def _is_number(value: object) -> bool:
    return type(value) in (int, float)  # True and False are no numbers here


def _shown(line: bytes) -> str:
    """The beginning of a line, fit for a message."""
    text = line[:40].decode("utf-8", "replace").rstrip("\r\n")
    return repr(text + "..." if len(line) > len(line[:40]) else text)
