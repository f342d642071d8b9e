"""LLVM instructions: a program's operations as text, and the block they are added to."""

from __future__ import annotations

import struct

from gradsound.synth.voices.program import PADDING

LANES = PADDING  # frames a vector: the widest a processor has; LLVM splits it on others

FLOAT, INT, BOOL = f"<{LANES} x float>", f"<{LANES} x i32>", f"<{LANES} x i1>"
INTRINSICS = {
    "abs": "fabs",
    "sqrt": "sqrt",
    "floor": "floor",
    "rint": "rint",
    "trunc": "trunc",
}
OPERATIONS = {
    "add": f"fadd {FLOAT} {{}}, {{}}",
    "sub": f"fsub {FLOAT} {{}}, {{}}",
    "mul": f"fmul {FLOAT} {{}}, {{}}",
    "div": f"fdiv {FLOAT} {{}}, {{}}",
    "lt": f"fcmp olt {FLOAT} {{}}, {{}}",
    "le": f"fcmp ole {FLOAT} {{}}, {{}}",
    "eq": f"fcmp oeq {FLOAT} {{}}, {{}}",
    "and": f"and {BOOL} {{}}, {{}}",
    "or": f"or {BOOL} {{}}, {{}}",
    "not": f"xor {BOOL} {{}}, splat (i1 true)",
    "select": f"select {BOOL} {{}}, {FLOAT} {{}}, {FLOAT} {{}}",
    **{
        name: f"call {FLOAT} @llvm.{intrinsic}.v{LANES}f32({FLOAT} {{}})"
        for name, intrinsic in INTRINSICS.items()
    },
}


class BasicBlock:
    """Instructions of one basic block of a function, without its label and its branch.

    Args:
        label: The block's label, which begins every name that the block defines.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.instructions: list[str] = []
        self._phis: list[str] = []
        self._additions: list[str] = []

    def __call__(self, instruction: str, *operands: str) -> str:
        """Adds an instruction with a result, and returns the result's name.

        Args:
            instruction: The instruction, with ``{}`` in place of each of the operands.
            operands: Names of values, or constants.
        """
        name = f"%{self.label}.{len(self.instructions)}"
        self.instructions.append(f"  {name} = {instruction.format(*operands)}")
        return name

    def add(self, instruction: str) -> None:
        """Adds an instruction without a result."""
        self.instructions.append(f"  {instruction}")

    def accumulate(self, kind: str, before: BasicBlock, start: str, addend: str) -> str:
        """Adds a variable that grows with each pass of the loop; returns its name.

        Args:
            kind: LLVM's type of the variable.
            before: The block before the loop.
            start: The value in the first pass.
            addend: The growth from a pass to the next.
        """
        name = f"%{self.label}.carried{len(self._phis)}"
        sources = f"[{start}, %{before.label}], [{name}.next, %{self.label}]"
        self._phis.append(f"  {name} = phi {kind} {sources}")
        add = "fadd" if "float" in kind else "add"
        self._additions.append(f"  {name}.next = {add} {kind} {name}, {addend}")
        return name

    def splat(self, kind: str, scalar: str) -> str:
        """Adds a vector that has a scalar in every lane; returns its name."""
        one = self(f"insertelement <{LANES} x {kind}> poison, {kind} {scalar}, i32 0")
        return self(
            f"shufflevector <{LANES} x {kind}> {one}, <{LANES} x {kind}> poison, "
            f"<{LANES} x i32> zeroinitializer"
        )

    def __str__(self) -> str:
        return "\n".join([*self._phis, *self.instructions, *self._additions])


def splat_constant(value: float) -> str:
    """Returns a vector that has a float32 in every lane.

    LLVM writes a float32 as the bits of the double that equals it.
    """
    (single,) = struct.unpack("<f", struct.pack("<f", value))
    (bits,) = struct.unpack("<Q", struct.pack("<d", single))
    return f"splat (float 0x{bits:016X})"
