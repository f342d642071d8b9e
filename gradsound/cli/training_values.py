"""Values of the options of commands that record a training: ``run`` and ``attach``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

from gradsound.attach_options import check_options
from gradsound.cli.choices import PRESETS
from gradsound.cli.options.shared import DEFAULTS
from gradsound.output.formats import check_path
from gradsound.script.run_options import RunOptions
from gradsound.signal_options import check_signals

if TYPE_CHECKING:
    import argparse

    from gradsound.music.presets import Preset

_DEVICE_OPTIONS = ("device", "latency", "volume")


def get_run_options(options: argparse.Namespace) -> RunOptions:
    """Returns where the runs go, and how `gradsound.attach` records them.

    Raises:
        ValueError, OSError, ImportError: If an option is wrong.
    """
    check_options(options.comment, options.budget, "first", options.start_step)
    attach: dict[str, Any] = {
        "layers": options.layers,
        "comment": options.comment,
        "budget": options.budget,
        "signals": check_signals(options.signals or ()),
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
    return RunOptions(log, wav, *_get_live(options), attach)


def _get_preset(options: argparse.Namespace) -> str | Preset:
    """Returns the preset, by its name alone if no other option changes it.

    Then nothing loads numpy before a script does.
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


def _get_live(
    options: argparse.Namespace,
) -> tuple[Literal["page", "device"] | None, dict[str, Any]]:
    """Returns where to play live, and the options of that, after a check."""
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
        return "page", {"port": options.port}
    if not options.live:
        return None, {}
    from gradsound.output.sound_device_process import check_installed

    check_installed()
    if given:
        from gradsound.workers.sinks import DeviceSink

        DeviceSink(**given)  # checks the values
    return "device", given
