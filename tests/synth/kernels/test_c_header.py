"""The C header of native code: C and Python know the same event and the same samples."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.events import PERIOD, random_events
from helpers.native_code import path_of

from gradsound.synth.events import EVENT
from gradsound.synth.kernels import numpy_kernel
from gradsound.synth.kernels.c_header import to_c_header
from gradsound.synth.kernels.native_code import TARGETS, compile_program, function_names
from gradsound.synth.voices.builtin import VOICES, trace_builtin
from gradsound.synth.voices.program import PADDING, Program

FRAMES = 20_700
X86 = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="gcc compiles for this processor"
)
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
MAIN = r"""
#include <stdio.h>
#include <stddef.h>
#include "organ.h"
#include "organ.h" /* a second time changes nothing */
#include "hiss.h"  /* another voice, with the same event */

#define EVENTS 300
#define FRAMES 20700
static struct gradsound_event events[EVENTS];
static float out[3][FRAMES + GRADSOUND_PADDING];

int main(void) {
  if (fread(events, sizeof events[0], EVENTS, stdin) != EVENTS) return 1;
  for (int64_t start = 0; start < FRAMES; start += 690) {
    organ_stereo(out[0] + start, FRAMES + GRADSOUND_PADDING, 690, start, 1 / 44100.0f,
                 EVENTS, events);
    hiss_mono(out[2] + start, 0, 690, start, 1 / 44100.0f, EVENTS, events);
  }
  return fwrite(out, sizeof out, 1, stdout) != 1;
}
"""
LAYOUT = r"""
#include <stdio.h>
#include <stddef.h>
#include "bell.h"
int main(void) {
#define PRINT(field) printf(#field " %zu %zu\n", offsetof(struct gradsound_event, field), \
                            sizeof((struct gradsound_event *)0)->field)
"""


def build(folder: Path, main: str, *options: object) -> Path:
    """Compiles and links a program in C, without a warning; returns its path."""
    (folder / "main.c").write_text(main)
    command = [path_of("gcc"), *STRICT, "main.c", *options, "-o", "main"]
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
    return folder / "main"


def emit(voice: str, target: str, folder: Path) -> Path:
    """Writes a voice's code and header; returns the path of the code."""
    program = trace_builtin(VOICES[voice])
    (folder / f"{voice}.h").write_text(to_c_header(program))
    (folder / f"{voice}.o").write_bytes(compile_program(program, target))
    return folder / f"{voice}.o"


def by_numpy(voice: str, channels: int, events: np.ndarray) -> np.ndarray:
    out = np.zeros((channels, FRAMES + PADDING), np.float32)
    kernel = numpy_kernel.make_kernel(trace_builtin(VOICES[voice]), channels)
    kernel(out, 0, PERIOD, events)
    return out[:, :FRAMES]


@X86
@pytest.mark.parametrize("kind", ["-pie", "-no-pie"])
def test_a_program_in_c_plays_voices(kind: str, tmp_path: Path) -> None:
    """A program of two voices has numpy's samples; gcc has no warning, ld neither."""
    files = [emit(voice, "x86_64", tmp_path) for voice in ("organ", "hiss")]
    events = random_events(300)
    main = build(tmp_path, MAIN, *files, kind, "-Wl,--fatal-warnings")
    process = subprocess.run(
        [main], input=events.tobytes(), capture_output=True, check=True
    )
    out = np.frombuffer(process.stdout, np.float32).reshape(3, -1)[:, :FRAMES]

    assert np.abs(out).max(axis=1).min() > 0.05
    np.testing.assert_array_equal(out[:2], by_numpy("organ", 2, events))
    np.testing.assert_array_equal(out[2:], by_numpy("hiss", 1, events))


@X86
def test_python_plays_a_shared_library(tmp_path: Path) -> None:
    """The object fits into a library that any program loads, here by ctypes."""
    file, events = emit("pluck", "x86_64", tmp_path), random_events(300)
    library = build(tmp_path, "int unused;\n", file, "-shared", "-fPIC", "-Wl,-z,text")
    out = np.zeros((2, FRAMES + PADDING), np.float32)
    ctypes.CDLL(str(library)).pluck_stereo(
        *(ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(out.shape[1])),
        *(ctypes.c_int64(FRAMES), ctypes.c_int64(0), ctypes.c_float(PERIOD)),
        *(ctypes.c_int64(len(events)), ctypes.c_void_p(events.ctypes.data)),
    )

    np.testing.assert_array_equal(out[:, :FRAMES], by_numpy("pluck", 2, events))


def test_c_knows_the_events_layout(tmp_path: Path) -> None:
    """Each field of an event is where numpy has it, and no other field is there."""
    (tmp_path / "bell.h").write_text(to_c_header(trace_builtin(VOICES["bell"])))
    prints = "".join(f"PRINT({name});\n" for name in EVENT.names)
    size = r'printf("%zu\n", sizeof(struct gradsound_event)); return 0; }'
    main = build(tmp_path, f"{LAYOUT}{prints}{size}\n")
    process = subprocess.run([main], capture_output=True, text=True, check=True)
    *lines, last = process.stdout.splitlines()

    assert int(last) == EVENT.itemsize
    for line, name in zip(lines, EVENT.names, strict=True):
        kind, offset = EVENT.fields[name]
        assert line == f"{name} {offset} {kind.itemsize}"
        assert f"/* {offset:2}: " in (tmp_path / "bell.h").read_text()


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "wasm32"])
def test_shared_libraries_need_no_writable_code(target: str, tmp_path: Path) -> None:
    """The linker of LLVM takes every object into a library, without text relocations."""
    for voice in ("pluck", "growl"):
        path = emit(voice, target, tmp_path)
        command = [path_of("ld.lld"), "-shared", "-z", "text", "-z", "defs", path]
        subprocess.run([*command, "-o", tmp_path / "voice.so"], check=True)


NAMES = {
    "bell": "bell",
    "<lambda>": "lambda",
    "Glöckchen": "Gl_ckchen",
    "音": "voice",
    "": "voice",
    "8 bit": "voice_8_bit",
    '*/ int x; /* "': "int_x",
    "_private__": "private",
}


@pytest.mark.parametrize("name", NAMES, ids=NAMES.values())
def test_any_name_is_one_in_c(name: str, tmp_path: Path) -> None:
    """The header of a voice of any name compiles, and declares the object's functions."""
    program = Program(name, *_parts(trace_builtin(VOICES["sine"])))
    (tmp_path / "voice.h").write_bytes(to_c_header(program).encode("ascii"))
    mono, stereo = function_names(program)

    assert (mono, stereo) == (f"{NAMES[name]}_mono", f"{NAMES[name]}_stereo")
    assert mono.encode() in compile_program(program, "aarch64")
    uses = f"void *p = (void *)&{mono}, *q = (void *)&{stereo};"
    build(tmp_path, f'#include "voice.h"\n{uses}\n', "-Wno-pedantic", "-c")


def _parts(program: Program) -> tuple[object, object]:
    return program.inputs, program.operations
