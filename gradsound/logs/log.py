"""A log of another tool that was found: where it lies, and the reader of its format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.logs.scalars import ReadScalars
    from gradsound.runs.log_choice import LogChoice


@dataclass(frozen=True, slots=True)
class Log:
    """A log of another tool.

    Attributes:
        path: A file or a folder; or a run in a database, as if that were a folder.
        read: Reads its scalars.
        tool: The tool, or the format, for people.
        file: The file or folder on the disk.
        takes: The fields of `LogChoice` besides norms that the reader follows.
        notes: Sentences of the reader, which say what it takes for what.
    """

    path: Path
    read: ReadScalars = field(compare=False)
    tool: str
    file: Path
    takes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list, compare=False)

    def check(self, choice: LogChoice) -> None:
        """Refuses choices that the format leaves no room for.

        Raises:
            RunFormatError: If the user chose a step, and the format has one of its own.
        """
        for option in ("step", "logging_steps"):
            if option not in self.takes and getattr(choice, option) is not None:
                raise RunFormatError(
                    f"{self.path}: {self.tool} has steps of its own; leave out {option}"
                )
