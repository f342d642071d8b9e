"""gradsound demo: trains a small network for seconds, and plays its training."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gradsound.cli.output import flush, print_line
from gradsound.errors import MissingExtraError
from gradsound.music.presets import find_preset
from gradsound.output.formats import check_path

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Trains, and then plays the run on a device or a page, or writes it to a file."""
    _check(options)
    try:
        from gradsound.script.digit_training import train_on_digits
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch") from error
    with TemporaryDirectory(prefix="gradsound") as folder:
        path = Path(folder, "demo.jsonl")
        first, last = train_on_digits(path)
        print_line(
            "A small network has learned to read digits in 60 steps; its loss fell from "
            f"{first:.2f} to {last:.2f}."
        )
        print_line(
            "Each step is four notes, one a layer, from the first (left) to the last "
            "(right); a higher note is a larger gradient."
        )
        flush()
        _present(path, options)


def _check(options: argparse.Namespace) -> None:
    """Checks the destination of the sound before the training."""
    if options.output is not None and options.web:
        raise ValueError("--web and --output are two destinations: give one")
    if options.port is not None and not options.web:
        raise ValueError("--port is for a page: add --web")
    if options.output is not None:
        check_path(options.output)
    elif options.web:
        from gradsound.web.port import check_port

        check_port(options.port)
    else:
        from gradsound.output.sound_device_process import check_installed

        check_installed()


def _present(path: Path, options: argparse.Namespace) -> None:
    from gradsound.runs.log_choice import NO_CHOICE

    preset = find_preset("notes", None)
    usual: dict[str, Any] = {"layers": None, "choice": NO_CHOICE, "preset": preset}
    usual |= {"speed": 1.0, "follow": False}
    if options.output is not None:
        from gradsound.rendering.rendered_file import render

        render(path, options.output, preset=preset)
        print_line(f"Hear it in {options.output}.")
    elif options.web:
        from gradsound.cli.page_server import serve

        serve(path, **usual, port=options.port, host="127.0.0.1")
    else:
        from gradsound.cli.terminal_player import play
        from gradsound.workers.sinks import DeviceSink

        play(path, **usual, live=DeviceSink())
