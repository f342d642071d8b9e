"""Captions beside a sound, as a WebVTT file, which players show and screen readers read."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.formats import FORMATS, part_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradsound.music.captions import Caption

ENDING = ".vtt"
_SHOWN = 5.0  # seconds that a caption is shown, unless another comes
_READ = 2.0  # seconds that it is shown even then, beside the other


def write_captions(path: Path, captions: Iterable[Caption]) -> None:
    """Writes captions beside a sound; an existing file is replaced once they are whole.

    Players find them by their name, which ``a.wav`` and ``a.flac`` have in common: if that
    takes them away from another sound, a warning says so.

    Args:
        path: The sound that they are of, or, ending in .vtt, where to write them alone.
        captions: In order of time. Those at the same time are shown together.

    Raises:
        OSError: If the file cannot be written.
    """
    together = [
        (when, [escape(" ".join(one.text.split()), quote=False) for one in some])
        for when, some in groupby(captions, key=lambda caption: round(caption.time, 3))
    ]
    nexts = [when for when, _ in together[1:]] + [float("inf")]
    cues = ["WEBVTT\n"]
    for number, ((when, texts), after) in enumerate(zip(together, nexts), 1):
        end = min(when + _SHOWN, max(when + _READ, after))
        span = f"{_stamp(when)} --> {_stamp(end)}"
        cues.append("\n".join([str(number), span, *texts, ""]))
    text, written = "\n".join(cues), path.with_suffix(ENDING)
    others = _others(path, text) if written != path else []
    part = part_of(written)
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(written)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise type(error)(error.errno, error.strerror, str(written)) from error
    if others:
        warn(
            f"{written}: has the captions of {path.name} now, and no longer those of "
            f"{', '.join(others)}: give each sound a name of its own"
        )


def _others(sound: Path, text: str) -> list[str]:
    """The sounds beside one whose captions are others, and at the same place."""
    with suppress(OSError, ValueError):  # there are none, or it is no text
        if sound.with_suffix(ENDING).read_text(encoding="utf-8") != text:
            beside = [sound.with_suffix(ending) for ending in FORMATS]
            return [other.name for other in beside if other != sound and other.exists()]
    return []


def _stamp(seconds: float) -> str:
    minutes, second = divmod(round(seconds * 1000), 60_000)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second // 1000:02}.{second % 1000:03}"
