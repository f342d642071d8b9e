"""The voices of a page: each in JavaScript, and all in one WebAssembly module.

Both make the same samples. The module takes less time, but it needs llvmlite here, and
WebAssembly with SIMD in the browser.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from gradsound.synth.kernels.javascript import to_javascript
from gradsound.synth.kernels.native_code import compile_kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.synth.voices.program import Program

# Digits, because an AudioWorklet can neither load a file nor decode base64.
_MODULE = """
// All voices as a WebAssembly module; wasm_kernel.js compiles it.
globalThis.gradsoundModule = "{digits}";
"""


def to_page_voices(programs: Sequence[Program]) -> str:
    """Returns the source of ``voices.js``.

    It sets ``globalThis.gradsoundVoices`` as `to_javascript` does. If LLVM can compile the
    programs, it also sets ``globalThis.gradsoundModule``: a module in hexadecimal digits,
    whose function ``voiceK`` is the kernel of program K for two channels.

    Raises:
        ValueError, KeyError: As `to_javascript`.
    """
    source = to_javascript(programs)
    try:
        module = _compile(tuple(programs))
    except (ImportError, OSError, RuntimeError, ValueError):
        return source  # the same samples
    return source + _MODULE.format(digits=module.hex())


@lru_cache(maxsize=8)
def _compile(programs: tuple[Program, ...]) -> bytes:
    kernels = {f"voice{k}": (program, 2) for k, program in enumerate(programs)}
    return compile_kernels(kernels, "wasm32", keep=True)
