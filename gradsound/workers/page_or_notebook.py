"""The choice between a page and a notebook for live sound in a browser."""

from __future__ import annotations

import sys

from gradsound.workers.notebook_kernel import has_widgets, in_notebook
from gradsound.workers.notebook_sink import NotebookSink
from gradsound.workers.sinks import DeviceSink, PageSink

LiveSink = DeviceSink | PageSink | NotebookSink
NOTEBOOK = "notebook"


def make_web_sink(web: bool | int | str) -> PageSink | NotebookSink:
    """Returns where ``web=`` of `gradsound.listen` plays.

    Args:
        web: True for the notebook that runs this code, if one does and anywidget is
            installed, else for a page; "notebook" for the notebook; or the port of a page.

    Raises:
        ValueError: If the port is out of range, or web is another text.
        MissingExtraError: If websockets is not installed, or anywidget for a notebook.
    """
    if web is True:
        return NotebookSink() if in_notebook() and has_widgets() else PageSink()
    if not isinstance(web, str):
        return PageSink(port=web)
    if web != NOTEBOOK:
        raise ValueError(f"web must be True, a port, or {NOTEBOOK!r}, got {web!r}")
    if in_notebook():
        return NotebookSink()
    sys.stderr.write("gradsound: no notebook runs this program, so a page plays the run\n")
    return PageSink()
