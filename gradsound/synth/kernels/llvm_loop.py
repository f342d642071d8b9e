"""The loop over an event's frames, as LLVM's intermediate representation.

There are three places for an instruction: once for an event, at the beginning of a loop,
and in the loop. What is carried from one vector of frames to the next are sums of whole
numbers, also those that are floats, so they are what they would be if made anew.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gradsound.synth.kernels.llvm_ops import (
    FLOAT,
    LANES,
    OPERATIONS,
    WHOLE,
    IrLines,
    constant,
)
from gradsound.synth.voices.functions import EDGE
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from gradsound.synth.voices.program import Argument, Program

FIELDS = {  # of an event
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
_LANES = "<" + ", ".join(f"i32 {lane}" for lane in range(LANES)) + ">"


class FrameLoop:
    """A loop over frames.

    Args:
        part: Its label; that of its beginning has ``_begin`` after it.
        event: What is done once for an event.
        fields: The event's fields, by name.
        first: The frame to begin with.
        last: The frame to end before.
    """

    def __init__(
        self, part: str, event: IrLines, fields: dict[str, str], first: str, last: str
    ) -> None:
        self.event, self.begin, self.loop = event, IrLines(f"{part}_begin"), IrLines(part)
        self._fields, self._first, self._last = fields, first, last

    def write(self, program: Program, channels: int, *, edged: bool) -> None:
        """Adds the sound of a program to every channel, with edges or without."""
        loop = self.loop
        sample = loop(OPERATIONS["mul"], self._result(program), self._gain(edged))
        if edged:  # and maybe cut off within a vector
            last = self.begin(f"trunc i64 {self._last} to i32")
            heard = loop(f"icmp slt {WHOLE} {self._frame}, {self.begin.splat('i32', last)}")
            sample = loop(OPERATIONS["select"], heard, sample, "zeroinitializer")
        counter = loop.carry("i64", self.begin, self._first, str(LANES))
        place = self.event(f"sub i64 {self._fields['first']}, %start")
        for channel in range(channels):
            panned = sample
            if channels > 1:
                pan = self._of_event("pan", channel)
                panned = loop(OPERATIONS["mul"], sample, self.event.splat("float", pan))
            if channel:
                place = self.event(f"add i64 {place}, %stride")
            row = self.event(f"getelementptr float, ptr %out, i64 {place}")
            there = loop(f"getelementptr float, ptr {row}, i64 {counter}")
            before = loop(f"load {FLOAT}, ptr {there}, align 4")
            total = loop(OPERATIONS["add"], before, panned)
            loop.add(f"store {FLOAT} {total}, ptr {there}, align 4")
        self.more = f"{counter}.next"

    def _result(self, program: Program) -> str:
        """What the program makes of its inputs."""
        values = [self._input(name) for name in program.inputs]

        def value(argument: Argument) -> str:
            return values[argument] if type(argument) is int else constant(argument)

        for name, *arguments in program.operations:
            given = [value(one) for one in arguments if not isinstance(one, str)]
            if name == "exp2i":
                values.append(self._exp2i(*given))
            else:
                values.append(self.loop(OPERATIONS[str(name)], *given))
        return values[-1]

    def _input(self, name: str) -> str:
        if name == "phase":
            return self._turns(self._phase, 2.0**-32)
        if name == "dt":
            return self._turns(self._increment, 2.0**-32)
        if name == "noise":
            return self._turns(self._noise(), 2.0**-31)
        if name == "time":
            period = self.event.splat("float", "%period")
            return self.loop(OPERATIONS["mul"], period, self._at)
        return self._line("controls", 2 * CONTROLS.index(name))

    def _gain(self, edged: bool) -> str:
        gain = self._line("gain", 0)
        if not edged:
            return gain
        loop, event = self.loop, self.event
        fade = event(f"sitofp i32 {self._fields['fade']} to float")
        slope = event.splat("float", event(f"fdiv float 1.0, {fade}"))
        end = event.splat("float", event(f"fsub float {self._whole}, 0.5"))
        risen = loop(OPERATIONS["add"], self._at, constant(0.5))
        rise = loop(OPERATIONS["mul"], risen, slope)
        fall = loop(OPERATIONS["mul"], loop(OPERATIONS["sub"], end, self._at), slope)
        nearer = loop(OPERATIONS["lt"], rise, fall)
        nearer = loop(OPERATIONS["select"], nearer, rise, fall)
        within = loop(OPERATIONS["lt"], nearer, constant(1))
        edge = loop(OPERATIONS["select"], within, self._edge(nearer), constant(1))
        return loop(OPERATIONS["mul"], gain, edge)

    def _of_event(self, field: str, k: int) -> str:
        return self.event(f"extractvalue {FIELDS[field]} {self._fields[field]}, {k}")

    def _line(self, field: str, k: int) -> str:
        """What goes on a line from one of an event's numbers to the next."""
        first, last = self._of_event(field, k), self._of_event(field, k + 1)
        rise = self.event(f"fsub float {last}, {first}")
        share = self.event(f"fdiv float 1.0, {self._whole}")
        slope = self.event.splat("float", self.event(f"fmul float {rise}, {share}"))
        gone = self.loop(OPERATIONS["mul"], slope, self._at)
        return self.loop(OPERATIONS["add"], self.event.splat("float", first), gone)

    def _turns(self, whole: str, scale: float) -> str:
        single = self.loop(f"sitofp {WHOLE} {whole} to {FLOAT}")
        return self.loop(OPERATIONS["mul"], single, constant(scale))

    @cached_property
    def _whole(self) -> str:
        """The event's length."""
        return self.event(f"sitofp i32 {self._fields['count']} to float")

    @cached_property
    def _start(self) -> str:
        """The first vector's frames."""
        first = self.begin(f"trunc i64 {self._first} to i32")
        return self.begin(f"add {WHOLE} {self.begin.splat('i32', first)}, {_LANES}")

    @cached_property
    def _frame(self) -> str:
        """The frames, as whole numbers."""
        return self.loop.carry(WHOLE, self.begin, self._start, f"splat (i32 {LANES})")

    @cached_property
    def _at(self) -> str:
        """The frames, as floats."""
        start = self.begin(f"sitofp {WHOLE} {self._start} to {FLOAT}")
        return self.loop.carry(FLOAT, self.begin, start, constant(LANES))

    @cached_property
    def _glides(self) -> tuple[str, str]:
        """What the pitch is at first, and half of how it grows."""
        increment, glide = self._fields["increment"], self._fields["glide"]
        return self.event.splat("i32", increment), self.event.splat("i32", glide)

    @cached_property
    def _increment(self) -> str:
        """How far the phase goes with each frame."""
        increment, glide = self._glides
        twice = self.event(f"shl {WHOLE} {glide}, splat (i32 1)")
        gone = self.begin(f"mul {WHOLE} {twice}, {self._start}")
        addend = self.event(f"mul {WHOLE} {twice}, splat (i32 {LANES})")
        return self.loop.carry(
            WHOLE, self.begin, self.begin(f"add {WHOLE} {increment}, {gone}"), addend
        )

    @cached_property
    def _phase(self) -> str:
        """The phase, whose growth grows by the same from each vector to the next."""
        begin, phase = self.begin, self.event.splat("i32", self._fields["phase"])
        increment, glide = self._glides
        base = self.event(f"sub {WHOLE} {increment}, {glide}")

        def after(vectors: int) -> str:
            i = begin(f"add {WHOLE} {self._start}, splat (i32 {vectors * LANES})")
            slope = begin(f"add {WHOLE} {base}, {begin(f'mul {WHOLE} {glide}, {i}')}")
            return begin(f"add {WHOLE} {phase}, {begin(f'mul {WHOLE} {i}, {slope}')}")

        here, there, beyond = map(after, range(3))
        growth = begin(f"sub {WHOLE} {there}, {here}")
        later = begin(f"sub {WHOLE} {beyond}, {there}")
        grown = self.loop.carry(
            WHOLE, begin, growth, begin(f"sub {WHOLE} {later}, {growth}")
        )
        return self.loop.carry(WHOLE, begin, here, grown)

    def _noise(self) -> str:
        loop, event, first = self.loop, self.event, self._fields["first"]
        begun = event.splat("i32", event(f"trunc i64 {first} to i32"))
        slot = event.splat("i32", event(f"mul i32 {self._fields['slot']}, 2654435769"))
        seed = loop(f"xor {WHOLE} {loop(f'add {WHOLE} {begun}, {self._frame}')}, {slot}")
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            seed = loop(
                f"xor {WHOLE} {seed}, {loop(f'lshr {WHOLE} {seed}, splat (i32 {shift})')}"
            )
            seed = loop(f"mul {WHOLE} {seed}, splat (i32 {factor})")
        return loop(f"xor {WHOLE} {seed}, {loop(f'lshr {WHOLE} {seed}, splat (i32 16)')}")

    def _exp2i(self, whole: str) -> str:
        bits = self.loop(f"fptosi {FLOAT} {whole} to {WHOLE}")
        bits = self.loop(f"add {WHOLE} {bits}, splat (i32 127)")
        bits = self.loop(f"shl {WHOLE} {bits}, splat (i32 23)")
        return self.loop(f"bitcast {WHOLE} {bits} to {FLOAT}")

    def _edge(self, share: str) -> str:
        """Raised cosine, from 0 at 0 to 1 at 1."""
        loop = self.loop
        angle = loop(OPERATIONS["sub"], share, constant(0.5))
        square = loop(OPERATIONS["mul"], angle, angle)
        result = constant(EDGE[-1])
        for coefficient in EDGE[-2::-1]:
            result = loop(OPERATIONS["mul"], result, square)
            result = loop(OPERATIONS["add"], result, constant(coefficient))
        return loop(
            OPERATIONS["add"], loop(OPERATIONS["mul"], angle, result), constant(0.5)
        )
