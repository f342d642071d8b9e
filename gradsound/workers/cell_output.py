"""What a notebook shows of a training: its widget, then the player of the finished run."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gradsound.web.inline_page import FOLDER
from gradsound.workers.notebook_kernel import find_kernel, find_marimo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ELSEWHERE = (
    "gradsound plays this training in the notebook that runs it. If this is that notebook, "
    "it shows no widgets: listen with web=8421 instead, which serves a page."
)

_FINISHED = (
    "The training is over. A browser plays it in this place; so does gradsound play."
)
_FRAME = (
    '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    "<style>body { font-family: system-ui, sans-serif }</style>"
)

_IDENTIFIER = re.compile(r"[\w.-]{1,64}", re.ASCII)


class CellOutput:
    """The widget of a training, in each cell that shows it.

    Attributes:
        widget: The widget.
        on_request: Called, in any thread, with the identifier of a page that asks for the
            past.
    """

    def __init__(self) -> None:
        import anywidget
        import traitlets

        class TrainingWidget(anywidget.AnyWidget):
            _esm = (FOLDER / "notebook" / "widget.js").read_text(encoding="utf-8")
            page = traitlets.Unicode().tag(sync=True)  # the page as HTML
            run: Any = traitlets.List().tag(sync=True)  # the texts that describe the run

        def on_message(_: object, content: dict[str, Any], __: object) -> None:
            identifier = str(content.get("history"))
            if _IDENTIFIER.fullmatch(identifier):
                self.on_request(identifier)

        self.on_request: Callable[[str], object] = lambda _: None
        self.widget = TrainingWidget()
        self.widget.on_msg(on_message)
        self._cells: list[str] = []  # identifiers of what they show
        self._last_request = ""  # the execution of the last cell

    def show(self) -> None:
        """Shows the widget in the cell that runs, unless this execution has shown it."""
        if (marimo := find_marimo()) is not None:
            marimo.output.append(self.widget)
            return
        from IPython import get_ipython

        request = find_kernel().get_parent().get("header", {}).get("msg_id", "")
        if request and request == self._last_request:
            return
        self._last_request = request
        self._cells.append(uuid4().hex)
        transient = {"display_id": self._cells[-1]}
        get_ipython().display_pub.publish(self._bundle(), transient=transient)

    def _bundle(self) -> dict[str, Any]:
        """Returns the widget, and a text for where there is none."""
        bundle: Any = self.widget._repr_mimebundle_()
        views = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**views, "text/plain": _ELSEWHERE}

    def pass_on(self, facts: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """Passes a batch of messages on to the widget's pages, from any thread."""
        if "page" in facts:
            with self.widget.hold_sync():
                self.widget.page, self.widget.run = facts["page"], facts["run"]
        else:
            self.widget.send(facts, [*buffers])

    def replace(self, html: str, text: str = _FINISHED) -> None:
        """Shows the finished run, or what else there is to say, in place of the widget.

        A tab that was opened again does not know what the cells of before show, and marimo
        changes no other cell. There, the frame of the widget shows the run.
        """
        bundle = {"text/html": html, "text/plain": text}
        with suppress(Exception):  # the kernel may be at its end: then nobody looks
            self.widget.page = _FRAME + html
            if not self._cells:
                return
            from IPython import get_ipython

            publish = get_ipython().display_pub.publish
            for cell in self._cells:
                publish(bundle, transient={"display_id": cell}, update=True)
