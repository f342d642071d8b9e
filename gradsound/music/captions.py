"""Captions: a line of text for each alarm, epoch and minute, with its time in the sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.music.layer_groups import BANDS_MAX, band_norms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradsound.music.layer_groups import Band
    from gradsound.runs.model import Step


@dataclass(frozen=True, slots=True)
class Caption:
    """A line of text at a time in the sound.

    Attributes:
        time: Seconds from the beginning of the sound.
        text: The event, without its time.
        kind: The kind of the alarm; or "epoch", "minute" (the state of the run, once a
            minute) or "legend" (an example in a legend).
        step: Number of the step that the text describes; None if it describes no step.

    Example:
        >>> import gradsound
        >>> caption = gradsound.Caption(42.0, "step 7: NaN in fc1", "nonfinite", step=7)
        >>> print(caption)
        0:42 step 7: NaN in fc1
        >>> caption.warns
        True
    """

    time: float
    text: str
    kind: str
    step: int | None = None

    @property
    def marks(self) -> bool:
        """Whether a WAV file gets a marker for this caption."""
        return self.kind != "minute"

    @property
    def warns(self) -> bool:
        """Whether the training may have a fault."""
        return self.kind not in ("minute", "epoch", "recovery", "end")

    def __str__(self) -> str:
        return f"{format_time(self.time)} {self.text}"


def minute_text(step: Step, bands: Sequence[Band]) -> str:
    """Returns the line of a minute: the norms of up to four bands, and the values."""
    norms, absent = band_norms(step.norms[None], step.absent[None], bands)
    parts = [
        f"{band.name} {'no gradient' if silent else format(float(norm), '.3g')}"
        for band, norm, silent in zip(bands[:BANDS_MAX], norms[0], absent[0])
    ]
    more = len(bands) - BANDS_MAX
    parts += [f"{more} more layers"] if more > 0 else []
    parts += [f"{name} {value:.4g}" for name, value in step.values.items()]
    return f"step {step.number:,}: {', '.join(parts)}"


def markers(captions: Iterable[Caption], sample_rate: int) -> list[tuple[int, str]]:
    """Returns the frame and the text of each caption that a WAV file marks."""
    marked = [caption for caption in captions if caption.marks]
    return [(round(caption.time * sample_rate), caption.text) for caption in marked]


def format_time(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds: 0:42, 59:59, 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
