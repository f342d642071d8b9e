"""The WebVTT writer: captions next to a sound, for players and for screen readers.

Players differ where the format leaves room, so the writer uses none of it:

- **Cues never overlap.** mpv shows the newer of two cues above the older one, VLC the other
  way round, some players skip one, others draw one over the other.
- **A cue lasts two seconds or more**, because a shorter one cannot be read.
- **No settings, regions, styles or notes**: mpv ignores them.
- **Timestamps have hours**, without which older readers fail.
- **The characters & < > are escaped**, also >, which ffmpeg (so mpv) would leave out. Any
  other reference, such as &quot;, stays as it is in some players.
"""

from __future__ import annotations

from contextlib import suppress
from html import escape
from math import inf
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.output.formats import FORMATS
from gradsound.output.text_file import as_utf8, timestamp, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradsound.music.captions import Caption

VTT_SUFFIX = ".vtt"
_SHOWN_SECONDS = 5.0  # of a cue that no other follows; 90 characters take as long to read
_READING_SECONDS = 2.0  # the least duration of a cue
_TOGETHER_SECONDS = 1.0  # captions so soon after the first of a cue share it


def write_captions(path: Path, captions: Iterable[Caption]) -> None:
    """Writes captions to a WebVTT file, which replaces an existing one when complete.

    Players find the captions of a sound by their common name, but ``a.wav`` and ``a.flac``
    have the same. If other captions of such a sound are replaced, a warning names it.

    Args:
        path: Path of the sound; or, with the suffix .vtt, of the captions.
        captions: In order of time.

    Raises:
        OSError: If the file cannot be written.
    """
    target = path.with_suffix(VTT_SUFFIX)
    text = _webvtt(captions)
    affected = _sounds_of_other_captions(path, text) if target != path else []
    write_text(target, text)
    if affected:
        warn(
            f"{target}: the captions of {path.name} replaced those of "
            f"{', '.join(affected)}: give each sound a name of its own"
        )


def _webvtt(captions: Iterable[Caption]) -> str:
    """Returns the text of a WebVTT file."""
    cues = _cues(captions)
    next_begins = [begin for begin, _ in cues[1:]] + [inf]
    blocks = ["WEBVTT\n"]
    for (begin, texts), next_begin in zip(cues, next_begins):
        end = min(begin + _SHOWN_SECONDS, next_begin)
        span = f"{timestamp(begin)} --> {timestamp(end)}"
        lines = [escape(" ".join(text.split()), quote=False) for text in texts]
        blocks.append("\n".join([span, *lines, ""]))
    return as_utf8("\n".join(blocks))


def _cues(captions: Iterable[Caption]) -> list[tuple[float, list[str]]]:
    """Returns the begin of each cue in seconds, and its texts, one a line.

    A caption that comes too soon to be a cue of its own either shares the last cue, and is
    up to a second early, or waits for the end of that cue, and is up to a second late. The
    last captions never wait, because the sound may end before: they are up to two seconds
    early.
    """
    ordered = [*captions]
    last = ordered[-1].time if ordered else 0.0
    cues: list[tuple[float, list[str]]] = []
    begin = -inf
    for caption in ordered:
        end = begin + _READING_SECONDS
        shares = caption.time < begin + _TOGETHER_SECONDS or last < end
        if shares:
            cues[-1][1].append(caption.text)
        else:
            begin = round(max(caption.time, end), 3)
            cues.append((begin, [caption.text]))
    return cues


def _sounds_of_other_captions(sound: Path, text: str) -> list[str]:
    """Returns names of the sounds whose captions ``text`` replaces, if they differ."""
    with suppress(OSError, ValueError):  # no captions, or no text
        if sound.with_suffix(VTT_SUFFIX).read_text(encoding="utf-8") != text:
            same_name = [sound.with_suffix(suffix) for suffix in FORMATS]
            return [one.name for one in same_name if one != sound and one.exists()]
    return []
