"""The kernel in JavaScript: a module with a function for each program, for a browser.

JavaScript's numbers are doubles, with more than twice the digits of float32. So each
result, rounded to float32, equals numpy's to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.voices.program import INPUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.synth.voices.program import Argument, Program

_MODULE = """\
// The voices of this page, written by kernels/javascript.py; worklet.js plays them.

const {{ abs, floor, fround, sqrt, trunc }} = Math;
const bits = new Int32Array(1);
const single = new Float32Array(bits.buffer);

// A double as large as this has no digits after the point: adding it rounds halves to even,
// which Math.round does not. `x * 0` is a zero with the sign of x.
const NO_FRACTION = 1.5 * 2 ** 52;
const LARGE = 2 ** 23; // every float32 from here on is whole

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


def to_javascript(programs: Sequence[Program]) -> str:
    """Returns the source of a module that sets ``globalThis.gradsoundVoices``.

    That is an array with a voice for each program. A voice's ``inputs`` are the names of
    its inputs. Its ``evaluate(count, inputs, out)`` writes ``count`` samples to ``out``;
    ``inputs`` has an array for each name.

    The module contains no text of a user, not even a program's name: only numbers.

    Raises:
        ValueError: If a program has an unknown input.
        KeyError: If a program has an unknown operation.
    """
    return _MODULE.format(voices="".join(map(_voice, programs)))


def _voice(program: Program) -> str:
    names = [INPUTS[INPUTS.index(name)] for name in program.inputs]  # our text
    lines = [f"const v{k} = {name}[i];" for k, name in enumerate(names)]
    for name, *arguments in program.operations:
        operands = (_operand(one) for one in arguments if not isinstance(one, str))
        lines.append(f"const v{len(lines)} = {_OPERATIONS[str(name)].format(*operands)};")
    lines.append(f"out[i] = v{len(lines) - 1};")
    return _VOICE.format(
        names=", ".join(f'"{name}"' for name in names),
        inputs=", ".join(names),
        lines="\n".join(f"        {line}" for line in lines),
    )


def _operand(argument: Argument) -> str:
    """Returns the name of a value, or a constant as the double that equals its float32."""
    if type(argument) is int:
        return f"v{argument}"
    literal = repr(float(np.float32(argument)))
    return literal.replace("inf", "Infinity").replace("nan", "NaN")
