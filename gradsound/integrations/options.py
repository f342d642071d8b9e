"""Options of callbacks: those of `attach`, checked where they are written."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from gradsound.api import attach
from gradsound.music.presets import find_preset
from gradsound.output.sound_file import check_path
from gradsound.workers.sinks import Web

_KNOWN = ("model", "optimizer", "scaler")  # to the framework, so not to be given


def checked(web: bool | int, options: dict[str, Any]) -> dict[str, Any]:
    """Options for `attach`, with what is wrong of them found before any training.

    Raises:
        TypeError: If there is no such option, or preset or voice is something else.
        ValueError: If it is to be heard both ways, or wav, preset or port is none.
        OSError: If the sound file cannot be written.
        MissingExtraError: If websockets is not installed, and a page is asked for.
    """
    names = [name for name in inspect.signature(attach).parameters if name not in _KNOWN]
    for name in options:
        if name not in names:
            raise TypeError(
                f"there is no option {name!r}; there are: web, {', '.join(names)}"
            )
    if web is not False and options.get("live"):
        raise ValueError(f"live and web are two ways to listen, got web={web}: give one")
    find_preset(options.get("preset", "notes"), options.get("voice"))
    if (wav := options.get("wav")) is not None:
        check_path(Path(wav))
    if web is False:
        return options
    return options | {"live": Web(port=None if web is True else web)}


def of_optimizer(index: int, options: dict[str, Any]) -> dict[str, Any]:
    """Those of one among several optimizers: files of its own; the first plays."""
    own = {"log": "run.jsonl"} | options
    for name in ("log", "wav"):
        if own.get(name) is not None:
            path = Path(own[name])
            own[name] = path.with_name(f"{path.stem}.optimizer{index}{path.suffix}")
    return own if index == 0 else own | {"live": False}
