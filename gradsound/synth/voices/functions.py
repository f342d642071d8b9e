"""The functions of torch and numpy that a voice may use, built from program operations.

sin, exp and arctan are polynomials, so that every kernel computes the same values. Their
coefficients minimise the greatest error (Lawson's iteration of weighted least squares). A
comment states each error, and a test measures it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gradsound.errors import VoiceError
from gradsound.synth.voices.program import INPUTS
from gradsound.synth.voices.traced_value import TracedValue, emit, to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TAU = 2 * math.pi
_HIGHEST_POWER = 16
_PHASE = INPUTS.index("phase")  # number of the phase's value

# sin(2 pi t) = t (1/4 - t^2) P(t^2) for t within -1/2..1/2, to 1.1e-7; zeros are exact
SIN = (25.13273038, -64.83468111, 67.04389802, -38.12319671, 12.23330104)
# 2^x = P(x) for x within -1/2..1/2, to 7.5e-8 of it
_EXP2 = (1.00000007, 0.69314697, 0.2402212, 0.05550713, 0.00967554, 0.00132765)
# arctan(x) = x P(x^2) for x within -1..1, to 3.8e-8
_ARCTAN = (
    0.99999934,
    -0.33329861,
    0.19946566,
    -0.1390863,
    0.09642197,
    -0.05591233,
    0.02186296,
    -0.00405457,
)
# sin(pi x) / 2 = x P(x^2) for x within -1/2..1/2, to 3e-7: the edges of notes
EDGE = (1.57079101, -2.5835714, 1.270949515, -0.2773181)


def polynomial(x: Any, coefficients: Sequence[Any]) -> Any:
    """Evaluates a polynomial by Horner's rule; the constant coefficient is the first."""
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result = result * x + coefficient
    return result


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    if not isinstance(condition, TracedValue):  # a constant
        return then if condition else otherwise
    if not condition.is_bool:
        raise VoiceError("where needs a comparison as its condition, such as phase < 0")
    return emit("select", condition, then, otherwise)


def _minimum(a: Any, b: Any) -> Any:
    if not isinstance(a, TracedValue) and not isinstance(b, TracedValue):
        return min(a, b)
    return emit("select", emit("lt", a, b), a, b)


def _maximum(a: Any, b: Any) -> Any:
    if not isinstance(a, TracedValue) and not isinstance(b, TracedValue):
        return max(a, b)
    return emit("select", emit("lt", b, a), a, b)


def _clamp(x: Any, low: Any = None, high: Any = None, **named: Any) -> Any:
    if not named.keys() <= {"min", "max", "a_min", "a_max"}:
        raise TypeError
    low = named.get("min", named.get("a_min", low))
    high = named.get("max", named.get("a_max", high))
    x = x if low is None else _maximum(x, low)
    return x if high is None else _minimum(x, high)


def _to_turns(x: Any) -> tuple[Any, bool]:
    """Converts an angle to turns.

    Returns:
        The turns, and whether they are the phase itself, which is within -1/2..1/2.
    """
    if isinstance(x, TracedValue):
        source = x.tape.source(x)
        if source is not None and source[0] == "mul" and type(source[2]) is float:
            # sin(c y): c / TAU is one constant, so that TAU * phase cancels to the phase
            factor = source[2] / TAU
            y: Any = TracedValue(x.tape, int(source[1]))
            if abs(factor - 1) < 2**-24:  # float32's 1, for TAU in any precision
                return y, y.index == _PHASE
            return y * factor, False
    return x * (1 / TAU), False


def _sin(x: Any, offset: float = 0.0) -> Any:
    """Returns the sine of an angle plus an offset in turns."""
    turns, reduced = _to_turns(x)
    if offset:
        turns, reduced = turns + offset, False
    if not reduced:
        turns = turns - emit("rint", turns)
    square = turns * turns
    return turns * (0.25 - square) * polynomial(square, SIN)


def _exp2(x: Any) -> Any:
    bounded = _clamp(x, -126.0, 126.0)
    whole = emit("rint", bounded)
    return polynomial(bounded - whole, _EXP2) * emit("exp2i", whole)


def _exp(x: Any) -> Any:
    return _exp2(x * math.log2(math.e))


def _tanh(x: Any) -> Any:
    exponential = _exp(_clamp(x, -9.0, 9.0) * 2.0)
    return (exponential - 1.0) / (exponential + 1.0)


def _arctan(x: Any) -> Any:
    size = emit("abs", x)
    steep = size > 1.0
    small = _where(steep, 1.0 / size, size)
    angle = small * polynomial(small * small, _ARCTAN)
    angle = _where(steep, math.pi / 2 - angle, angle)
    return _where(x < 0.0, -angle, angle)


def _power(x: Any, exponent: Any) -> Any:
    if isinstance(exponent, TracedValue) and not isinstance(x, TracedValue) and x > 0:
        return _exp2(_mul(exponent, math.log2(x)))
    if not isinstance(exponent, TracedValue) and exponent == 0.5:
        return emit("sqrt", x)
    if isinstance(exponent, TracedValue) or exponent not in range(1, _HIGHEST_POWER + 1):
        raise VoiceError(
            "the power of a value must be 0.5 or a whole number from 1 to "
            f"{_HIGHEST_POWER}: write others with exp, sqrt or /"
        )
    result = x
    for _ in range(int(exponent) - 1):
        result = result * x
    return result


def _remainder(a: Any, b: Any) -> Any:
    return a - b * emit("floor", a / b)


def _all_bool(*values: Any) -> bool:
    return all(isinstance(value, TracedValue) and value.is_bool for value in values)


def _logical(name: str) -> Callable[..., Any]:
    def function(*operands: Any) -> Any:
        constants = [one for one in operands if not isinstance(one, TracedValue)]
        if len(operands) == 2 and len(constants) == 1 and constants[0] in (0, 1):
            (value,) = (one for one in operands if isinstance(one, TracedValue))
            return value if bool(constants[0]) == (name == "and") else name == "or"
        if not _all_bool(*operands):
            raise VoiceError(f"{name} needs comparisons, such as phase < 0")
        return emit(name, *operands)

    return function


def _xor(a: Any, b: Any) -> Any:
    if not _all_bool(a, b):
        raise VoiceError("xor needs comparisons, such as phase < 0")
    return emit("or", emit("and", a, emit("not", b)), emit("and", emit("not", a), b))


def _add(a: Any, b: Any) -> Any:
    return emit("or" if _all_bool(a, b) else "add", a, b)  # as in torch and numpy


def _mul(a: Any, b: Any) -> Any:
    return emit("and" if _all_bool(a, b) else "mul", a, b)


# Each function by its names in torch, numpy and Python.
_BY_NAMES: Mapping[tuple[str, ...], Callable[..., Any]] = {
    ("add",): _add,
    ("sub", "subtract"): lambda a, b: emit("sub", a, b),
    ("rsub",): lambda a, b: b - a,
    ("mul", "multiply"): _mul,
    ("div", "divide", "truediv", "true_divide"): lambda a, b: emit("div", a, b),
    ("rdiv", "rtruediv"): lambda a, b: b / a,
    ("floordiv", "floor_divide"): lambda a, b: emit("floor", a / b),
    ("mod", "remainder"): _remainder,
    ("pow", "power", "float_power"): _power,
    ("neg", "negative"): lambda a: a * -1.0,
    ("pos", "positive", "float", "clone", "contiguous", "detach"): to_number,
    ("abs", "absolute", "fabs"): lambda a: emit("abs", a),
    ("sqrt",): lambda a: emit("sqrt", a),
    ("rsqrt",): lambda a: 1.0 / emit("sqrt", a),
    ("square",): lambda a: a * a,
    ("reciprocal",): lambda a: 1.0 / a,
    ("floor",): lambda a: emit("floor", a),
    ("ceil",): lambda a: -emit("floor", -a),
    ("round", "rint"): lambda a: emit("rint", a),
    ("trunc", "fix"): lambda a: emit("trunc", a),
    ("frac",): lambda a: a - emit("trunc", a),
    ("lt", "less"): lambda a, b: emit("lt", a, b),
    ("le", "less_equal"): lambda a, b: emit("le", a, b),
    ("gt", "greater"): lambda a, b: emit("lt", b, a),
    ("ge", "greater_equal"): lambda a, b: emit("le", b, a),
    ("eq", "equal"): lambda a, b: emit("eq", a, b),
    ("ne", "not_equal"): lambda a, b: emit("not", emit("eq", a, b)),
    ("and", "logical_and", "bitwise_and"): _logical("and"),
    ("or", "logical_or", "bitwise_or"): _logical("or"),
    ("xor", "logical_xor", "bitwise_xor"): _xor,
    ("invert", "logical_not", "bitwise_not"): _logical("not"),
    ("where",): _where,
    ("minimum", "fmin"): _minimum,
    ("maximum", "fmax"): _maximum,
    ("clamp", "clip"): _clamp,
    ("relu",): lambda a: _maximum(a, 0.0),
    ("sign", "sgn"): lambda a: to_number(a > 0.0) - to_number(a < 0.0),
    ("sin",): _sin,
    ("cos",): lambda a: _sin(a, 0.25),
    ("tan",): lambda a: _sin(a) / _sin(a, 0.25),
    ("exp",): _exp,
    ("exp2",): _exp2,
    ("tanh",): _tanh,
    ("sigmoid",): lambda a: 1.0 / (_exp(-a) + 1.0),
    ("atan", "arctan"): _arctan,
    ("lerp",): lambda a, b, weight: a + weight * (b - a),
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    name: function for names, function in _BY_NAMES.items() for name in names
}
