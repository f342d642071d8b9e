"""Reads tables and boxes that trainings print; `printed_rows` has an example of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.logs.scalars import make_scalars
from gradsound.logs.texts.console_step import find_norms, may_have_norm
from gradsound.logs.texts.named_entries import NamedEntries, has_step
from gradsound.logs.texts.printed_rows import PrintedRows
from gradsound.logs.texts.text_lines import TextLines, read_text_lines
from gradsound.name_matching import list_some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "printed table"

_LISTED_MAX = 3  # norms in the sentence that says what is read


def is_printed_table(head: bytes, step: str | None = None) -> bool:
    """Returns whether a file with this beginning has a table with a step and a norm.

    Args:
        head: The beginning of a file, in UTF-8.
        step: The name of the step. None finds it by its usual names.
    """
    text = head.decode("utf-8-sig", "replace")
    if not may_have_norm(text):
        return False
    rows = PrintedRows(step)
    found = rows.read(TextLines(1, text.splitlines())) + rows.finish_box()
    return any(has_step(row, step) for row in found)


def read(
    path: Path,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
    step: str | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Scalars | None]:
    """Yields the scalars of printed tables; `scalars` says how.

    Args:
        path: The text.
        on_damage: Called where a row lacks cells, or a norm is no number.
        wait_for_more: Called at the end of what is there. It returns whether to read on.
        step: The name of the step. None finds it by its usual names.
        on_note: Called once, with a sentence that says what was taken for what.

    Raises:
        OSError: If the text cannot be read.
        RunFormatError: If no row has the step that a user named.
    """
    table, entries = PrintedRows(step, on_damage), NamedEntries(on_damage, step)
    for lines in read_text_lines(path, wait_for_more):
        if lines is None:
            yield None
            continue
        found = table.read(lines)
        if found and on_note is not None:
            norms = list_some([*find_norms((*found[0],))], _LISTED_MAX)
            on_note(f"is read as a table that was printed, with {norms} as the norm")
            on_note = None
        if rows := entries.read(found):
            yield make_scalars(rows)
    if rows := entries.read(table.finish_box()):
        yield make_scalars(rows)
    entries.finish()
