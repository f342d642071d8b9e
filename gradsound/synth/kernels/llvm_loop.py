"""The loop over the frames of an event, as LLVM instructions: phase, inputs, edges, gain.

An instruction belongs to one of three blocks, by how often it must run: once an event, once
before the loop, or once a vector of frames. Variables that grow from vector to vector are
sums of whole numbers, floats included, so that they are exact.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gradsound.synth.kernels.llvm_ops import (
    FLOAT,
    INT,
    LANES,
    OPERATIONS,
    BasicBlock,
    splat_constant,
)
from gradsound.synth.voices.functions import EDGE
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from gradsound.synth.voices.program import Argument, Program

FIELDS = {  # of `gradsound.synth.events.EVENT`
    "first": "i64",
    "count": "i32",
    "slot": "i32",
    "phase": "i32",
    "increment": "i32",
    "glide": "i32",
    "fade": "i32",
    "gain": "[2 x float]",
    "pan": "[2 x float]",
    "controls": f"[{2 * len(CONTROLS)} x float]",
}
_LANE_NUMBERS = "<" + ", ".join(f"i32 {lane}" for lane in range(LANES)) + ">"


class FrameLoop:
    """A loop over frames of an event.

    Args:
        label: Label of the loop; the block before it has ``_begin`` appended.
        event: Block that runs once an event.
        fields: Names of the event's fields.
        first: Name of the first frame.
        last: Name of the frame after the last.

    Attributes:
        event: As given.
        begin: Block before the loop.
        body: Block of the loop.
    """

    def __init__(
        self,
        label: str,
        event: BasicBlock,
        fields: dict[str, str],
        first: str,
        last: str,
    ) -> None:
        self.event = event
        self.begin, self.body = BasicBlock(f"{label}_begin"), BasicBlock(label)
        self._fields, self._first, self._last = fields, first, last

    def write(self, program: Program, channels: int, *, edged: bool) -> str:
        """Adds the instructions that mix a program's samples into every channel.

        Returns:
            The name of the next vector's first frame.
        """
        body = self.body
        sample = body(OPERATIONS["mul"], self._result(program), self._gain(edged))
        if edged:  # the event may end within a vector
            last = self.begin(f"trunc i64 {self._last} to i32")
            within = body(f"icmp slt {INT} {self._frame}, {self.begin.splat('i32', last)}")
            sample = body(OPERATIONS["select"], within, sample, "zeroinitializer")
        counter = body.accumulate("i64", self.begin, self._first, str(LANES))
        offset = self.event(f"sub i64 {self._fields['first']}, %start")
        for channel in range(channels):
            panned = sample
            if channels > 1:
                pan = self._element("pan", channel)
                panned = body(OPERATIONS["mul"], sample, self.event.splat("float", pan))
            if channel:
                offset = self.event(f"add i64 {offset}, %stride")
            row = self.event(f"getelementptr float, ptr %out, i64 {offset}")
            address = body(f"getelementptr float, ptr {row}, i64 {counter}")
            before = body(f"load {FLOAT}, ptr {address}, align 4")
            total = body(OPERATIONS["add"], before, panned)
            body.add(f"store {FLOAT} {total}, ptr {address}, align 4")
        return f"{counter}.next"

    def _result(self, program: Program) -> str:
        """Adds the operations of the program; returns the name of its last value."""
        values = [self._input(name) for name in program.inputs]

        def value(argument: Argument) -> str:
            if type(argument) is int:
                return values[argument]
            return splat_constant(argument)

        for name, *arguments in program.operations:
            operands = [value(one) for one in arguments if not isinstance(one, str)]
            if name == "exp2i":
                values.append(self._exp2i(*operands))
            else:
                values.append(self.body(OPERATIONS[str(name)], *operands))
        return values[-1]

    def _input(self, name: str) -> str:
        if name == "phase":
            return self._scaled(self._phase, 2.0**-32)
        if name == "dt":
            return self._scaled(self._increment, 2.0**-32)
        if name == "noise":
            return self._scaled(self._noise(), 2.0**-31)
        if name == "time":
            period = self.event.splat("float", "%period")
            return self.body(OPERATIONS["mul"], period, self._frame_as_float)
        return self._ramp("controls", 2 * CONTROLS.index(name))

    def _gain(self, edged: bool) -> str:
        gain = self._ramp("gain", 0)
        if not edged:
            return gain
        body, event, frame = self.body, self.event, self._frame_as_float
        fade = event(f"sitofp i32 {self._fields['fade']} to float")
        slope = event.splat("float", event(f"fdiv float 1.0, {fade}"))
        end = event.splat("float", event(f"fsub float {self._count}, 0.5"))
        risen = body(OPERATIONS["add"], frame, splat_constant(0.5))
        rise = body(OPERATIONS["mul"], risen, slope)
        fall = body(OPERATIONS["mul"], body(OPERATIONS["sub"], end, frame), slope)
        nearer = body(OPERATIONS["lt"], rise, fall)
        nearer = body(OPERATIONS["select"], nearer, rise, fall)
        within = body(OPERATIONS["lt"], nearer, splat_constant(1))
        cosine = self._raised_cosine(nearer)
        edge = body(OPERATIONS["select"], within, cosine, splat_constant(1))
        return body(OPERATIONS["mul"], gain, edge)

    def _element(self, field: str, k: int) -> str:
        return self.event(f"extractvalue {FIELDS[field]} {self._fields[field]}, {k}")

    def _ramp(self, field: str, k: int) -> str:
        """Adds the line from element k of a field to the next; returns its name."""
        first, last = self._element(field, k), self._element(field, k + 1)
        rise = self.event(f"fsub float {last}, {first}")
        share = self.event(f"fdiv float 1.0, {self._count}")
        slope = self.event.splat("float", self.event(f"fmul float {rise}, {share}"))
        change = self.body(OPERATIONS["mul"], slope, self._frame_as_float)
        return self.body(OPERATIONS["add"], self.event.splat("float", first), change)

    def _scaled(self, integers: str, factor: float) -> str:
        floats = self.body(f"sitofp {INT} {integers} to {FLOAT}")
        return self.body(OPERATIONS["mul"], floats, splat_constant(factor))

    @cached_property
    def _count(self) -> str:
        """The event's number of frames, a float."""
        return self.event(f"sitofp i32 {self._fields['count']} to float")

    @cached_property
    def _first_frames(self) -> str:
        """The frames of the loop's first vector, integers."""
        first = self.begin(f"trunc i64 {self._first} to i32")
        return self.begin(f"add {INT} {self.begin.splat('i32', first)}, {_LANE_NUMBERS}")

    @cached_property
    def _frame(self) -> str:
        """The frames of the current vector, integers."""
        lanes = f"splat (i32 {LANES})"
        return self.body.accumulate(INT, self.begin, self._first_frames, lanes)

    @cached_property
    def _frame_as_float(self) -> str:
        """The frames of the current vector, floats."""
        start = self.begin(f"sitofp {INT} {self._first_frames} to {FLOAT}")
        return self.body.accumulate(FLOAT, self.begin, start, splat_constant(LANES))

    @cached_property
    def _pitch(self) -> tuple[str, str]:
        """The event's increment and its glide."""
        increment, glide = self._fields["increment"], self._fields["glide"]
        return self.event.splat("i32", increment), self.event.splat("i32", glide)

    @cached_property
    def _increment(self) -> str:
        """The increment of the phase at each frame."""
        increment, glide = self._pitch
        twice = self.event(f"shl {INT} {glide}, splat (i32 1)")
        change = self.begin(f"mul {INT} {twice}, {self._first_frames}")
        addend = self.event(f"mul {INT} {twice}, splat (i32 {LANES})")
        start = self.begin(f"add {INT} {increment}, {change}")
        return self.body.accumulate(INT, self.begin, start, addend)

    @cached_property
    def _phase(self) -> str:
        """The phase at each frame.

        It is quadratic in the frame, so its growth from vector to vector grows by a
        constant: two additions in place of a polynomial.
        """
        begin, phase = self.begin, self.event.splat("i32", self._fields["phase"])
        increment, glide = self._pitch
        base = self.event(f"sub {INT} {increment}, {glide}")

        def after(vectors: int) -> str:
            i = begin(f"add {INT} {self._first_frames}, splat (i32 {vectors * LANES})")
            slope = begin(f"add {INT} {base}, {begin(f'mul {INT} {glide}, {i}')}")
            return begin(f"add {INT} {phase}, {begin(f'mul {INT} {i}, {slope}')}")

        first, second, third = map(after, range(3))
        growth = begin(f"sub {INT} {second}, {first}")
        next_growth = begin(f"sub {INT} {third}, {second}")
        constant = begin(f"sub {INT} {next_growth}, {growth}")
        growth = self.body.accumulate(INT, begin, growth, constant)
        return self.body.accumulate(INT, begin, first, growth)

    def _noise(self) -> str:
        body, event, first = self.body, self.event, self._fields["first"]
        start = event.splat("i32", event(f"trunc i64 {first} to i32"))
        slot = event.splat("i32", event(f"mul i32 {self._fields['slot']}, 2654435769"))
        seed = body(f"xor {INT} {body(f'add {INT} {start}, {self._frame}')}, {slot}")
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            shifted = body(f"lshr {INT} {seed}, splat (i32 {shift})")
            seed = body(f"xor {INT} {seed}, {shifted}")
            seed = body(f"mul {INT} {seed}, splat (i32 {factor})")
        return body(f"xor {INT} {seed}, {body(f'lshr {INT} {seed}, splat (i32 16)')}")

    def _exp2i(self, exponent: str) -> str:
        bits = self.body(f"fptosi {FLOAT} {exponent} to {INT}")
        bits = self.body(f"add {INT} {bits}, splat (i32 127)")
        bits = self.body(f"shl {INT} {bits}, splat (i32 23)")
        return self.body(f"bitcast {INT} {bits} to {FLOAT}")

    def _raised_cosine(self, share: str) -> str:
        """Adds the raised cosine from 0 at 0 to 1 at 1; returns its name."""
        body = self.body
        angle = body(OPERATIONS["sub"], share, splat_constant(0.5))
        square = body(OPERATIONS["mul"], angle, angle)
        result = splat_constant(EDGE[-1])
        for coefficient in EDGE[-2::-1]:
            result = body(OPERATIONS["mul"], result, square)
            result = body(OPERATIONS["add"], result, splat_constant(coefficient))
        scaled = body(OPERATIONS["mul"], angle, result)
        return body(OPERATIONS["add"], scaled, splat_constant(0.5))
