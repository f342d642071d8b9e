"""The kernel as an LLVM module in text form: the function around the loops over frames.

It computes what `gradsound.synth.kernels.numpy_kernel` computes, in the same order and
precision, for vectors of 16 frames; LLVM splits them into the vectors of the processor. The
way from a function to machine code follows C. S. Perone, "Tutorial on using LLVM to JIT
PyTorch fx graphs to native code (x86/arm/RISC-V/WASM), Part I: Scalars" (2022), here for
blocks in place of scalars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.synth.kernels.llvm_loop import FIELDS, FrameLoop
from gradsound.synth.kernels.llvm_ops import FLOAT, INTRINSICS, LANES, BasicBlock

if TYPE_CHECKING:
    from gradsound.synth.voices.program import Program

# Each event takes two rounds: the rising edge with the middle, then the falling edge. So
# the loop over the middle, which has most of the frames, does no work for edges. Only the
# last vector of an event may be partial: the kernel adds 0 to its other frames, and the
# padding after the block takes them.
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
  %audible = icmp slt i64 {begin}, {stop}
  br i1 %audible, label %round, label %next
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


def to_llvm_ir(program: Program, channels: int, name: str) -> str:
    """Returns the text of a module with one function, the kernel of a program.

    Args:
        program: The program.
        channels: 1 or 2.
        name: Name of the function.
    """
    event = BasicBlock("event")
    fields = {
        field: event(f"extractvalue %event %record, {k}") for k, field in enumerate(FIELDS)
    }
    texts = _frame_range(event, fields)
    for label, first, last in (("edge", "%from", "%to"), ("middle", "%to", texts["fall"])):
        loop = FrameLoop(label, event, fields, first, last)
        next_frame = loop.write(program, channels, edged=label == "edge")
        texts |= {f"{label}_begin": str(loop.begin), label: str(loop.body)}
        texts |= {f"{label}_count": next_frame}
    used = {INTRINSICS[str(op)] for op, *_ in program.operations if op in INTRINSICS}
    declared = [f"declare {FLOAT} @llvm.{one}.v{LANES}f32({FLOAT})" for one in sorted(used)]
    declared += [f"declare i64 @llvm.{one}.i64(i64, i64)" for one in ("smax", "smin")]
    return _MODULE.format(
        name=name,
        types=", ".join(FIELDS.values()),
        declarations="\n".join(declared),
        event=event,
        **texts,
    )


def _frame_range(event: BasicBlock, fields: dict[str, str]) -> dict[str, str]:
    """Returns the names of four of the event's frames.

    ``begin`` and ``stop`` are its first frame in the block and the one after its last;
    ``rise`` is the end of its rising edge, ``fall`` the beginning of its falling one.
    """

    def minimum(a: str, b: str) -> str:
        return event(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def maximum(a: str, b: str) -> str:
        return event(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    first = fields["first"]
    count = event("sext i32 {} to i64", fields["count"])
    fade = event("sext i32 {} to i64", fields["fade"])
    begin = maximum("0", event("sub i64 %start, {}", first))
    stop = minimum(count, event("sub i64 %end, {}", first))
    # Edges and middle are whole vectors, so that only the event's last one may be partial.
    edge = event("sub i64 {}, {}", maximum(fade, begin), begin)
    edge = event(f"add i64 {{}}, {LANES - 1}", edge)
    edge = event("add i64 {}, {}", begin, event(f"and i64 {{}}, {-LANES}", edge))
    rise = minimum(edge, stop)
    middle = event(
        "sub i64 {}, {}", minimum(event("sub i64 {}, {}", count, fade), stop), rise
    )
    middle = event(f"and i64 {{}}, {-LANES}", maximum("0", middle))
    fall = event("add i64 {}, {}", rise, middle)
    return {"begin": begin, "stop": stop, "rise": rise, "fall": fall}
