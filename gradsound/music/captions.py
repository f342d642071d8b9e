"""Captions: a line of text for whatever is worth one, and the times that they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Caption:
    """A line of text.

    Attributes:
        time: Seconds from the beginning of the sound.
        text: What happens, without its time.
        kind: That of the alarm, or "epoch", "minute" for what is told every minute, or
            "legend" for an example in one.
        step: Number of the step that it is about, if it is about one.
    """

    time: float
    text: str
    kind: str
    step: int | None = None

    @property
    def marks(self) -> bool:
        """Whether it is a place to find again."""
        return self.kind != "minute"

    @property
    def warns(self) -> bool:
        """Whether something may be wrong."""
        return self.kind not in ("minute", "epoch", "recovery", "end")

    def __str__(self) -> str:
        return f"{clock(self.time)} {self.text}"


def markers(captions: Iterable[Caption], sample_rate: int) -> list[tuple[int, str]]:
    """The frames of the places that captions mark, and their texts."""
    marked = [caption for caption in captions if caption.marks]
    return [(round(caption.time * sample_rate), caption.text) for caption in marked]


def clock(seconds: float) -> str:
    """A time as one says it: 0:42, 59:59, 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
