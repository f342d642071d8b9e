"""A voice as plain data: a short list of float32 operations, and what they mean.

numpy evaluates it here, LLVM in `gradsound.synth.kernels.llvm_kernel`. Both do these
operations in this order, none of them fused or left out, so they agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

Argument: TypeAlias = int | float  # int: an earlier value by its number, float: a constant
Operation: TypeAlias = tuple[str | Argument, ...]  # its name, then its arguments

# What a voice may ask for besides its phase; docs/voices.md says it to users.
CONTROLS = ("norm", "deviation", "depth")  # given with a note, and ramped through it
INPUTS = ("phase", "dt", "time", "noise", *CONTROLS)

ROOM = 16  # frames beyond a block that a kernel may read and write, adding nothing


@dataclass(frozen=True, slots=True)
class Program:
    """What a voice computes for each frame.

    Attributes:
        name: What to call the voice.
        inputs: Which of `INPUTS` it uses: the values 0, 1, ...
        operations: What it does: each makes the next value. The last is the result.
    """

    name: str
    inputs: tuple[str, ...]
    operations: tuple[Operation, ...]

    def to_data(self) -> dict[str, Any]:
        """As plain data, fit for JSON."""
        operations = [list(operation) for operation in self.operations]
        return {"name": self.name, "inputs": list(self.inputs), "operations": operations}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Program:
        """The program that `to_data` was asked of."""
        operations = tuple(tuple(operation) for operation in data["operations"])
        return cls(data["name"], tuple(data["inputs"]), operations)


def evaluate(program: Program, inputs: Mapping[str, NDArray[np.float32]]) -> Any:
    """Returns what a program makes of inputs, float32 of any shapes that broadcast."""
    values: dict[int, Any] = dict(enumerate(inputs[name] for name in program.inputs))
    last: dict[int, int] = {}  # by value: the operation after which nothing needs it
    for number, (_, *arguments) in enumerate(program.operations, len(program.inputs)):
        last.update((a, number) for a in arguments if type(a) is int)
    for number, (name, *arguments) in enumerate(program.operations, len(program.inputs)):
        values[number] = _NUMPY[str(name)](
            *(values[a] if type(a) is int else np.float32(a) for a in arguments)
        )
        for argument in {a for a in arguments if type(a) is int}:
            if last[argument] == number:
                del values[argument]  # or the memory of a long program leaves the cache
    return values[len(program.inputs) + len(program.operations) - 1]


def _exp2i(whole: NDArray[np.float32]) -> NDArray[np.float32]:
    """2 to the power of whole numbers within -126..127, by its bits."""
    return ((whole.astype(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)


_NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "rint": np.rint,
    "trunc": np.trunc,
    "exp2i": _exp2i,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "select": np.where,
}
