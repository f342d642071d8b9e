"""gradsound voices: lists the voices, describes one, or writes a demo of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.option_values import get_voice
from gradsound.cli.output import print_line
from gradsound.rendering.voice_demo import describe_voice, list_voices, write_demo
from gradsound.synth.kernels.select import describe_kernel

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Lists the voices, describes one, or writes a demo of it."""
    voice = get_voice(options)
    if voice is None:
        if options.output is not None:
            raise ValueError(f"{options.output}: name the voice to write")
        for name, description in list_voices():
            print_line(f"{name:8} {description}")
        print_line()
        print_line(describe_kernel())
    elif options.output is None:
        for line in describe_voice(voice).split("\n"):
            print_line(line)
    else:
        write_demo(voice, options.output)
