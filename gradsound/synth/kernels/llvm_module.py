"""A kernel as LLVM's intermediate representation, as text.

It does what `gradsound.synth.kernels.numpy_kernel` does, in the same order and precision,
for 16 frames at a time; LLVM fits them to the vectors that a processor has. The way from a
function to this is that of C. S. Perone, "Tutorial on using LLVM to JIT PyTorch fx graphs
to native code (x86/arm/RISC-V/WASM), Part I: Scalars" (2022); here it is blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.synth.kernels.llvm_loop import FIELDS, FrameLoop
from gradsound.synth.kernels.llvm_ops import FLOAT, INTRINSICS, LANES, IrLines

if TYPE_CHECKING:
    from gradsound.synth.voices.program import Program

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
  %edge_more = icmp slt i64 {edge_count}, %to
  br i1 %edge_more, label %edge, label %edged
edged:
  %middles = icmp slt i64 %to, {fall}
  br i1 %middles, label %middle_begin, label %rounded
middle_begin:
{middle_begin}
  br label %middle
middle:
{middle}
  %middle_more = icmp slt i64 {middle_count}, {fall}
  br i1 %middle_more, label %middle, label %rounded
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


def kernel(program: Program, channels: int, name: str) -> str:
    """Returns a module with one function of that name, which is the kernel."""
    event = IrLines("event")
    fields = {
        field: event(f"extractvalue %event %record, {k}") for k, field in enumerate(FIELDS)
    }
    parts = _range(event, fields)
    for part, first, last in (("edge", "%from", "%to"), ("middle", "%to", parts["fall"])):
        frames = FrameLoop(part, event, fields, first, last)
        frames.write(program, channels, edged=part == "edge")
        parts |= {f"{part}_begin": str(frames.begin), part: str(frames.loop)}
        parts |= {f"{part}_count": frames.more}
    used = {INTRINSICS[str(op)] for op, *_ in program.operations if op in INTRINSICS}
    declared = [f"declare {FLOAT} @llvm.{one}.v{LANES}f32({FLOAT})" for one in sorted(used)]
    declared += [f"declare i64 @llvm.{one}.i64(i64, i64)" for one in ("smax", "smin")]
    return _MODULE.format(
        name=name,
        types=", ".join(FIELDS.values()),
        declarations="\n".join(declared),
        event=event,
        **parts,
    )


def _range(event: IrLines, fields: dict[str, str]) -> dict[str, str]:
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
