"""From alarms to their figures and captions: one at a time, and not for ever the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.alarms.thresholds import KINDS
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.captions import Caption
from gradsound.music.equal_loudness import gains
from gradsound.synth.score import NOTE
from gradsound.synth.voices.builtin import clang, find_voice, program_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.synth.voices.program import Program

# Seconds from the beginning of one figure to that of the next, at least, besides its own
# time: sounds that begin together are not told apart (McGookin and Brewster 2004).
_APART = 0.3
_FIRST, _MOST = 5.0, 320.0  # seconds after which the same may be announced again
_FADE = 0.008  # seconds
SOFTER = 0.3  # times, for what sounds while a figure does

PROGRAMS: tuple[Program, ...] = tuple(
    program_of(clang) if figure.voice == "clang" else find_voice(figure.voice)
    for figure in ALARM_SOUNDS.values()
)


_About: TypeAlias = "tuple[str, str]"  # a kind that is over, or none; a layer, or none


@dataclass(slots=True)
class _Told:
    """What was told of a kind.

    Attributes:
        again: Seconds from which on a figure of it may sound again.
        wait: Seconds to wait after that.
        quiet: Those that had no line since the last that had one.
        lines: What those were about that had one since the last figure.
        going: Those that had no figure and go on, with the layers in which they do.
    """

    again: float = 0.0
    wait: float = _FIRST / 2
    quiet: list[Alarm] = field(default_factory=list)
    lines: set[_About] = field(default_factory=set)
    going: list[tuple[Alarm, set[_About]]] = field(default_factory=list)

    def begin(self, alarm: Alarm) -> None:
        """It begins to go on."""
        self.going.append((alarm, _abouts("", alarm)))

    def end(self, alarm: Alarm) -> None:
        """It is over in the layers of an alarm."""
        over = _abouts("", alarm)
        self.going = [(one, left - over) for one, left in self.going if left - over]

    def sound(self, time: float, going: Iterable[Alarm]) -> None:
        """A figure of it sounds; of what goes on, some have none yet even so."""
        calm = time > self.again + self.wait
        self.wait = _FIRST if calm else min(2 * self.wait, _MOST)
        self.again = time + self.wait
        self.lines.clear()
        self.going = [one for one in self.going if one[0] in going]


def _abouts(ends: str, alarm: Alarm) -> set[_About]:
    """What an alarm is about: the kind that it ends, if any, in each layer."""
    return {(ends, layer) for layer in alarm.layers or ("",)}


@dataclass(slots=True)
class AlarmAnnouncer:
    """Has alarms sound one after the other; what repeats, ever more seldom.

    An alarm of a kind that was heard just before has no figure; if it goes on, it has one
    as soon as that may be. It has a line of text at once if the layer that it names had
    none since the last figure of its kind, or a line said that it was over there. Else it
    is counted, and the next line says how many were. So there are few figures and lines,
    however many alarms.

    Attributes:
        level: Linear, of a sine of 1000 Hz that is as loud.
        until: Seconds at which the sound is over at the latest. A figure that would leave
            no room for that of the end is a line of text alone.
        over: Seconds at which the last figure ends.
    """

    level: float
    until: float = inf
    over: float = 0.0
    _free: float = 0.0  # seconds from which on the next figure may begin
    _told: dict[str, _Told] = field(default_factory=lambda: {k: _Told() for k in KINDS})

    def announce(
        self, alarms: Iterable[Alarm], time: float
    ) -> tuple[list[tuple[str, float]], list[Caption]]:
        """What becomes of alarms that are found at a time of the sound, in seconds.

        Args:
            alarms: In the order in which they were found; none, for what is `due`.
            time: When, in seconds.

        Returns:
            The kinds and beginnings of the figures that sound, and captions.
        """
        alarms = tuple(alarms)
        for alarm in alarms:
            if alarm.lasts:
                self._told[alarm.kind].begin(alarm)
            if alarm.ends:
                self._told[alarm.ends].end(alarm)
        late = [alarm for alarm in self.due(time) if alarm not in alarms]
        figures, captions = [], []
        for alarm in sorted((*late, *alarms), key=lambda alarm: KINDS.index(alarm.kind)):
            told, begin = self._told[alarm.kind], time
            about = alarm.ends, next(iter(alarm.layers), "")
            if time >= told.again and self._fits(alarm.kind, time):
                told.sound(time, [one for one in alarms if one != alarm])
                begin = max(time, self._free)
                self.over = begin + ALARM_SOUNDS[alarm.kind].duration
                self._free = self.over + _APART
                figures.append((alarm.kind, begin))
            elif alarm in late:
                continue
            elif about in told.lines:
                told.quiet.append(alarm)
                continue
            told.lines.add(about)
            if alarm.ends:
                self._told[alarm.ends].lines -= _abouts("", alarm)
            still = ", still so" if alarm in late else ""
            others = len(told.quiet) - (alarm in told.quiet)
            more = f" ({others} more since the last)" if others else ""
            told.quiet.clear()
            text = f"step {alarm.step:,}: {alarm.text}{still}{more}"
            captions.append(Caption(begin, text, alarm.kind, alarm.step))
        return figures, captions

    def due(self, time: float) -> list[Alarm]:
        """What goes on, has had no figure, and may have one by now; one of a kind."""
        return [
            told.going[0][0]
            for kind, told in self._told.items()
            if told.going and told.again <= time and self._fits(kind, time)
        ]

    def _fits(self, kind: str, time: float) -> bool:
        """Whether there is room for a figure, and then for that of the end."""
        over = max(time, self._free) + ALARM_SOUNDS[kind].duration
        return kind == "end" or over + _APART + ALARM_SOUNDS["end"].duration <= self.until

    def untold(self) -> str:
        """How many alarms had no line since the last of their kind, if any."""
        counts = {kind: len(told.quiet) for kind, told in self._told.items()}
        return ", ".join(f"{n} more of {kind}" for kind, n in counts.items() if n)


def tones(kind: str, level: float, pan: float) -> NDArray[np.void]:
    """The notes of a figure; voices are counted in the order of `PROGRAMS`."""
    number = [*ALARM_SOUNDS].index(kind)
    figure = ALARM_SOUNDS[kind]
    notes = np.zeros(len(figure.tones), NOTE)
    onsets, durations, begins, ends = np.array(figure.tones).T
    notes["onset"], notes["duration"], notes["voice"] = onsets, durations, number
    notes["fade"] = np.minimum(_FADE, durations / 2)
    notes["hertz"] = np.stack([begins, ends], axis=1)
    notes["level"] = level * gains(PROGRAMS[number], notes["hertz"])
    notes["line"], notes["pan"] = -1, pan
    return notes
