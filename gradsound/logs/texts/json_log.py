"""Reads JSON lines: a line is an object with a step, and numbers, flat or nested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.logs.json_decoder import decode_json
from gradsound.logs.nested_values import flatten
from gradsound.logs.scalars import make_scalars
from gradsound.logs.texts.named_entries import NamedEntries, has_step, name_value
from gradsound.logs.texts.text_lines import read_text_lines
from gradsound.runs.file_names import names_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore
    from gradsound.logs.texts.text_lines import TextLines

TOOL = "JSON lines"


def is_json_log(head: bytes, step: str | None = None) -> bool:
    """Returns whether a file with this beginning has a line with a step and a number.

    Args:
        head: The beginning of a file, in UTF-8.
        step: The name of the step. None finds it by its usual names.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"{") or names_format(text):
        return False
    for line in text.decode("utf-8", "replace").splitlines():
        entry = _decode_line(line) if line.startswith("{") else None
        if entry is not None and has_step(name_value(flatten(entry)), step):
            return True
    return False


def read(
    path: Path,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
    step: str | None = None,
) -> Iterator[Scalars | None]:
    """Yields the scalars of JSON lines; `scalars` says how.

    Texts and lists are left out.

    Args:
        path: The log.
        on_damage: Called where a line is damaged.
        wait_for_more: Called at the end of what is there. It returns whether to read on.
        step: The name of the step. None finds it by its usual names.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If no entry has the step that a user named, or there are entries of
            several runs.
    """
    entries = NamedEntries(on_damage, step)
    for lines in read_text_lines(path, wait_for_more):
        if lines is None:
            yield None
        elif rows := entries.read(_decode(lines, on_damage)):
            yield make_scalars(rows)
    entries.finish()


def _decode(lines: TextLines, on_damage: OnDamage) -> list[dict[str, Any]]:
    """Returns the objects in lines; reports lines without one."""
    if not lines.torn and (decoded := _decode_lines(lines.lines)) is not None:
        return decoded
    found = []
    for number, line in enumerate(lines.lines, lines.first):
        entry = _decode_line(line)
        if entry is not None:
            found.append(entry)
        elif line.strip():
            is_torn = lines.torn and line is lines.lines[-1]
            state = "is torn" if is_torn else "is no JSON object"
            on_damage(f"line {number:,} {state}, left out")
    return found


def _decode_lines(lines: Sequence[str]) -> list[dict[str, Any]] | None:
    """Decodes lines at once; returns None if one of them is not an object."""
    kept = [line for line in lines if line and not line.isspace()]
    try:
        decoded = decode_json(f"[{','.join(kept)}]")
    except ValueError:
        return None
    is_regular = len(decoded) == len(kept) and {*map(type, decoded)} <= {dict}
    return decoded if is_regular else None


def _decode_line(line: str) -> dict[str, Any] | None:
    """Decodes a line; returns None if it is not an object."""
    try:
        entry = decode_json(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
