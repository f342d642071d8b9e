"""gradsound voices: lists the voices, describes one, or writes its demo or its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.option_values import get_voice
from gradsound.cli.output import print_line
from gradsound.rendering.voice_code import write_code
from gradsound.rendering.voice_demo import describe_voice, list_voices, write_demo
from gradsound.synth.kernels.native_code import CODE_SUFFIXES
from gradsound.synth.kernels.select import describe_kernel

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Lists the voices, describes one, or writes a demo of it or its native code."""
    voice = get_voice(options)
    if voice is None:
        _list(options)
    elif options.output is None:
        if options.emit is not None:
            raise ValueError(f"--emit {options.emit}: name the file to write with -o")
        for line in describe_voice(voice).split("\n"):
            print_line(line)
    elif options.emit is not None:
        write_code(voice, options.emit, options.output)
    elif options.output.suffix.lower() in CODE_SUFFIXES:
        raise ValueError(f"{options.output}: name the processor of the code with --emit")
    else:
        write_demo(voice, options.output)


def _list(options: argparse.Namespace) -> None:
    if options.output is not None:
        raise ValueError(f"{options.output}: name the voice to write")
    if options.emit is not None:
        raise ValueError(f"--emit {options.emit}: name the voice to compile")
    for name, description in list_voices():
        print_line(f"{name:8} {description}")
    print_line()
    print_line(describe_kernel())
