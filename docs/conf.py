"""Configuration of Sphinx: `make docs` builds the documentation into build/docs.

Most pages are Markdown files of the repository, which people also read on a code host.
There, a link leads to a file; in the documentation, it must lead to a page. This module
translates the links while Sphinx reads a page.
"""

from __future__ import annotations

import os
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from docutils.nodes import section
from sphinx.addnodes import download_reference
from sphinx.writers.html5 import HTML5Translator

import gradsound

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
# Pages whose text is in a file outside docs/: its path from docs/.
ELSEWHERE = {
    "index": "../README.md",
    "changelog": "../CHANGELOG.md",
    "contributing": "../CONTRIBUTING.md",
}
_PAGES = {path: path.name for path in DOCS.glob("*.md")}
_PAGES |= {(DOCS / path).resolve(): f"{page}.md" for page, path in ELSEWHERE.items()}
# A code block matches without a path, because brackets have another meaning there.
_LINK = re.compile(
    r"^```.*?^```|\[([^\]]*)\]\(([^):#]+)(#[^)]*)?\)", re.DOTALL | re.MULTILINE
)

project = "gradsound"
release = version = gradsound.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # levels of headings with an anchor, as code hosts make them
default_role = "any"  # an unknown name in a docstring becomes an error
autodoc_member_order = "bysource"
autodoc_mock_imports = [  # the build does not need them
    "composer",
    "fastai",
    "keras",
    "lightning",
    "transformers",
]
python_maximum_signature_line_length = 80
napoleon_attr_annotations = False  # the signature already has the types
napoleon_use_ivar = True
nitpicky = True
nitpick_ignore_regex = [
    # Names of other libraries in signatures. A link to them would need their pages.
    (
        "py:class",
        r"Axes|GradScaler|Optimizer|Path|NDArray|(nn|np|numpy|torch)\..*|.*Callback",
    ),
    # Not public: listen() makes it from its arguments.
    ("py:class", r"LiveSink"),
    ("py:class", r"Layout"),  # not public: Preset.layout() returns it to the composer
]
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"gradsound {version}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Registers the functions below with Sphinx."""
    app.connect("source-read", _read_page)
    app.connect("autodoc-process-docstring", _link_documents)
    app.add_node(
        download_reference,
        override=True,
        html=(_visit_download, HTML5Translator.depart_download_reference),
    )


def _read_page(_: Sphinx, page: str, source: list[str]) -> None:
    """Adds the text of a file outside docs/, and makes links lead to pages."""
    folder = DOCS
    if page in ELSEWHERE:
        document = (DOCS / ELSEWHERE[page]).resolve()
        folder = document.parent
        source[0] = document.read_text() + source[0]

    def page_link(link: re.Match[str]) -> str:
        text, path, anchor = link.groups()
        if path is None:
            return link[0]
        target = (folder / path).resolve()
        if target.is_dir() or (target.suffix == ".md" and target not in _PAGES):
            return text  # a folder or a file without a page: no link
        return (
            f"[{text}]({_PAGES.get(target, os.path.relpath(target, DOCS))}{anchor or ''})"
        )

    source[0] = _LINK.sub(page_link, source[0])


def _link_documents(_: Sphinx, *arguments: object) -> None:
    """Turns names of documents in a docstring into links."""
    lines = arguments[-1]
    lines[:] = [re.sub(r"docs/([\w-]+)\.md", r":doc:`\g<0> <\1>`", line) for line in lines]


def _visit_download(self: HTML5Translator, node: download_reference) -> None:
    """Adds a player in front of the link to a sound file, and opens a page in a tab.

    A page whose link is a paragraph of its own is shown there, too.
    """
    source = f"{self.builder.dlpath}/{node.get('filename', '')}"
    if source.endswith(".html"):
        alone = len(node.parent.children) == 1
        if alone and isinstance(node.parent.parent, section):  # not in a table
            title = escape(node.astext())
            self.body.append(f'<iframe src="{source}" title="{title}"></iframe>')
        self.body.append(f'<a href="{source}" target="_blank" rel="noopener">')
        self.context.append("</a>")
        return
    if source.endswith(".ogg"):
        self.body.append(f'<audio controls preload="none" src="{source}"></audio>')
    HTML5Translator.visit_download_reference(self, node)
