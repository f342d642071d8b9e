"""The formats of logs that are one file, each known by the beginning of the file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gradsound.logs.huggingface import trainer_state
from gradsound.logs.tables import csv
from gradsound.logs.tensorboard import event_files
from gradsound.logs.texts import console, json_log, printed_tables
from gradsound.logs.trackers import clearml, comet, swanlab
from gradsound.logs.wandb import wandb_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore
    from gradsound.runs.log_choice import LogChoice


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of one file.

    Attributes:
        tool: The tool, or the format, for people.
        matches: Returns whether a file with a beginning in UTF-8 has the format.
        read: The reader.
        pattern: Glob over the names of such files; a damaged one is known by it.
        takes: As for `Log`.
        begins_late: Whether other text of any length may be before the log.
    """

    tool: str
    matches: Callable[[bytes], bool]
    read: Callable[[Path, OnDamage, WaitForMore], Iterator[Scalars | None]]
    pattern: str = ""
    takes: tuple[str, ...] = ()
    begins_late: bool = False


def list_formats(choice: LogChoice, notes: list[str]) -> tuple[FileFormat, ...]:
    """Returns the formats of single files; the first that matches counts.

    Args:
        choice: What to read of a log.
        notes: Takes the sentences of a reader, which say what it takes for what.
    """
    step, logging_steps = choice.step, choice.logging_steps or 1
    return (
        FileFormat(
            trainer_state.TOOL,
            trainer_state.is_trainer_state,
            partial(trainer_state.read, step=step),
            trainer_state.FILE_NAME,
            ("step",),
        ),
        FileFormat(
            wandb_log.TOOL, wandb_log.is_wandb, wandb_log.read, wandb_log.FILE_PATTERN
        ),
        FileFormat(swanlab.TOOL, swanlab.is_swanlab, swanlab.read, swanlab.FILE_PATTERN),
        FileFormat(
            event_files.TOOL,
            event_files.is_event_file,
            event_files.read,
            event_files.FILE_PATTERN,
        ),
        FileFormat(clearml.TOOL, clearml.is_metrics_file, clearml.read),
        FileFormat(comet.TOOL, comet.is_messages_file, comet.read),
        FileFormat(
            json_log.TOOL,
            partial(json_log.is_json_log, step=step),
            partial(json_log.read, step=step),
            takes=("step",),
        ),
        FileFormat(
            csv.TOOL,
            partial(csv.is_table, step=step),
            partial(csv.read, step=step),
            csv.FILE_PATTERN,
            ("step",),
        ),
        FileFormat(
            console.TOOL,
            partial(console.is_console, step=step),
            partial(
                console.read, step=step, logging_steps=logging_steps, on_note=notes.append
            ),
            takes=("step", "logging_steps"),
            begins_late=True,
        ),
        FileFormat(
            printed_tables.TOOL,
            partial(printed_tables.is_printed_table, step=step),
            partial(printed_tables.read, step=step, on_note=notes.append),
            takes=("step",),
            begins_late=True,
        ),
    )
