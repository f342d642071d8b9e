"""The C header of a kernel in native code: its functions, their arguments, an event.

The event is `gradsound.synth.events.EVENT`, and the padding `program.PADDING`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.synth.kernels.native_code import function_names
from gradsound.synth.voices.program import PADDING
from gradsound.version import __version__

if TYPE_CHECKING:
    from gradsound.synth.voices.program import Program

MARK = "written by gradsound"  # in the first line of each header
_HEADER = """\
/* The voice {voice} as native code, {mark} {version}.

   The two functions add the samples of events to a block of samples, for one channel and
   for two. Their samples are equal to gradsound's to the last bit, if the processor rounds
   to nearest and keeps subnormal numbers, which is how processors start. They call
   nothing, allocate nothing and keep no state, so threads may call them at once for
   different blocks.

   out      The block: 32-bit floats, at a multiple of 4 bytes. The functions add to it, so
            a caller clears it first, or mixes several voices in it.
            Channel c (0 is left, 1 is right) begins at out + c * stride. It has `frames`
            samples and {padding} more floats, to which the functions may add 0. Samples and
            events may not overlap.
   stride   Floats from a channel to the next, at least frames + {padding}; mono ignores it.
   frames   Frames of the block, 0 or more.
   start    The first frame of the block, counted as the events count: consecutive blocks
            of any sizes have the same samples as one block of all.
   period   Seconds from a frame to the next: 1 / sample rate.
   count    Number of events, 0 or more. Those outside of the block add nothing.
   events   The events, at a multiple of 8 bytes, little-endian, 72 bytes each. Their order
            decides how the sum is rounded; gradsound sorts them by first frame, then slot.

   In WebAssembly, the module imports a memory, env.memory, and exports the functions. A
   pointer is an offset into the memory. A host in JavaScript passes pointers and period as
   numbers, all other arguments as BigInt.
*/

#ifndef GRADSOUND_{guard}_H
#define GRADSOUND_{guard}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#ifndef GRADSOUND_EVENT
#define GRADSOUND_EVENT
#define GRADSOUND_PADDING {padding}

/* A note. A pair has the values at its two ends; between them the value is linear.
   The phase at its frame i, from 0, is phase + i * (increment - glide + glide * i), modulo
   2^32, which is a turn. */
struct gradsound_event {{
  int64_t first;        /*  0: its first frame */
  int32_t count;        /*  8: frames, 1 to 2^24 */
  uint32_t slot;        /* 12: seed of its noise */
  uint32_t phase;       /* 16: 2^-32 turns, at the first frame */
  uint32_t increment;   /* 20: 2^-32 turns a frame, at the first frame: Hz * period * 2^32,
                               at most 0.45 turns */
  int32_t glide;        /* 24: half of the change of the increment from frame to frame */
  int32_t fade;         /* 28: frames of raised cosine at each end, 0 to count / 2 */
  float gain[2];        /* 32: linear, a pair */
  float pan[2];         /* 40: gains of left and right; mono ignores them */
  float controls[3][2]; /* 48: pairs of norm, 0 to 1, deviation, -1 to 1, depth, 0 to 1 */
}};

#endif

void {mono}(float *out, int64_t stride, int64_t frames, int64_t start, float period,
    int64_t count, const struct gradsound_event *events);
void {stereo}(float *out, int64_t stride, int64_t frames, int64_t start, float period,
    int64_t count, const struct gradsound_event *events);

#ifdef __cplusplus
}}
#endif

#endif
"""


def to_c_header(program: Program) -> str:
    """Returns the text of the header of `native_code.compile_program`'s code.

    It is the same for all targets. It is ASCII, and contains no text of a user but the
    letters and digits of the program's name.
    """
    mono, stereo = function_names(program)
    voice = mono.removesuffix("_mono")
    return _HEADER.format(
        voice=voice,
        mark=MARK,
        version=__version__,
        padding=PADDING,
        guard=voice.upper(),
        mono=mono,
        stereo=stereo,
    )
