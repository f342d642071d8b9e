"""Says what a file is that is neither a run nor a log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from gradsound.logs.encoding import to_utf_8
from gradsound.logs.texts.code_examples import blank_examples

if TYPE_CHECKING:
    from pathlib import Path

_HEAD_BYTES = 1 << 16
_REMEDY = "docs/logs.md lists the logs that gradsound reads"
_CONTROL = re.compile(rb"[\0-\x06\x0e-\x1a\xff]")  # bytes that no text has
# By the first bytes of a file.
_KINDS = {
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF": "a PDF file",
    b"RIFF": "a sound (WAV)",
    b"fLaC": "a sound (FLAC)",
    b"OggS": "a sound (Ogg)",
    b"ID3": "a sound (MP3)",
    b"\xff\xfb": "a sound (MP3)",
    b"\xff\xf3": "a sound (MP3)",
    b"PK\x03\x04": "a ZIP file, such as a checkpoint of torch",
    b"PK\x05\x06": "a ZIP file without content",
    b"\x93NUMPY": "an array of numpy",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file: save its table as CSV",
    b"ARROW1": "an Arrow file: save its table as CSV",
    b"\x80": "a pickle, which could run code: save its numbers as CSV",
    b"\x7fELF": "a program",
    b"\xfd7zXZ": "a file compressed by xz: decompress it",
    b"BZh": "a file compressed by bzip2: decompress it",
}


def describe_unknown(path: Path, step: str | None) -> str:
    """Returns what a file is that no reader knows, and what gradsound reads instead.

    Args:
        path: The file.
        step: The name of the step, if the user named it.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for begin, kind in _KINDS.items():
        if head.startswith(begin):
            return f"is {kind}; {_REMEDY}"
    text = to_utf_8(head)
    if _CONTROL.search(text):
        return f"is a binary file of an unknown format; {_REMEDY}"
    if text.lstrip()[:1] in (b"{", b"[") and _is_json(text.decode("utf-8", "replace")):
        return f"is JSON without steps that have numbers; {_REMEDY}, --step names the step"
    named = "a step" if step is None else f"the step {step!r}"
    lines = text.decode("utf-8", "replace").splitlines()
    outside = "" if blank_examples(lines) == lines else " outside of code examples"
    return (
        f"is a text in which no line{outside} has {named} and the norm of a gradient; "
        f"{_REMEDY}, --step names the step"
    )


def _is_json(text: str) -> bool:
    """Returns whether a text begins with a JSON value, or is the beginning of one."""
    try:
        json.JSONDecoder().raw_decode(text.lstrip())
    except json.JSONDecodeError as error:
        return len(text) >= _HEAD_BYTES // 2 and error.pos > len(text) // 2
    except RecursionError:
        return True
    return True
