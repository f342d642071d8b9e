"""The documentation as pages: `make docs` writes them into build/docs.

The pages are the documents of the repository, which are read there as well: what links
between them mean here is settled as they are read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.addnodes import download_reference
from sphinx.writers.html5 import HTML5Translator

import gradsound

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
# Pages whose text is a document outside of docs/, by its path from there.
ELSEWHERE = {
    "index": "../README.md",
    "changelog": "../CHANGELOG.md",
    "contributing": "../CONTRIBUTING.md",
}
_PAGES = {path: path.name for path in DOCS.glob("*.md")}
_PAGES |= {(DOCS / path).resolve(): f"{page}.md" for page, path in ELSEWHERE.items()}
# Code is passed over: brackets mean something else there.
_LINK = re.compile(
    r"^```.*?^```|\[([^\]]*)\]\(([^):#]+)(#[^)]*)?\)", re.DOTALL | re.MULTILINE
)

project = "gradsound"
release = version = gradsound.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # the anchors that code hosts give to headings
default_role = "any"  # a name in a docstring that leads nowhere is an error
autodoc_member_order = "bysource"
autodoc_mock_imports = ["lightning", "transformers"]  # frameworks; their names are enough
python_maximum_signature_line_length = 80
napoleon_attr_annotations = False  # types are in the signature
napoleon_use_ivar = True
nitpicky = True
nitpick_ignore_regex = [
    # Other libraries' names, as signatures have them: their pages are not asked for.
    ("py:class", r"Axes|GradScaler|Optimizer|Path|nn\..*|NDArray|np\..*|.*Callback"),
    ("py:class", r"Live|Web"),  # what listen() makes of its arguments
]
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = f"gradsound {version}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Joins what is below to Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _link)
    app.add_node(
        download_reference,
        override=True,
        html=(_visit_download, HTML5Translator.depart_download_reference),
    )


def _read(_: Sphinx, page: str, source: list[str]) -> None:
    """Puts in documents from outside of docs/, and what links mean among pages."""
    folder = DOCS
    if page in ELSEWHERE:
        document = (DOCS / ELSEWHERE[page]).resolve()
        folder = document.parent
        source[0] = document.read_text() + source[0]

    def relinked(link: re.Match[str]) -> str:
        text, path, anchor = link.groups()
        if path is None:
            return link[0]
        target = (folder / path).resolve()
        if target.is_dir() or (target.suffix == ".md" and target not in _PAGES):
            return text  # it is no page, and a page does not show it
        return (
            f"[{text}]({_PAGES.get(target, os.path.relpath(target, DOCS))}{anchor or ''})"
        )

    source[0] = _LINK.sub(relinked, source[0])


def _link(_: Sphinx, *about: object) -> None:
    """Makes links of the documents that a docstring names."""
    lines = about[-1]
    lines[:] = [re.sub(r"docs/([\w-]+)\.md", r":doc:`\g<0> <\1>`", line) for line in lines]


def _visit_download(self: HTML5Translator, node: download_reference) -> None:
    """A sound is played where it is."""
    if node.get("filename", "").endswith(".ogg"):
        source = f"{self.builder.dlpath}/{node['filename']}"
        self.body.append(f'<audio controls preload="none" src="{source}"></audio>')
    HTML5Translator.visit_download_reference(self, node)
