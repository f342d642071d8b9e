"""Reads consoles: what trainings print, saved as a text.

A line that has a step and the norm of a gradient sets the form of the console; lines of
this form are read. A block of indented values after a line with a step counts as a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.logs.names.unread_norms import report_unread_cell
from gradsound.logs.scalars import make_scalars
from gradsound.logs.texts.code_examples import blank_examples
from gradsound.logs.texts.console_rows import ConsoleRows
from gradsound.logs.texts.console_step import may_have_norm
from gradsound.logs.texts.text_lines import TextLines, read_text_lines
from gradsound.runs.file_names import names_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "console"


def is_console(head: bytes, step: str | None = None) -> bool:
    """Returns whether a file with this beginning has a line with a step and a norm.

    Lines in code examples do not count: they are those of a README or a page.

    Args:
        head: The beginning of a file, in UTF-8.
        step: The word before the step. None finds it by the usual words.
    """
    if b"\0" in head or names_format(head):
        return False
    text = head.decode("utf-8", "replace")
    if not may_have_norm(text):
        return False
    console = ConsoleRows(step, 1, None)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    group = TextLines(1, blank_examples(lines))
    return bool(console.read(group) or console.finish_block())


def read(
    path: Path,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
    step: str | None = None,
    logging_steps: int = 1,
    on_note: Callable[[str], None] | None = None,
) -> Iterator[Scalars | None]:
    """Yields the scalars of a console; `scalars` says how.

    Of the lines of several ranks it reads those of the lowest.

    Args:
        path: The text.
        on_damage: Called if the last line is torn.
        wait_for_more: Called at the end of what is there. It returns whether to read on.
        step: The word before the step. None finds it by the usual words.
        logging_steps: Steps from one entry to the next, where entries have no step, as
            those that Hugging Face's Trainer prints.
        on_note: Called once, with a sentence that says what was taken for what.

    Raises:
        OSError: If the text cannot be read.
    """
    console = ConsoleRows(step, logging_steps, on_note)
    for lines in read_text_lines(path, wait_for_more):
        rows = console.finish_block() if lines is None else console.read(lines)
        for number, name, word in console.unread if lines is not None else ():
            report_unread_cell(on_damage, name, word, number)
        if rows:
            yield make_scalars(rows)
        if lines is None:
            yield None
        elif lines.torn and console.lost:
            on_damage(f"line {lines.first:,} is torn, its {console.lost} is left out")
    if rows := console.finish_block():
        yield make_scalars(rows)
    if not console.has_form:
        steps = "a step" if step is None else f"a whole number after {step!r} (--step)"
        on_damage(f"no line has {steps} and the norm of a gradient")
