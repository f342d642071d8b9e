"""The functions that a voice may use, made of the operations that a program has.

sin, exp and arctan are polynomials written here once, so that they are the same wherever
they are computed. Their coefficients minimise the greatest error (Lawson's iteration, by
weighted least squares); it is named with each, and a test measures it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gradsound.errors import VoiceError
from gradsound.synth.voices.program import INPUTS
from gradsound.synth.voices.traced_value import TracedValue, emit, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TAU = 2 * math.pi
_HIGHEST_POWER = 16
_PHASE = INPUTS.index("phase")  # the value that it is

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
    """By Horner's rule, the constant coefficient first."""
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result = result * x + coefficient
    return result


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    if not isinstance(condition, TracedValue):  # a constant: what it says is known now
        return then if condition else otherwise
    if not condition.truth:
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


def _turns(x: Any) -> tuple[Any, bool]:
    """An angle in turns, and whether it is the phase itself, which is within a half."""
    if isinstance(x, TracedValue):
        made = x.tape.source(x)
        if made is not None and made[0] == "mul" and type(made[2]) is float:
            # sin(c y): c is divided now, so that sin(TAU phase) is exact in its argument
            turns = made[2] / TAU
            y: Any = TracedValue(x.tape, int(made[1]))
            if abs(turns - 1) < 2**-24:  # float32's 1, whatever precision TAU was given in
                return y, y.index == _PHASE
            return y * turns, False
    return x * (1 / TAU), False


def _sin(x: Any, ahead: float = 0.0) -> Any:
    """The sine of an angle that many turns ahead."""
    turns, within = _turns(x)
    if ahead:
        turns, within = turns + ahead, False
    if not within:
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
    grown = _exp(_clamp(x, -9.0, 9.0) * 2.0)
    return (grown - 1.0) / (grown + 1.0)


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
            f"powers of a value are 0.5 or whole numbers from 1 to {_HIGHEST_POWER}: write "
            "others with exp, sqrt or /"
        )
    result = x
    for _ in range(int(exponent) - 1):
        result = result * x
    return result


def _remainder(a: Any, b: Any) -> Any:
    return a - b * emit("floor", a / b)


def _truths(*values: Any) -> bool:
    return all(isinstance(value, TracedValue) and value.truth for value in values)


def _logical(name: str) -> Callable[..., Any]:
    def function(*truths: Any) -> Any:
        constants = [truth for truth in truths if not isinstance(truth, TracedValue)]
        if len(truths) == 2 and len(constants) == 1 and constants[0] in (0, 1):
            (value,) = (truth for truth in truths if isinstance(truth, TracedValue))
            return value if bool(constants[0]) == (name == "and") else name == "or"
        if not _truths(*truths):
            raise VoiceError(f"{name} needs comparisons, such as phase < 0")
        return emit(name, *truths)

    return function


def _xor(a: Any, b: Any) -> Any:
    if not _truths(a, b):
        raise VoiceError("xor needs comparisons, such as phase < 0")
    return emit("or", emit("and", a, emit("not", b)), emit("and", emit("not", a), b))


def _add(a: Any, b: Any) -> Any:
    return emit("or" if _truths(a, b) else "add", a, b)  # as torch and numpy have it


def _mul(a: Any, b: Any) -> Any:
    return emit("and" if _truths(a, b) else "mul", a, b)


# torch, numpy and Python have several names for the same.
_SEVERAL: Mapping[tuple[str, ...], Callable[..., Any]] = {
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
    ("pos", "positive", "float", "clone", "contiguous", "detach"): number,
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
    ("sign", "sgn"): lambda a: number(a > 0.0) - number(a < 0.0),
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
    name: function for names, function in _SEVERAL.items() for name in names
}
