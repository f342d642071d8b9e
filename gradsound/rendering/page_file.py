"""A page in one file: plays a finished run in any browser, without a server."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from gradsound import web
from gradsound.output.text_file import as_utf8
from gradsound.output.whole_file import whole_file
from gradsound.rendering.recording import Recording
from gradsound.synth.kernels.javascript import to_javascript
from gradsound.web.module_bundle import bundle, compact, read_module

if TYPE_CHECKING:
    from gradsound.rendering.sound import Sound

_FOLDER = Path(web.__file__).parent
_FOLDERS = _FOLDER / "one_file", _FOLDER / "page"
# The page runs its own script alone, which may load the two modules of the worklet. Nothing
# of a run is a script: it is in the recording, which is base64 of compressed data.
_POLICY = (
    "default-src 'none'; script-src '{script}' 'strict-dynamic'; style-src '{style}'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
_SCRIPTS = (
    '    <script type="module" src="page.js"></script>\n'
    '    <script type="module" src="all_runs.js"></script>\n'
)
_ICON = '<link rel="icon" href="icon.svg" type="image/svg+xml">'
_STYLE = '<link rel="stylesheet" href="page.css">'
_TITLE = "<title>gradsound</title>"
_CHARSET = '<meta charset="utf-8">'


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
    with whole_file(path) as part:
        part.write_bytes(page)


def make_page(sound: Sound, title: str | None = None) -> str:
    """Returns the page of a sound as HTML.

    Raises:
        ValueError, RunFormatError: As `Sound.scores`.
    """
    recording = Recording(sound, title)
    script = bundle("page.js", _FOLDERS)
    style = read_module("page.css", _FOLDERS)
    policy = _POLICY.format(script=_hash(script), style=_hash(style))
    data = {
        "recording": b64encode(recording.pack()).decode(),
        "worklet": bundle("worklet.js", _FOLDERS),
        "voices": compact(to_javascript(recording.programs)),
    }
    inside = "".join(_data_block(name, text) for name, text in data.items())
    replacements = {
        _CHARSET: f'{_CHARSET}\n    <meta http-equiv="Content-Security-Policy" '
        f'content="{policy}">',
        _TITLE: f"<title>{_text(recording.title)}, gradsound</title>",
        _ICON: _ICON.replace("icon.svg", _icon_address()),
        _STYLE: f"<style>{style}</style>",
        _SCRIPTS: "",
        "  </body>": f'{inside}    <script type="module">{script}</script>\n  </body>',
    }
    page = read_module("index.html", _FOLDERS)
    for old, new in replacements.items():
        before, found, after = page.partition(old)
        if not found:
            raise ValueError(f"index.html: lacks {old!r}")
        page = before + new + after
    return page


def _data_block(name: str, text: str) -> str:
    """Returns an element whose text no browser runs."""
    return f'    <script type="text/plain" id="{name}">{text}</script>\n'


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _icon_address() -> str:
    return f"data:image/svg+xml,{quote(read_module('icon.svg', _FOLDERS))}"


def _text(title: str) -> str:
    """Returns a title as HTML; half a character of a file's name is no text."""
    return escape(as_utf8(title))
