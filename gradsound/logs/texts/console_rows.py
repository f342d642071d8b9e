"""Rows of a console: its lines with a step, or blocks of lines after one with a step."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gradsound.logs.row import Row
from gradsound.logs.texts.console_step import (
    describe_form,
    find_epoch,
    find_form,
    find_norms,
    may_have_norm,
    parse_count,
)
from gradsound.logs.texts.epoch_steps import EpochSteps
from gradsound.logs.texts.line_prefix import COLOURS, LinePrefix, text_start
from gradsound.logs.texts.line_values import LineValues
from gradsound.logs.texts.lowest_rank import LowestRank
from gradsound.runs.value_roles import EPOCH_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradsound.logs.texts.console_step import ConsoleForm
    from gradsound.logs.texts.text_lines import TextLines

_LINE_MAX = 1 << 16  # characters; a longer line has no metrics
_BLOCK_MAX = 10_000  # lines of a block; a model of 10,000 layers may print one for each
_INDENTED = re.compile(r"\s+(?:Train )?(?=\S)")
_EPOCH_LINE = re.compile(r"epoch:? (\d{1,9})(?:/\d+)?:?\s*$", re.IGNORECASE)
# Of the entries that Hugging Face's Trainer prints, those of steps; others are evaluations.
_LOGGING_STEP = re.compile(r"'(?:loss|[\w/]*grad_norm)': ")


class ConsoleRows:
    """Converts lines to rows.

    Args:
        step: The word before the step, if a user named it.
        logging_steps: Steps from one entry without a step to the next.
        on_note: Called once, with a sentence that says what was taken for what.

    Attributes:
        lost: The name of the value that the last line has in part; "" without one.
        unread: Of the last lines, number, name and word of each norm that is no number.
    """

    def __init__(
        self,
        step: str | None,
        logging_steps: int,
        on_note: Callable[[str], None] | None,
    ) -> None:
        self._wanted, self._logging_steps, self._on_note = step, logging_steps, on_note
        self._form: ConsoleForm | None = None
        self._prefix, self._values, self._epochs = LinePrefix(), LineValues(), EpochSteps()
        self._count = 0  # of entries without a step
        self._ranks = LowestRank()
        self._has_time, self._has_epoch = True, True  # whether lines have them
        self._step: float | None = None  # of the last line
        self._epoch: float | None = None  # of the last line that has nothing else: Keras
        self._block: tuple[int, Row] | None = None  # the rank and row of that in progress
        self._candidate: list[str] = []  # a line and the indented ones after it
        self.lost = ""
        self.unread: list[tuple[int, str, str]] = []
        self._number = 0  # of the line in progress

    def read(self, lines: TextLines) -> list[Row]:
        """Returns the rows of some lines."""
        rows: list[tuple[int, Row]] = []
        self.lost, self.unread = "", []
        for self._number, printed in enumerate(lines.lines, lines.first):
            if not printed or len(printed) > _LINE_MAX:
                continue
            line = COLOURS.sub("", printed) if "\x1b" in printed else printed
            if line[:5].lower() == "epoch" and (match := _EPOCH_LINE.match(line)):
                self._epoch = parse_count(match[1])
            if self._form is None:
                self._find_form(line, self._number)
                self._count += self._form is None and "{'loss': " in line
            if (form := self._form) is None:
                continue
            is_torn = lines.torn and line[-1:].isalnum()
            if form.is_block:
                rows += self._read_block_line(form, line, is_torn)
            elif row := self._read_line(form, line, is_torn):
                rows.append(row)
        return self._ranks.take_lowest(rows)

    @property
    def has_form(self) -> bool:
        """Whether a line had a step and a norm."""
        return self._form is not None

    def finish_block(self) -> list[Row]:
        """Returns the row of the block in progress, or none; its values may go on."""
        if self._block is None or not self._block[1].values:
            return []
        rank, row = self._block
        self._block = rank, row._replace(values={})
        return self._ranks.take_lowest([(rank, row)])

    def _find_form(self, line: str, number: int) -> None:
        """Sets the form if the line has a norm, and a step is in it or begins its block."""
        _, text = self._prefix.split_rank(line)
        is_indented = text[:1].isspace()
        if not is_indented:
            self._candidate = []
        if len(self._candidate) < _BLOCK_MAX:
            self._candidate.append(line)
        if not may_have_norm(text):
            return
        norms = find_norms((*self._read_values(text),))
        if not norms:
            if find_form(text, self._wanted):
                self._note_unread(text)
            return
        if form := find_form(text, self._wanted):
            match = form.step and form.step.search(text)
            self._set_form(form, norms, _quote(match) if match else "", number)
            self._has_time = self._prefix.time(line) is not None
            # Where the epoch is the step, there is none beside it.
            is_epoch = form.word in EPOCH_NAMES
            self._has_epoch = not is_epoch and find_epoch(line) is not None
        elif is_indented:
            self._find_block(norms, number)

    def _find_block(self, norms: tuple[str, ...], number: int) -> None:
        """Sets the form if a step begins the block in which a norm is."""
        before = self._candidate[:-1]
        _, text = self._prefix.split_rank(before[0] if before else "")
        form = find_form(text, self._wanted)
        if not form or not form.step or not (match := form.step.search(text)):
            return
        form = replace(form, is_block=True)
        self._set_form(form, norms, _quote(match), number)
        for line in before:
            for _ in self._read_block_line(form, line, is_torn=False):
                pass  # a block has one beginning

    def _set_form(
        self, form: ConsoleForm, norms: tuple[str, ...], step: str, number: int
    ) -> None:
        self._form = form
        if form.word:
            self._values.leave_out_step(form.word)
        if self._on_note is not None:
            self._on_note(describe_form(form, norms, step, number, self._logging_steps))

    def _read_line(
        self, form: ConsoleForm, line: str, is_torn: bool
    ) -> tuple[int, Row] | None:
        """Returns the rank and the row of a line; None if it has none."""
        match = form.step and form.step.search(line)
        if match is None and (form.step or "{'" not in line):
            return None
        rank, text = self._prefix.split_rank(line)
        values = self._read_values(text)
        self._note_unread(text)
        if is_torn:
            self._lose_last(values)
        if not values:
            return None
        if match is None:
            step = self._count_entry(line)
        elif form.word or find_norms((*values,)):
            step, epoch = self._parse_step(form, match, line)
            if epoch is not None:
                values.setdefault("epoch", epoch)
        else:  # an evaluation: the place has its own count
            step = self._step
        self._step = step
        if step is None:
            return None
        time = self._prefix.time(line) if self._has_time else None
        return -1 if rank is None else rank, Row(step, time, values)

    def _read_block_line(
        self, form: ConsoleForm, line: str, is_torn: bool
    ) -> Iterator[tuple[int, Row]]:
        """Yields the rank and row of a block that the line ends; goes on with the block."""
        rank, text = self._prefix.split_rank(line)
        indented = _INDENTED.match(text) if self._block else None
        step = form.step.search(text) if form.step and not indented else None
        if not indented and self._block and self._block[1].values:
            yield self._block
        if not indented and not step:
            self._block = None
            return
        begin = step.start() if step else indented.end() if indented else 0
        values = self._read_values(text[begin:])
        self._note_unread(text)
        if is_torn:
            self._lose_last(values)
        if step:
            number, epoch = self._parse_step(form, step, text)
            if epoch is not None:
                values.setdefault("epoch", epoch)
            row = Row(number, self._prefix.time(line), values)
            self._block = -1 if rank is None else rank, row
        elif self._block:
            own_rank, row = self._block
            self._block = own_rank, row._replace(values={**row.values, **values})

    def _count_entry(self, line: str) -> float | None:
        """Returns the step of a printed entry; None of one before the first step."""
        if _LOGGING_STEP.search(line):
            self._count += 1
        return float(self._count * self._logging_steps) if self._count else None

    def _parse_step(
        self, form: ConsoleForm, match: re.Match[str], line: str
    ) -> tuple[float | None, float | None]:
        """Returns the step, counted over the epochs, and the epoch; None if unknown."""
        step, groups = parse_count(match["step"]), match.re.groupindex
        epoch = self._epoch
        if "epoch" in groups:
            epoch = parse_count(match["epoch"])
        elif self._has_epoch:
            epoch = find_epoch(line)
        if step is None:
            return None, epoch
        total = parse_count(match["total"]) if match["total"] else None
        counted = self._epochs.count(step, epoch, total, is_of_epoch=form.is_of_epoch)
        return counted, epoch

    def _read_values(self, text: str) -> dict[str, float]:
        """Returns the values of a line, without its step."""
        return self._values.read(text[text_start(text) :])

    def _note_unread(self, text: str) -> None:
        if may_have_norm(text):
            unread = self._values.find_unread(text[text_start(text) :])
            self.unread += [(self._number, *item) for item in unread.items()]

    def _lose_last(self, values: dict[str, float]) -> None:
        """Removes the last value: a number without an end may lack digits."""
        if values:
            self.lost = values.popitem()[0]


def _quote(match: re.Match[str]) -> str:
    """Returns a step with its word and the last step, such as "iteration 10/100"."""
    word = f"{match['word']} " if "word" in match.re.groupindex else ""
    total = f"/{match['total']}" if match["total"] else ""
    return f"{word}{match['step']}{total}"
