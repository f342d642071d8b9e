"""gradsound voices --emit: writes a voice as native code, with a C header beside it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from gradsound.errors import MissingExtraError
from gradsound.name_matching import describe_unknown
from gradsound.output.atomic_file import atomic_file
from gradsound.output.formats import check_folder
from gradsound.synth.kernels.c_header import MARK, to_c_header
from gradsound.synth.kernels.native_code import TARGETS, code_suffix, compile_program
from gradsound.synth.voices.builtin import find_voice

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.synth.voices.builtin import Voice

HEADER_SUFFIX = ".h"


def write_code(voice: Voice, target: str, path: Path) -> None:
    """Writes the native code of a voice, and its header with the suffix .h.

    Both files replace existing ones when both are complete.

    Args:
        voice: The voice.
        target: One of `TARGETS`.
        path: Path of the code; it ends in .o, or for wasm32 in .wasm.

    Raises:
        ValueError: If the target is unknown or LLVM lacks it, if the path has another
            suffix, or if the header would replace a file that is no header of ours.
        MissingExtraError: If llvmlite is not installed.
        VoiceError: If the voice cannot be compiled.
        OSError: If a file cannot be written.
    """
    _check(target, path)
    program = find_voice(voice)
    code = compile_program(program, target)
    header = to_c_header(program).encode()
    with atomic_file(path.with_suffix(HEADER_SUFFIX)) as header_part:
        header_part.write_bytes(header)
        with atomic_file(path) as part:
            part.write_bytes(code)


def _check(target: str, path: Path) -> None:
    """Raises the errors that need no voice."""
    if target not in TARGETS:
        raise ValueError(describe_unknown("target", target, TARGETS))
    if path.suffix.lower() != code_suffix(target):
        raise ValueError(f"{path}: code for {target} ends in {code_suffix(target)}")
    if find_spec("llvmlite") is None:
        raise MissingExtraError("llvmlite")
    header = path.with_suffix(HEADER_SUFFIX)
    for each in (path, header):
        check_folder(each)
    if header.exists() and MARK.encode() not in header.read_bytes():
        raise ValueError(
            f"{header}: exists, and gradsound did not write it; give {path} another name"
        )
