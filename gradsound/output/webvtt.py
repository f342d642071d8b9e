"""The WebVTT writer: captions next to a sound, for players and for screen readers."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.formats import FORMATS, part_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradsound.music.captions import Caption

VTT_SUFFIX = ".vtt"
_SHOWN_SECONDS = 5.0  # of a caption that no other follows
_READING_SECONDS = 2.0  # the least time to read a caption, even with the next one


def write_captions(path: Path, captions: Iterable[Caption]) -> None:
    """Writes captions to a WebVTT file, which replaces an existing one when complete.

    Players find the captions of a sound by their common name, but ``a.wav`` and ``a.flac``
    have the same. If other captions of such a sound are replaced, a warning names it.

    Args:
        path: Path of the sound; or, with the suffix .vtt, of the captions.
        captions: In order of time. Captions of the same time are shown together.

    Raises:
        OSError: If the file cannot be written.
    """
    target = path.with_suffix(VTT_SUFFIX)
    text = _webvtt(captions)
    affected = _sounds_of_other_captions(path, text) if target != path else []
    part = part_path(target)
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise type(error)(error.errno, error.strerror, str(target)) from error
    if affected:
        warn(
            f"{target}: the captions of {path.name} replaced those of "
            f"{', '.join(affected)}: give each sound a name of its own"
        )


def _webvtt(captions: Iterable[Caption]) -> str:
    """Returns the text of a WebVTT file, with a cue for each millisecond's captions."""
    groups = [
        (time, [escape(" ".join(one.text.split()), quote=False) for one in together])
        for time, together in groupby(captions, key=lambda caption: round(caption.time, 3))
    ]
    next_times = [time for time, _ in groups[1:]] + [float("inf")]
    cues = ["WEBVTT\n"]
    for number, ((time, texts), next_time) in enumerate(zip(groups, next_times), 1):
        end = min(time + _SHOWN_SECONDS, max(time + _READING_SECONDS, next_time))
        span = f"{_timestamp(time)} --> {_timestamp(end)}"
        cues.append("\n".join([str(number), span, *texts, ""]))
    return "\n".join(cues)


def _sounds_of_other_captions(sound: Path, text: str) -> list[str]:
    """Returns names of the sounds whose captions ``text`` replaces, if they differ."""
    with suppress(OSError, ValueError):  # no captions, or no text
        if sound.with_suffix(VTT_SUFFIX).read_text(encoding="utf-8") != text:
            same_name = [sound.with_suffix(suffix) for suffix in FORMATS]
            return [one.name for one in same_name if one != sound and one.exists()]
    return []


def _timestamp(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minute = divmod(minutes, 60)
    second, millisecond = divmod(milliseconds, 1000)
    return f"{hours:02}:{minute:02}:{second:02}.{millisecond:03}"
