"""The form of a console: where its lines have the step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs.names.classified_names import classify_names
from gradsound.logs.names.step_names import STEP_NAMES, normalize_name
from gradsound.name_matching import list_some
from gradsound.runs.step_line import STEP_MAX
from gradsound.runs.value_roles import EPOCH_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

# 10, 1,000, 10/100, [10/100], '10/100', 10.0; not 0.5, 10%, 10ms, a date or [10, 20].
_COUNT = (
    r"[\"'\[(]{0,2}\s{0,20}(?P<step>\d{1,3}(?:,\d{3})+(?!,?\d)|\d+)(?:\.0+)?(?![\w.%-]|:\d"
    r"|,\s?\d+\s?[,\]])"
    r"(?:\s{0,20}/\s{0,20}(?P<total>\d+))?"
)
# Words before "step" by which it is a setting, a length or an evaluation.
_OTHER = (
    *("per", "of", "nan", "max", "num", "total", "every", "each", "skipped", "save"),
    *("warmup", "logging", "eval", "val", "validation", "test"),
)
# Of tools that do not name the step: llm.c's main.log, ESPnet, Marian; then Swin, mmengine,
# Composer; then bars of tqdm, rich and Keras.
_PLACES = (
    r"^s:(?P<step>\d+)(?P<total>)\s",
    r"\b(?P<epoch>\d+)epoch:train:\d+-(?P<step>\d+)(?P<total>)batch",
    r"\bUp\. (?P<step>[\d,]+)(?P<total>)",
    r"\[\s*(?P<epoch>\d+)(?:/\d+)?\]\s*\[\s*(?P<step>\d+)/(?P<total>\d+)\]",
    r"(?<!(?i:epoch) )\[\s*(?P<step>\d+)/(?P<total>\d+)\]",
    r"^\[(?:token|sample)=(?P<step>\d+)/(?P<total>\d+)\]",
    r"(?<![\d/.])(?P<step>\d+)/(?P<total>\d+) \[(?:\d+:)?\d+:\d\d",
    r"(?<![\d/.])(?P<step>\d+)(?P<total>)it \[(?:\d+:)?\d+:\d\d",
    r"[━╸╺─]{9}\s{1,9}(?P<step>\d+)/(?P<total>\d+)(?!\d)",
    r"(?<![\d/.])(?P<step>\d+)/(?P<total>\d+)\s{1,9}(?:\[[=>.]{9}|[━╸╺─]{9})",
)
# Names with a slash are those of values, but for ms-swift's.
_WORDS = [n for n in STEP_NAMES if "/" not in n or n == "global_step/max_steps"]
_EPOCH = re.compile(
    r"\bepochs?(?:\(train\))?[\s:=\[\"']{0,5}(\d{1,9})(?!\d|\.?\d{0,3}%)", re.IGNORECASE
)
_PRINTED_DICT = re.compile(r"\{'[^']+': ")
_LISTED_MAX = 3  # norms in the sentence that says what is read
_NORM = re.compile(r"norm|\bgrad\b|\bgrdn\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ConsoleForm:
    """Where the lines of a console have the step.

    Attributes:
        step: Matches the step, with groups named step, and perhaps total and epoch. None if
            the lines are printed dicts without a step.
        word: What names the step, for people; "" if nothing does.
        is_block: Whether the values follow on indented lines.
    """

    step: re.Pattern[str] | None
    word: str
    is_block: bool = False

    @property
    def is_of_epoch(self) -> bool:
        """Whether steps begin again with each epoch, if lines name epochs."""
        return "batch" in self.word or not self.word


def may_have_norm(text: str) -> bool:
    """Returns whether a text may have a norm: a quick look before the slow ones."""
    return _NORM.search(text) is not None


@lru_cache(1000)
def find_norms(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns those of the names of a line that are norms."""
    try:
        classified = classify_names(names, None)
    except RunFormatError:
        return ()
    return tuple(names[index] for index in classified.layers)


def find_form(text: str, wanted: str | None) -> ConsoleForm | None:
    """Returns the form of a line that has a norm; None if it has no step.

    Args:
        text: A line, without its prefix.
        wanted: The word before the step. None finds it by the usual words.
    """
    if wanted is not None:
        patterns: Sequence[tuple[str, re.Pattern[str]]] = [(wanted, _after_word(wanted))]
        return _first_match(text, patterns)
    lowered = normalize_name(text)
    words = [name for name in _WORDS if name in lowered]
    fine = [(name, _after_word(name)) for name in words if name not in EPOCH_NAMES]
    if form := _first_match(text, fine):
        return form
    if _PRINTED_DICT.search(text):
        return ConsoleForm(None, "")
    places = [("", pattern) for pattern in _place_patterns()]
    epochs = [(name, _after_word(name)) for name in words if name in EPOCH_NAMES]
    return _first_match(text, [*places, *epochs])


def describe_form(
    form: ConsoleForm, norms: Sequence[str], step: str, number: int, logging_steps: int
) -> str:
    """Returns a sentence that says what is taken for what.

    Args:
        form: The form of a line.
        norms: The names of its norms.
        step: Its step, as the line has it.
        number: The number of the line, from 1.
        logging_steps: Steps from one entry without a step to the next.
    """
    listed = list_some([*norms], _LISTED_MAX)
    taken = f"{step!r} is the step and {listed} the norm"
    if form.step is None:
        taken = (
            f"entries have no step, so they count as steps {logging_steps:,}, "
            f"{2 * logging_steps:,} ... (logging_steps); the norm is {listed}"
        )
    return f"is read as a console: in line {number:,}, {taken}"


def parse_count(text: str) -> float | None:
    """Returns a step such as 10 or 1,000; None if it is too large."""
    number = float(text.replace(",", ""))
    return number if number <= STEP_MAX else None


def find_epoch(text: str) -> float | None:
    """Returns the epoch that a line names; None if it names none."""
    match = _EPOCH.search(text)
    return parse_count(match[1]) if match else None


def _first_match(
    text: str, patterns: Sequence[tuple[str, re.Pattern[str]]]
) -> ConsoleForm | None:
    for word, pattern in patterns:
        match = pattern.search(text)
        if match and word:  # as it is spelled: a search with case takes half the time
            return ConsoleForm(re.compile(_step_pattern(re.escape(match["word"]))), word)
        if match:
            return ConsoleForm(pattern, "")
    return None


@cache
def _after_word(name: str) -> re.Pattern[str]:
    """Returns a pattern of the step after its word, in any case."""
    word = re.escape(name).replace("_", "[_ -]")
    return re.compile(_step_pattern(word), re.IGNORECASE)


def _step_pattern(word: str) -> str:
    """Returns the pattern of a word and a step.

    It begins with the word: with the lookbehinds first, a search takes three times as long.
    """
    no_others = "".join(rf"(?<!(?i:\b{before}) {word})" for before in _OTHER)
    return (
        rf"(?P<word>{word})(?<![\w/.]{word}){no_others}[\"'\])]{{0,2}}"
        rf"\s{{0,20}}[:=#]?\s{{0,20}}{_COUNT}"
    )


@cache
def _place_patterns() -> tuple[re.Pattern[str], ...]:
    return (*map(re.compile, _PLACES),)
