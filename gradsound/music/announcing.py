"""From alarms to their figures and captions: one at a time, and not for ever the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.alarms import KINDS
from gradsound.music.captions import Caption
from gradsound.music.figures import FIGURES
from gradsound.music.loudness import gains
from gradsound.synth.score import NOTE
from gradsound.synth.voices import clang, find_voice, program_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gradsound.music.alarms import Alarm
    from gradsound.synth.program import Program

# Seconds from the beginning of one figure to that of the next, at least, besides its own
# time: sounds that begin together are not told apart (McGookin and Brewster 2004).
_APART = 0.3
_FIRST, _MOST = 5.0, 320.0  # seconds after which the same may be announced again
_FADE = 0.008  # seconds
SOFTER = 0.3  # times, for what sounds while a figure does

PROGRAMS: tuple[Program, ...] = tuple(
    program_of(clang) if figure.voice == "clang" else find_voice(figure.voice)
    for figure in FIGURES.values()
)


@dataclass(slots=True)
class _Told:
    """When alarms of a kind were announced.

    Attributes:
        again: Seconds from which on it may be announced again.
        wait: Seconds to wait after that.
        more: How many were not.
    """

    again: float = 0.0
    wait: float = _FIRST / 2
    more: int = 0


@dataclass(slots=True)
class Announcer:
    """Has alarms sound one after the other; what repeats, ever more seldom.

    Attributes:
        level: Linear, of a sine of 1000 Hz that is as loud.
        over: Seconds at which the last figure ends.
    """

    level: float
    over: float = 0.0
    _free: float = 0.0  # seconds from which on the next figure may begin
    _told: dict[str, _Told] = field(default_factory=lambda: {k: _Told() for k in KINDS})

    def announce(
        self, alarms: Iterable[Alarm], time: float
    ) -> tuple[list[tuple[str, float]], list[Caption]]:
        """What becomes of alarms that are found at a time of the sound, in seconds.

        Returns:
            The kinds and beginnings of the figures that sound, and captions.
        """
        figures, captions = [], []
        for alarm in sorted(alarms, key=lambda alarm: KINDS.index(alarm.kind)):
            told = self._told[alarm.kind]
            if time < told.again:
                told.more += 1
                continue
            calm = time > told.again + told.wait
            told.wait = _FIRST if calm else min(2 * told.wait, _MOST)
            told.again = time + told.wait
            begin = max(time, self._free)
            self.over = begin + FIGURES[alarm.kind].duration
            self._free = self.over + _APART
            figures.append((alarm.kind, begin))
            more = f" ({told.more} more since the last)" if told.more else ""
            told.more = 0
            text = f"step {alarm.step:,}: {alarm.text}{more}"
            captions.append(Caption(begin, text, alarm.kind, alarm.step))
        return figures, captions

    def untold(self) -> str:
        """How many alarms were not announced since the last of their kind, if any."""
        counts = {kind: told.more for kind, told in self._told.items() if told.more}
        return ", ".join(f"{count} more of {kind}" for kind, count in counts.items())


def tones(kind: str, level: float, pan: float) -> NDArray[np.void]:
    """The notes of a figure; voices are counted in the order of `PROGRAMS`."""
    number = [*FIGURES].index(kind)
    figure = FIGURES[kind]
    notes = np.zeros(len(figure.tones), NOTE)
    onsets, durations, begins, ends = np.array(figure.tones).T
    notes["onset"], notes["duration"], notes["voice"] = onsets, durations, number
    notes["fade"] = np.minimum(_FADE, durations / 2)
    notes["hertz"] = np.stack([begins, ends], axis=1)
    notes["level"] = level * gains(PROGRAMS[number], notes["hertz"])
    notes["line"], notes["pan"] = -1, pan
    return notes
