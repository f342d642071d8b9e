"""Captions beside a sound, as a WebVTT file, which players show and screen readers read."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from gradsound.out.sound_file import part_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradsound.music.captions import Caption

ENDING = ".vtt"
_SHOWN = 5.0  # seconds that a caption is shown, unless another comes
_READ = 2.0  # seconds that it is shown even then, beside the other


def write_captions(path: Path, captions: Iterable[Caption]) -> None:
    """Writes captions; an existing file is replaced once the new one is whole.

    Args:
        path: Where to write.
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
    part = part_of(path)
    try:
        part.write_text("\n".join(cues), encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _stamp(seconds: float) -> str:
    minutes, second = divmod(round(seconds * 1000), 60_000)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second // 1000:02}.{second % 1000:03}"
