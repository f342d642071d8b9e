"""Captions: a line of text for each alarm, epoch and minute, with its time in the sound.

Every text is one line of at most 80 characters; with its time it has 90 at most, so it fits
into a line of a player or of a terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import OBSERVATIONS
from gradsound.music.articulation import band_medians
from gradsound.music.layer_groups import BANDS_MAX, Band, band_norms
from gradsound.runs.value_roles import USUAL_VALUES, find_usual

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gradsound.alarms.thresholds import Alarm
    from gradsound.runs.step import Step

TEXT_MAX = 80  # characters; the time takes ten more
_WORD_MIN = 12  # characters that stay of a long word; fewer would not tell layers apart
_RUN_NAME_MAX = 20  # characters of the name of one of two runs
_GAP = "..."  # in place of the characters that are left out


@dataclass(frozen=True, slots=True)
class Caption:
    """A line of text at a time in the sound.

    Attributes:
        time: Seconds from the beginning of the sound.
        text: The event, without its time.
        kind: The kind of the alarm; or "epoch", "minute" (the state of the run, once a
            minute), "pitch" (which norm has which pitch, where the anchor has moved) or
            "legend" (an example in a legend).
        step: Number of the step that the text describes; None if it describes no step.
        layers: Names of an alarm's layers; the text names the first.

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
    layers: tuple[str, ...] = ()

    @property
    def marks(self) -> bool:
        """Whether a sound file gets a marker or a chapter for this caption."""
        return self.kind != "minute"

    @property
    def warns(self) -> bool:
        """Whether the training may have a fault."""
        return self.kind not in (
            *("minute", "epoch", "pitch", "recovery", "end"),
            *OBSERVATIONS,
        )

    def __str__(self) -> str:
        return f"{format_time(self.time)} {self.text}"


def alarm_text(alarm: Alarm, *, still: bool, more: int) -> str:
    """Returns the text of an alarm.

    Args:
        alarm: The alarm.
        still: Whether the alarm is not new, but its condition still lasts.
        more: How many alarms of its kind had no caption since the last one.
    """
    end = ", still so" if still else ""
    end += f" ({more:,} more since the last)" if more else ""
    return f"step {alarm.step:,}: {alarm.text}{end}"


def epoch_text(step: int, epoch: float) -> str:
    """Returns the text of the first step of an epoch."""
    return f"step {step:,}: epoch {epoch:g}"


def minute_text(step: Step, bands: Sequence[Band]) -> str:
    """Returns the text of a minute: norm, loss, learning rate, epoch, then the rest.

    The rest is the median of each signal over the layers, the norms of up to four bands and
    the other values, as many as fit.
    """
    everything = Band("norm", tuple(range(len(step.norms))))
    shown = (everything, *(bands[:BANDS_MAX] if len(step.norms) > 1 else ()))
    norms, absent = band_norms(step.norms[None], step.absent[None], shown)
    medians = {n: band_medians(own[None], shown[:1]) for n, own in step.signals.items()}
    signals = [
        f"{name.replace('_', ' ')} {_format_number(float(median[0, 0]), 2)}"
        for name, median in medians.items()
        if not np.isnan(median).any()
    ]
    norm, *band_parts = [
        f"{band.name} {'no gradient' if silent else _format_number(float(number), 3)}"
        for band, number, silent in zip(shown, norms[0], absent[0])
    ]
    values = {
        name: f"{name} {_format_number(value, 4)}" for name, value in step.values.items()
    }
    usual_names = [find_usual(usual, step.values) for usual in USUAL_VALUES]
    first = [values.pop(name) for name in usual_names if name is not None]
    text = f"step {step.number:,}: {norm}"
    for part in (*first, *signals, *band_parts, *values.values()):
        if len(text) + len(part) + len(", ") <= TEXT_MAX:
            text += f", {part}"
    return text


def pause_text(last_step: int) -> str:
    """Returns the text of a minute without a step."""
    return f"no step since step {last_step:,}"


def unannounced_text(counts: Mapping[str, int]) -> str:
    """Returns the text of the end about alarms without a caption, counted by kind."""
    listed = ", ".join(f"{count:,} more of {kind}" for kind, count in counts.items())
    return f"not announced: {listed}"


def fit_text(text: str, run_name: str = "") -> str:
    """Returns a text as one line of at most 80 characters.

    Long words, which are names of layers, lose their beginnings before the text loses its
    end: the last parts of a layer's name tell it apart from others.

    Args:
        text: A text of any length.
        run_name: Name of the run, if there are two; else empty.
    """
    prefix = f"{_keep_end(run_name, _RUN_NAME_MAX)}, " if run_name else ""
    text = " ".join(f"{prefix}{text}".split())
    for word in sorted({*text.split()}, key=lambda word: (-len(word), word)):
        surplus = len(text) - TEXT_MAX
        if surplus > 0:
            text = text.replace(word, _keep_end(word, max(_WORD_MIN, len(word) - surplus)))
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - len(_GAP)].rstrip() + _GAP


def markers(captions: Iterable[Caption], sample_rate: int) -> list[tuple[int, str]]:
    """Returns the frame and the text of each caption that a WAV file marks."""
    marked = [caption for caption in captions if caption.marks]
    return [(round(caption.time * sample_rate), caption.text) for caption in marked]


def chapters(captions: Iterable[Caption]) -> list[tuple[float, str]]:
    """Returns the time in seconds and the text of each caption that is a chapter."""
    return [(caption.time, caption.text) for caption in captions if caption.marks]


def format_time(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds: 0:42, 59:59, 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _format_number(number: float, digits: int) -> str:
    if isfinite(number):
        return f"{number:.{digits}g}"
    return "NaN" if isnan(number) else "infinite" if number > 0 else "-infinite"


def _keep_end(word: str, width: int) -> str:
    return word if len(word) <= width else _GAP + word[len(word) + len(_GAP) - width :]
