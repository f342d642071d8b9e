"""gradsound run: runs a script as Python would, and records or plays its trainings."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING, Any

from gradsound.attach_options import check_options
from gradsound.cli.choices import PRESETS
from gradsound.cli.shared_options import DEFAULTS
from gradsound.output.formats import check_path
from gradsound.script.program import Program
from gradsound.script.run_options import RunOptions
from gradsound.script.torch_import import TorchImport

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gradsound.music.presets import Preset
    from gradsound.script.found_trainings import FoundTrainings
    from gradsound.workers.sinks import DeviceSink, PageSink

_DEVICE_OPTIONS = ("device", "latency", "volume")


class ScriptRun:
    """One run of a script, with its options.

    Args:
        options: The options of the command; ``options.script`` has the words of the script.

    Raises:
        ValueError, OSError, ImportError: If an option is wrong, or there is no script.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._program = _get_program(options.script)
        check_options(options.comment, options.budget, "first", options.start_step)
        attach: dict[str, Any] = {
            "layers": options.layers,
            "comment": options.comment,
            "budget": options.budget,
            "resume": options.resume,
            "start_step": options.start_step,
            "preset": _get_preset(options),
        }
        log, wav = options.log.absolute(), options.wav and options.wav.absolute()
        if wav is not None:
            check_path(wav)
        for name, file in (("--log", log), ("--wav", wav)):
            if file is not None and not file.parent.is_dir():
                raise ValueError(f"{name} {file}: there is no folder {file.parent}")
        self._options = RunOptions(log, wav, _get_sink(options), attach)
        self._program.check()
        self._trainings: FoundTrainings | None = None
        self._process = os.getpid()

    def run(self) -> None:
        """Runs the script; it ends the process as it would under Python.

        Raises:
            BaseException: What the script raises.
        """
        atexit.register(self._tell_if_nothing)  # before the script's own, so it comes last
        TorchImport(self._watch)
        self._program.run(self._show_error)

    def _watch(self) -> None:
        """Begins to look for trainings: the script has imported torch."""
        from gradsound.script.found_trainings import FoundTrainings

        self._trainings = FoundTrainings(self._options)

    def _show_error(self, error: BaseException) -> None:
        if self._trainings is not None:
            self._trainings.show_error(error)

    def _tell_if_nothing(self) -> None:
        """Prints why nothing is recorded, if so, in the first process of a launcher."""
        if os.getpid() != self._process or os.environ.get("RANK", "0") != "0":
            return
        if self._trainings is None:
            reason = "the script does not import torch, so there is nothing to hear"
        elif self._trainings.runs_begun:
            return
        elif self._trainings.given:
            reason = "the script records itself, and nothing else trains in it"
        else:
            reason = "no optimizer made a step, so there is nothing to hear"
        try:
            sys.stderr.write(f"gradsound: {reason}\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # the script closed it
            return


def prepare(options: argparse.Namespace) -> Callable[[], None]:
    """Returns what runs the script, once no option can be wrong any more."""
    return ScriptRun(options).run


def run(options: argparse.Namespace) -> None:
    """Runs a script as Python would, and records or plays its trainings."""
    prepare(options)()


def _get_program(words: list[str]) -> Program:
    if not words:
        raise ValueError("name the script to run; see 'gradsound run --help'")
    first, *others = words
    for option, kind in (("-m", "module"), ("-c", "code")):
        if first.startswith(option):
            if first == option and not others:
                raise ValueError(f"{option} needs a {kind}; see 'gradsound run --help'")
            name, *arguments = others if first == option else (first[2:], *others)
            return Program(kind, name, tuple(arguments))  # type: ignore[arg-type]
    return Program("script", first, tuple(others))


def _get_preset(options: argparse.Namespace) -> str | Preset:
    """Returns the preset, by its name alone if no other option changes it.

    Then nothing loads numpy before the script does.
    """
    changes = (options.voice, options.scale, options.baseline, options.band)
    known = options.preset in (*PRESETS, DEFAULTS["preset"])
    if known and not options.invert and all(one is None for one in changes):
        return str(options.preset)
    from gradsound.cli.option_values import get_preset

    path = [*sys.path]
    try:
        return get_preset(options)
    finally:
        sys.path[:] = path  # without the folder of a voice


def _get_sink(
    options: argparse.Namespace,
) -> Callable[[], DeviceSink | PageSink] | None:
    """Returns what makes the destination of live sound, after a check of its options."""
    if options.web and options.live:
        raise ValueError("--live and --web are two ways to listen: give one")
    if options.port is not None and not options.web:
        raise ValueError("--port is for a page: add --web")
    given = {name: getattr(options, name) for name in _DEVICE_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if given and not options.live:
        raise ValueError(f"--{next(iter(given))} is for a sound device: add --live")
    if options.web:
        from gradsound.web.port import check_port

        check_port(options.port)
    elif options.live:
        from gradsound.output.sound_device_process import check_installed

        check_installed()
        if given:
            from gradsound.workers.sinks import DeviceSink

            DeviceSink(**given)  # checks the values
    else:
        return None

    def make_sink() -> DeviceSink | PageSink:
        from gradsound.workers.sinks import DeviceSink, PageSink

        return PageSink(port=options.port) if options.web else DeviceSink(**given)

    return make_sink
