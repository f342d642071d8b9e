"""A run in a folder, as far as a listing knows it without its steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A run in a folder, as far as a listing knows it.

    Attributes:
        name: Its path, relative to the folder; that of ranks is run.rank*.jsonl.
        paths: Its files: one, or one of each rank in their order.
        tool: The tool that wrote it; empty for gradsound.
        comment: Free text of the user.
        start: When it began, ISO 8601; empty if unknown.
        steps: How many steps the training has made; None if unknown.
        seconds: Time of the last step; None if unknown.
        state: Whether it grows; "cut off" if it ended in the middle of a line, because its
            process was killed or the disk was full; empty for another tool's log.
        size: Bytes of its files; 0 for another tool's log.
        modified: When a file changed last, in seconds since 1970.
    """

    name: str
    paths: tuple[Path, ...]
    tool: str = ""
    comment: str = ""
    start: str = ""
    steps: int | None = None
    seconds: float | None = None
    state: Literal["growing", "ended", "cut off", ""] = ""
    size: int = 0
    modified: float

    @property
    def ranks(self) -> int:
        """How many ranks of one training wrote it."""
        return len(self.paths)

    @property
    def began(self) -> float:
        """When it began, or when its log changed last, in seconds since 1970."""
        try:
            return datetime.fromisoformat(self.start).timestamp()
        except (ValueError, OverflowError, OSError):
            return self.modified
