"""LLVM's intermediate representation: what the operations of a program are in it."""

from __future__ import annotations

import struct

from gradsound.synth.voices.program import ROOM

LANES = ROOM  # frames at a time: the widest vectors, and several of narrower ones

FLOAT, WHOLE, TRUTH = f"<{LANES} x float>", f"<{LANES} x i32>", f"<{LANES} x i1>"
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
    "and": f"and {TRUTH} {{}}, {{}}",
    "or": f"or {TRUTH} {{}}, {{}}",
    "not": f"xor {TRUTH} {{}}, splat (i1 true)",
    "select": f"select {TRUTH} {{}}, {FLOAT} {{}}, {FLOAT} {{}}",
    **{
        name: f"call {FLOAT} @llvm.{intrinsic}.v{LANES}f32({FLOAT} {{}})"
        for name, intrinsic in INTRINSICS.items()
    },
}


class IrLines:
    """Instructions of one part of the module, each of which makes a name."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.lines: list[str] = []
        self._phis: list[str] = []
        self._grown: list[str] = []

    def __call__(self, instruction: str, *arguments: str) -> str:
        """Adds an instruction, its blanks filled in, and returns the name it makes."""
        name = f"%{self.part}.{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction.format(*arguments)}")
        return name

    def add(self, line: str) -> None:
        """Adds a line that makes none of its own."""
        self.lines.append(f"  {line}")

    def carry(self, kind: str, begin: IrLines, start: str, addend: str) -> str:
        """Makes what is carried around a loop: ``start`` at first, then ever more."""
        name = f"%{self.part}.carried{len(self._phis)}"
        back = f"[{start}, %{begin.part}], [{name}.next, %{self.part}]"
        self._phis.append(f"  {name} = phi {kind} {back}")
        add = "fadd" if "float" in kind else "add"
        self._grown.append(f"  {name}.next = {add} {kind} {name}, {addend}")
        return name

    def splat(self, kind: str, scalar: str) -> str:
        """A vector that has one number everywhere."""
        one = self(f"insertelement <{LANES} x {kind}> poison, {kind} {scalar}, i32 0")
        return self(
            f"shufflevector <{LANES} x {kind}> {one}, <{LANES} x {kind}> poison, "
            f"<{LANES} x i32> zeroinitializer"
        )

    def __str__(self) -> str:
        return "\n".join([*self._phis, *self.lines, *self._grown])


def constant(value: float) -> str:
    """A vector of a float32, as LLVM writes it: the bits of the double that is equal."""
    (single,) = struct.unpack("<f", struct.pack("<f", value))
    (bits,) = struct.unpack("<Q", struct.pack("<d", single))
    return f"splat (float 0x{bits:016X})"
