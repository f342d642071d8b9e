"""The program of a voice: a list of float32 operations, as plain data.

numpy evaluates a program here; `gradsound.synth.kernels.llvm_kernel` compiles it. Both do
the operations in this order and neither fuses nor omits any, so their results are equal to
the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

Argument: TypeAlias = int | float  # int: number of an earlier value; float: a constant
Operation: TypeAlias = tuple[str | Argument, ...]  # name and arguments

# The parameters of a voice; docs/voices.md explains them to users.
CONTROLS = ("norm", "deviation", "depth")  # a note's own; linear between its two ends
INPUTS = ("phase", "dt", "time", "noise", *CONTROLS)

PADDING = 16  # frames after a block that a kernel may read and write, without changing them


@dataclass(frozen=True, slots=True)
class Program:
    """The operations by which a voice computes each sample.

    `gradsound.trace` makes one of a function. Wherever a voice is expected, its program
    will do.

    Attributes:
        name: Name of the voice.
        inputs: Those of `INPUTS` that the voice uses, as the values 0, 1, ...
        operations: Operations, each of which makes the next value. The last value is the
            sample.

    Example:
        >>> import gradsound
        >>> program = gradsound.trace(lambda phase: 2 * abs(phase) - 0.5)
        >>> program.inputs
        ('phase',)
        >>> program.operations
        (('abs', 0), ('mul', 1, 2.0), ('sub', 2, 0.5))
        >>> gradsound.Program.from_data(program.to_data()) == program
        True
    """

    name: str
    inputs: tuple[str, ...]
    operations: tuple[Operation, ...]

    def to_data(self) -> dict[str, Any]:
        """Returns the program as lists and dictionaries, fit for JSON."""
        operations = [list(operation) for operation in self.operations]
        return {"name": self.name, "inputs": list(self.inputs), "operations": operations}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Program:
        """Returns the program of data that `to_data` returned."""
        operations = tuple(tuple(operation) for operation in data["operations"])
        return cls(data["name"], tuple(data["inputs"]), operations)


def evaluate(program: Program, inputs: Mapping[str, NDArray[np.float32]]) -> Any:
    """Returns the result of a program.

    Args:
        program: The program.
        inputs: Values by input name, float32 of any shapes that broadcast.
    """
    values: dict[int, Any] = dict(enumerate(inputs[name] for name in program.inputs))
    last_use: dict[int, int] = {}  # by value: the last operation that needs it
    for number, (_, *arguments) in enumerate(program.operations, len(program.inputs)):
        last_use.update((a, number) for a in arguments if type(a) is int)
    for number, (name, *arguments) in enumerate(program.operations, len(program.inputs)):
        values[number] = _NUMPY[str(name)](
            *(values[a] if type(a) is int else np.float32(a) for a in arguments)
        )
        for argument in {a for a in arguments if type(a) is int}:
            if last_use[argument] == number:
                del values[argument]  # or the values of a long program leave the cache
    return values[len(program.inputs) + len(program.operations) - 1]


def _exp2i(exponent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns 2 to the power of whole numbers within -126..127, by float32's bits."""
    return ((exponent.astype(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)


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
