"""A kernel as LLVM's intermediate representation, as text.

It does what `gradsound.synth.reference` does, in the same order and precision, for 16
frames at a time; LLVM fits them to the vectors that a processor has. The way from a
function to this is that of C. S. Perone, "Tutorial on using LLVM to JIT PyTorch fx graphs
to native code (x86/arm/RISC-V/WASM), Part I: Scalars" (2022); here it is blocks.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

from gradsound.synth.functions import EDGE
from gradsound.synth.program import CONTROLS

if TYPE_CHECKING:
    from gradsound.synth.program import Argument, Program

LANES = 16  # frames at a time: the widest vectors there are, and more in flight elsewhere

_F, _I, _B = f"<{LANES} x float>", f"<{LANES} x i32>", f"<{LANES} x i1>"
_INTRINSICS = {
    "abs": "fabs",
    "sqrt": "sqrt",
    "floor": "floor",
    "rint": "rint",
    "trunc": "trunc",
}
_OPERATIONS = {
    "add": f"fadd {_F} {{}}, {{}}",
    "sub": f"fsub {_F} {{}}, {{}}",
    "mul": f"fmul {_F} {{}}, {{}}",
    "div": f"fdiv {_F} {{}}, {{}}",
    "lt": f"fcmp olt {_F} {{}}, {{}}",
    "le": f"fcmp ole {_F} {{}}, {{}}",
    "eq": f"fcmp oeq {_F} {{}}, {{}}",
    "and": f"and {_B} {{}}, {{}}",
    "or": f"or {_B} {{}}, {{}}",
    "not": f"xor {_B} {{}}, splat (i1 true)",
    "select": f"select {_B} {{}}, {_F} {{}}, {_F} {{}}",
    **{
        name: f"call {_F} @llvm.{intrinsic}.v{LANES}f32({_F} {{}})"
        for name, intrinsic in _INTRINSICS.items()
    },
}
_FIELDS = {  # of an event
    "first": "i64",
    "count": "i32",
    "slot": "i32",
    "phase": "i32",
    "step": "i32",
    "glide": "i32",
    "fade": "i32",
    "gain": "[2 x float]",
    "pan": "[2 x float]",
    "controls": f"[{2 * len(CONTROLS)} x float]",
}
# An event is rendered in two rounds: its rising edge and its middle, then its falling edge
# and nothing. So the middle, most of it, does no work for edges. All but the last frames
# are whole vectors; what is too much of the last is 0, and beyond the block there is room.
_MODULE = """\
%event = type {{ {types} }}
{declarations}
define void @{name}(ptr noalias %out, i64 %stride, i64 %frames, i64 %start, float %period,
                    i64 %events, ptr noalias readonly %list) #0 {{
entry:
  %end = add i64 %start, %frames
  %any = icmp sgt i64 %events, 0
  br i1 %any, label %event, label %done
event:
  %k = phi i64 [0, %entry], [%next_k, %next]
  %where = getelementptr %event, ptr %list, i64 %k
  %record = load %event, ptr %where
{event}
  %heard = icmp slt i64 {begin}, {stop}
  br i1 %heard, label %round, label %next
round:
  %from = phi i64 [{begin}, %event], [{fall}, %rounded]
  %to = phi i64 [{rise}, %event], [{stop}, %rounded]
  %edges = icmp slt i64 %from, %to
  br i1 %edges, label %edge_begin, label %edged
edge_begin:
{edge_begin}
  br label %edge
edge:
{edge}
  br i1 %edge.more, label %edge, label %edged
edged:
  %middles = icmp slt i64 %to, {fall}
  br i1 %middles, label %middle_begin, label %rounded
middle_begin:
{middle_begin}
  br label %middle
middle:
{middle}
  br i1 %middle.more, label %middle, label %rounded
rounded:
  %falls = icmp slt i64 %to, {stop}
  br i1 %falls, label %round, label %next
next:
  %next_k = add nuw nsw i64 %k, 1
  %again = icmp slt i64 %next_k, %events
  br i1 %again, label %event, label %done
done:
  ret void
}}
attributes #0 = {{ nounwind "prefer-vector-width"="512" }}
"""


class Lines:
    """Instructions of one part of the module, each of which makes a name."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.lines: list[str] = []

    def __call__(self, instruction: str, *arguments: str) -> str:
        """Adds an instruction, its blanks filled in, and returns the name it makes."""
        name = f"%{self.part}.{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction.format(*arguments)}")
        return name

    def add(self, line: str) -> None:
        """Adds a line that makes none of its own."""
        self.lines.append(f"  {line}")

    def splat(self, kind: str, scalar: str) -> str:
        """A vector that has one number everywhere."""
        one = self(f"insertelement <{LANES} x {kind}> poison, {kind} {scalar}, i32 0")
        return self(
            f"shufflevector <{LANES} x {kind}> {one}, <{LANES} x {kind}> poison, "
            f"<{LANES} x i32> zeroinitializer"
        )

    def __str__(self) -> str:
        return "\n".join(self.lines)


def kernel(program: Program, channels: int, name: str) -> str:
    """Returns a module with one function of that name, which is the kernel."""
    event = Lines("event")
    fields = {
        field: event(f"extractvalue %event %record, {k}") for k, field in enumerate(_FIELDS)
    }
    parts = _range(event, fields)
    for part, counted in (("edge", ("%from", "%to")), ("middle", ("%to", parts["fall"]))):
        begin, loop = Lines(f"{part}_begin"), Lines(part)
        _loop(program, channels, fields, event, begin, loop, counted)
        parts |= {begin.part: str(begin), part: str(loop)}
    used = {_INTRINSICS[str(op)] for op, *_ in program.operations if op in _INTRINSICS}
    declared = [f"declare {_F} @llvm.{one}.v{LANES}f32({_F})" for one in sorted(used)]
    declared += [f"declare i64 @llvm.{one}.i64(i64, i64)" for one in ("smax", "smin")]
    return _MODULE.format(
        name=name,
        types=", ".join(_FIELDS.values()),
        declarations="\n".join(declared),
        event=event,
        **parts,
    )


def constant(value: float) -> str:
    """A vector of a float32, as LLVM writes it: the bits of the double that is equal."""
    (single,) = struct.unpack("<f", struct.pack("<f", value))
    (bits,) = struct.unpack("<Q", struct.pack("<d", single))
    return f"splat (float 0x{bits:016X})"


def _range(event: Lines, fields: dict[str, str]) -> dict[str, str]:
    """Where the event begins and stops in the block, and its edges end and begin."""

    def least(a: str, b: str) -> str:
        return event(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def most(a: str, b: str) -> str:
        return event(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    first = fields["first"]
    count = event("sext i32 {} to i64", fields["count"])
    fade = event("sext i32 {} to i64", fields["fade"])
    begin = most("0", event("sub i64 %start, {}", first))
    stop = least(count, event("sub i64 %end, {}", first))
    # Both edges are as long as their last vector: only the last of all is not full.
    edge = event("sub i64 {}, {}", most(fade, begin), begin)
    edge = event(f"add i64 {{}}, {LANES - 1}", edge)
    edge = event("add i64 {}, {}", begin, event(f"and i64 {{}}, {-LANES}", edge))
    rise = least(edge, stop)
    middle = event(
        "sub i64 {}, {}", least(event("sub i64 {}, {}", count, fade), stop), rise
    )
    middle = event(f"and i64 {{}}, {-LANES}", most("0", middle))
    fall = event("add i64 {}, {}", rise, middle)
    return {"begin": begin, "stop": stop, "rise": rise, "fall": fall}


def _loop(
    program: Program,
    channels: int,
    fields: dict[str, str],
    event: Lines,
    begin: Lines,
    loop: Lines,
    counted: tuple[str, str],
) -> None:
    """A loop over frames, and what is done before it and for all of an event."""
    edged = loop.part == "edge"
    first, last = counted
    pending: list[str] = []  # how what is carried from vector to vector goes on

    def carried(kind: str, start: str, addend: str) -> str:
        """What begins as ``start`` and grows by ``addend``."""
        name = f"%{loop.part}.c{len(pending)}"
        loop.add(f"{name} = phi {kind} [{start}, %{begin.part}], [{name}.n, %{loop.part}]")
        add = "fadd" if "float" in kind else "add"
        pending.append(f"{name}.n = {add} {kind} {name}, {addend}")
        return name

    lanes = "<" + ", ".join(f"i32 {lane}" for lane in range(LANES)) + ">"
    start = begin.splat("i32", begin(f"trunc i64 {first} to i32"))
    i0 = begin(f"add {_I} {start}, {lanes}")
    # Carried are sums of whole numbers, which are exact. LLVM's phis come first in a block,
    # so all that can be needed is carried; what is not goes as dead code.
    counter = carried("i64", first, str(LANES))
    i = carried(_I, i0, f"splat (i32 {LANES})")
    at = carried(_F, begin(f"sitofp {_I} {i0} to {_F}"), constant(LANES))
    glide = event.splat("i32", fields["glide"])
    step = event.splat("i32", fields["step"])
    base = event(f"sub {_I} {step}, {glide}")

    def after(vector: str) -> str:
        """The phase at some frames, i (step - glide + glide i) + phase."""
        slope = begin(f"add {_I} {base}, {begin(f'mul {_I} {glide}, {vector}')}")
        gone = begin(f"mul {_I} {vector}, {slope}")
        return begin(f"add {_I} {event.splat('i32', fields['phase'])}, {gone}")

    later = [begin(f"add {_I} {i0}, splat (i32 {k * LANES})") for k in (1, 2)]
    here, there, beyond = after(i0), *map(after, later)
    grows = begin(f"sub {_I} {there}, {here}")
    steeper = begin(f"sub {_I} {begin(f'sub {_I} {beyond}, {there}')}, {grows}")
    growth = carried(_I, grows, steeper)
    phase = carried(_I, here, growth)
    twice = event(f"shl {_I} {glide}, splat (i32 1)")
    steps = begin(f"add {_I} {step}, {begin(f'mul {_I} {twice}, {i0}')}")
    dt = carried(_I, steps, event(f"mul {_I} {twice}, splat (i32 {LANES})"))

    whole = event("sitofp i32 {} to float", fields["count"])
    share = event("fdiv float 1.0, {}", whole)

    def line(field: str, k: int) -> str:
        pair = [
            event(f"extractvalue {_FIELDS[field]} {fields[field]}, {k + j}") for j in (0, 1)
        ]
        slope = event("fmul float {}, {}", event("fsub float {1}, {0}", *pair), share)
        slope = loop(f"fmul {_F} {event.splat('float', slope)}, {at}")
        return loop(f"fadd {_F} {event.splat('float', pair[0])}, {slope}")

    def turns(phase: str, scale: float) -> str:
        return loop(f"fmul {_F} {loop(f'sitofp {_I} {phase} to {_F}')}, {constant(scale)}")

    inputs = {"phase": lambda: turns(phase, 2.0**-32), "dt": lambda: turns(dt, 2.0**-32)}
    inputs["time"] = lambda: loop(f"fmul {_F} {event.splat('float', '%period')}, {at}")
    inputs["noise"] = lambda: turns(_noise(event, loop, fields, i), 2.0**-31)
    for k, control in enumerate(CONTROLS):
        inputs[control] = partial(line, "controls", 2 * k)
    values = [inputs[name]() for name in program.inputs]

    def value(argument: Argument) -> str:
        return values[argument] if type(argument) is int else constant(argument)

    for operation, *arguments in program.operations:
        given = [value(argument) for argument in arguments if not isinstance(argument, str)]
        if operation == "exp2i":
            values.append(_exp2i(loop, *given))
        else:
            values.append(loop(_OPERATIONS[str(operation)], *given))

    gain = line("gain", 0)
    if edged:
        fade = event("sitofp i32 {} to float", fields["fade"])
        slope = event.splat("float", event("fdiv float 1.0, {}", fade))
        rise = loop(f"fmul {_F} {loop(f'fadd {_F} {at}, splat (float 0.5)')}, {slope}")
        end = event.splat("float", event("fsub float {}, 0.5", whole))
        fall = loop(f"fmul {_F} {loop(f'fsub {_F} {end}, {at}')}, {slope}")
        nearer = loop(_OPERATIONS["lt"], rise, fall)
        nearer = loop(_OPERATIONS["select"], nearer, rise, fall)
        within = loop(_OPERATIONS["lt"], nearer, constant(1))
        edge = loop(_OPERATIONS["select"], within, _edge(loop, nearer), constant(1))
        gain = loop(_OPERATIONS["mul"], gain, edge)
    sample = loop(_OPERATIONS["mul"], values[-1], gain)
    if edged:
        stop = begin.splat("i32", begin(f"trunc i64 {last} to i32"))
        heard = loop(f"icmp slt {_I} {i}, {stop}")
        sample = loop(_OPERATIONS["select"], heard, sample, "zeroinitializer")
    place = event("sub i64 {}, %start", fields["first"])  # of frame 0, in the block
    for channel in range(channels):
        panned = sample
        if channels > 1:
            pan = event(f"extractvalue [2 x float] {fields['pan']}, {channel}")
            panned = loop(_OPERATIONS["mul"], sample, event.splat("float", pan))
        if channel:
            place = event("add i64 {}, %stride", place)
        out = event("getelementptr float, ptr %out, i64 {}", place)
        there = loop(f"getelementptr float, ptr {out}, i64 {counter}")
        total = loop(f"fadd {_F} {loop(f'load {_F}, ptr {there}, align 4')}, {panned}")
        loop.add(f"store {_F} {total}, ptr {there}, align 4")
    for addition in pending:
        loop.add(addition)
    loop.add(f"%{loop.part}.more = icmp slt i64 %{loop.part}.c0.n, {last}")


def _noise(event: Lines, loop: Lines, fields: dict[str, str], i: str) -> str:
    first = event.splat("i32", event("trunc i64 {} to i32", fields["first"]))
    slot = event.splat("i32", event("mul i32 {}, 2654435769", fields["slot"]))
    seed = loop(f"xor {_I} {loop(f'add {_I} {first}, {i}')}, {slot}")
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        seed = loop(f"xor {_I} {seed}, {loop(f'lshr {_I} {seed}, splat (i32 {shift})')}")
        seed = loop(f"mul {_I} {seed}, splat (i32 {factor})")
    return loop(f"xor {_I} {seed}, {loop(f'lshr {_I} {seed}, splat (i32 16)')}")


def _exp2i(loop: Lines, whole: str) -> str:
    bits = loop(f"add {_I} {loop(f'fptosi {_F} {whole} to {_I}')}, splat (i32 127)")
    return loop(f"bitcast {_I} {loop(f'shl {_I} {bits}, splat (i32 23)')} to {_F}")


def _edge(loop: Lines, share: str) -> str:
    angle = loop(_OPERATIONS["sub"], share, constant(0.5))
    square = loop(_OPERATIONS["mul"], angle, angle)
    result = constant(EDGE[-1])
    for coefficient in EDGE[-2::-1]:
        result = loop(_OPERATIONS["mul"], result, square)
        result = loop(_OPERATIONS["add"], result, constant(coefficient))
    return loop(_OPERATIONS["add"], loop(_OPERATIONS["mul"], angle, result), constant(0.5))
