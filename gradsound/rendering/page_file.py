"""A page in one file: plays a finished run in any browser, without a server."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from gradsound.output.atomic_file import atomic_file
from gradsound.output.text_file import as_utf8
from gradsound.rendering.recording import Recording
from gradsound.synth.kernels.javascript import to_javascript
from gradsound.web.inline_page import FOLDER, inline_page
from gradsound.web.module_bundle import bundle, compact

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.rendering.sound import Sound

_FOLDERS = FOLDER / "one_file", FOLDER / "page"


def write_page(sound: Sound, path: Path, title: str | None = None) -> None:
    """Writes the page of a sound, which replaces an existing file when complete.

    Args:
        sound: The sound.
        path: The file.
        title: Title and heading; None for the names of the runs.

    Raises:
        ValueError, RunFormatError: As `Sound.scores`.
        OSError: If the file cannot be written.
    """
    # ASCII is right in whatever encoding a mail program or a host takes for that of a page.
    page = make_page(sound, title).encode("ascii", "xmlcharrefreplace")
    with atomic_file(path) as part:
        part.write_bytes(page)


def make_page(sound: Sound, title: str | None = None) -> str:
    """Returns the page of a sound as HTML.

    Raises:
        ValueError, RunFormatError: As `Sound.scores`.
    """
    recording = Recording(sound, title)
    data = {
        "recording": b64encode(recording.pack()).decode(),
        "worklet": bundle("worklet.js", _FOLDERS),
        "voices": compact(to_javascript(recording.programs)),
    }
    # Half a character of a file's name is no text.
    return inline_page(_FOLDERS, data, as_utf8(recording.title))
