"""The page as one HTML text: its modules, its style and its data are inside."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from gradsound.web.module_bundle import bundle, read_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent
# The page runs its own script alone, which may load the two modules of the worklet. No text
# of a run is a script: it is data, or comes as a message.
_POLICY = (
    "default-src 'none'; script-src '{script}' 'strict-dynamic'{also}; "
    "style-src '{style}'; img-src data:; base-uri 'none'; form-action 'none'"
)
_SCRIPTS = (
    '    <script type="module" src="page.js"></script>\n'
    '    <script type="module" src="all_runs.js"></script>\n'
)
_ICON = '<link rel="icon" href="icon.svg" type="image/svg+xml">'
_STYLE = '<link rel="stylesheet" href="page.css">'
_TITLE = "<title>gradsound</title>"
_CHARSET = '<meta charset="utf-8">'


def inline_page(
    folders: Sequence[Path], data: Mapping[str, str], title: str, allow: str = ""
) -> str:
    """Returns the page as HTML that loads nothing.

    Args:
        folders: Where its modules are, as for `bundle`.
        data: Texts that its modules find as elements, by the elements' ids.
        title: Title of the page.
        allow: A source of scripts that its policy allows too.

    Raises:
        ValueError, OSError: As `bundle`.
    """
    script = bundle("page.js", folders)
    style = read_module("page.css", folders)
    also = f" {allow}" if allow else ""
    policy = _POLICY.format(script=_hash(script), style=_hash(style), also=also)
    inside = "".join(_data_block(name, text) for name, text in data.items())
    icon = f"data:image/svg+xml,{quote(read_module('icon.svg', folders))}"
    replacements = {
        _CHARSET: f'{_CHARSET}\n    <meta http-equiv="Content-Security-Policy" '
        f'content="{policy}">',
        _TITLE: f"<title>{escape(title)}, gradsound</title>",
        _ICON: _ICON.replace("icon.svg", icon),
        _STYLE: f"<style>{style}</style>",
        _SCRIPTS: "",
        "  </body>": f'{inside}    <script type="module">{script}</script>\n  </body>',
    }
    page = read_module("index.html", folders)
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
