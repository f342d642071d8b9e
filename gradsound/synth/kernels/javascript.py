"""A voice as JavaScript: a module for a browser's audio thread, a function a program.

JavaScript's numbers are doubles, which have over twice the digits of float32: each result,
rounded to float32, is what numpy makes, to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.voices.program import INPUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.synth.voices.program import Argument, Program

_MODULE = """\
// The voices of this page, made by kernels/javascript.py; worklet.js plays them.

const {{ abs, floor, fround, sqrt, trunc }} = Math;
const bits = new Int32Array(1);
const single = new Float32Array(bits.buffer);

// Adding this leaves no room for digits after the point, and rounds halves to even, which
// Math.round does not. A result of 0 has the sign of what it was made of.
const NO_FRACTION = 1.5 * 2 ** 52;
const LARGE = 2 ** 23; // all float32 from here on are whole

function rint(x) {{
  const whole = x + NO_FRACTION - NO_FRACTION;
  return abs(x) < LARGE ? whole || x * 0 : x;
}}

function exp2i(whole) {{
  bits[0] = (whole + 127) << 23;
  return single[0];
}}

globalThis.gradsoundVoices = [
{voices}];
"""
_VOICE = """\
  {{
    inputs: [{names}],
    evaluate(count, {{ {inputs} }}, out) {{
      for (let i = 0; i < count; i += 1) {{
{lines}
      }}
    }},
  }},
"""
_OPERATIONS = {
    "add": "fround({} + {})",
    "sub": "fround({} - {})",
    "mul": "fround({} * {})",
    "div": "fround({} / {})",
    "abs": "abs({})",
    "sqrt": "fround(sqrt({}))",
    "floor": "floor({})",
    "rint": "rint({})",
    "trunc": "trunc({})",
    "exp2i": "exp2i({})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "eq": "{} === {}",
    "and": "{} && {}",
    "or": "{} || {}",
    "not": "!{}",
    "select": "{} ? {} : {}",
}


def module(programs: Sequence[Program]) -> str:
    """Returns the source of a module that sets ``globalThis.gradsoundVoices``.

    That is an array of a voice for each program: ``inputs`` are the names of what it uses,
    ``evaluate(count, inputs, out)`` makes so many samples of arrays of those names.

    A program's name is not in it, so nothing of a user's is but numbers.
    """
    return _MODULE.format(voices="".join(map(_voice, programs)))


def _voice(program: Program) -> str:
    names = [INPUTS[INPUTS.index(name)] for name in program.inputs]  # ours, or ValueError
    lines = [f"const v{k} = {name}[i];" for k, name in enumerate(names)]
    for name, *arguments in program.operations:
        given = (_argument(one) for one in arguments if not isinstance(one, str))
        lines.append(f"const v{len(lines)} = {_OPERATIONS[str(name)].format(*given)};")
    lines.append(f"out[i] = v{len(lines) - 1};")
    return _VOICE.format(
        names=", ".join(f'"{name}"' for name in names),
        inputs=", ".join(names),
        lines="\n".join(f"        {line}" for line in lines),
    )


def _argument(argument: Argument) -> str:
    """An earlier value by its name, or a constant as the double that equals its float32."""
    if type(argument) is int:
        return f"v{argument}"
    written = repr(float(np.float32(argument)))
    return written.replace("inf", "Infinity").replace("nan", "NaN")
