"""The page of a training inside of a notebook, whose widget gives it the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.web.inline_page import FOLDER, inline_page
from gradsound.web.module_bundle import bundle, compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.synth.voices.program import Program

_FOLDERS = FOLDER / "notebook", FOLDER / "one_file", FOLDER / "page"


def make_notebook_page(programs: Sequence[Program]) -> str:
    """Returns the page as HTML for a frame.

    Args:
        programs: Programs of the voices, in the order of their numbers.
    """
    data = {
        "worklet": bundle("worklet.js", _FOLDERS),
        "voices": compact(to_page_voices(programs)),
    }
    return inline_page(_FOLDERS, data, "a training", allow="'wasm-unsafe-eval'")
