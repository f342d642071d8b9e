"""A sound as a page plays it: notes, picture and texts, packed into a few bytes."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.music.captions import format_time
from gradsound.rendering.packed_arrays import pack
from gradsound.rendering.recorded_layers import RecordedLayers
from gradsound.rendering.recorded_notes import RecordedNotes
from gradsound.rendering.recorded_picture import RecordedPicture
from gradsound.rendering.recorded_signals import RecordedSignals
from gradsound.web.layer_view import tree_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.rendering.sound import Sound


class Recording:
    """Composes a sound, and keeps what a page needs to play and to show it.

    Args:
        sound: The sound.
        title: What the page calls the run; None for the names of the runs.

    Attributes:
        title: The title.
        programs: Programs of the voices, in the order of their numbers.

    Raises:
        ValueError, RunFormatError: As `Sound.scores`.
    """

    def __init__(self, sound: Sound, title: str | None = None) -> None:
        self._sound, self.title = sound, _name(sound) if title is None else title
        self._layers = layers = RecordedLayers(sound)
        self._notes = RecordedNotes(sound.sample_rate, sound.channels, layers.tracks)
        self._picture = RecordedPicture(layers)
        self._signals = RecordedSignals(sound)
        self._onsets: list[float] = []  # seconds of each moment
        self._offsets: list[float] = []  # seconds from the sound's clock to the run's
        begin = 0.0
        for rows, score in sound.passages():
            self._notes.add(rows, score)
            if rows:
                self._picture.add(rows)
            for row, duration in zip(rows, score.durations.tolist()):
                self._note_time(row, begin)
                self._signals.add(row[0], begin)
                begin += duration
        self.programs = self._notes.programs

    def pack(self) -> bytes:
        """Returns the recording as bytes, which only the page reads."""
        losses = self._picture.losses()
        parts = self._notes, self._picture, self._signals, losses
        arrays = {name: one for part in parts for name, one in part.arrays().items()}
        facts = {
            "hello": self._hello(),
            "tree": tree_data(self._layers.tree),
            "alarms": self._picture.alarms,
            "captions": [*map(self._caption, self._sound.captions)],
            "signals": self._signals.facts(),
            "losses": losses.facts(),
            "frames": self._notes.frames,
        }
        return pack(facts, arrays)

    def _hello(self) -> dict[str, Any]:
        sound = self._sound
        comments = [run.header.comment for run in sound.runs]
        if sound.steps_per_moment > 1:
            comments.append(f"time-lapse: {sound.steps_per_moment:,} steps sound as one")
        return {
            "kind": "hello",
            "run": self.title,
            "note": " · ".join(
                c for c in dict.fromkeys(comments) if c not in ("", self.title)
            ),
            "start": sound.runs[0].header.start,
            "preset": sound.preset.name,
            "sample_rate": sound.sample_rate,
            "live": False,
            "lines": self._layers.lines,
        }

    def _note_time(self, row: Sequence[Moment], begin: float) -> None:
        known = next(moment for moment in row if moment.present)
        self._onsets.append(begin)
        self._offsets.append(known.step.time - begin)

    def _caption(self, caption: Caption) -> dict[str, Any]:
        moment = max(0, bisect_right(self._onsets, caption.time) - 1)
        return {
            "kind": "caption",
            "frame": round(caption.time * self._sound.sample_rate),
            "clock": format_time(caption.time + self._offsets[moment]),
            "text": caption.text,
            "type": caption.kind,
            "warns": caption.warns,
            "step": caption.step,
            "layer": self._layers.layer(caption.layers),
            "rows": [],
            "past": False,
        }


def _name(sound: Sound) -> str:
    first, *others = sound.runs
    if len(others) == 1:
        return "{} (left) and {} (right)".format(*sound.names)
    if others:
        return ", ".join(sound.names)
    is_file = first.name != first.header.comment  # else it is the difference of two runs
    return Path(first.name).name if is_file else first.name
