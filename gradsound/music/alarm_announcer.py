"""The announcer: rate-limits alarms, and turns them into alarm sounds and captions."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.alarms.thresholds import KINDS, OBSERVATIONS
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.captions import Caption, alarm_text
from gradsound.music.equal_loudness import gains
from gradsound.synth.score import NOTE
from gradsound.synth.voices.builtin import clang, find_voice, trace_builtin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.synth.voices.program import Program

# Seconds of silence between two alarm sounds. Listeners confuse sounds that begin together
# (McGookin and Brewster 2004).
_GAP = 0.3
_COOLDOWN_MIN, _COOLDOWN_MAX = 5.0, 320.0  # seconds; doubles while a kind keeps recurring
_FADE = 0.008  # seconds; as in the default preset
DUCKING = 0.3  # times the level of notes while an alarm sounds

PROGRAMS: tuple[Program, ...] = tuple(
    trace_builtin(clang) if sound.voice == "clang" else find_voice(sound.voice)
    for sound in ALARM_SOUNDS.values()
)

# The kind that an alarm resolves, or "", and one of its layers, or "".
_Topic: TypeAlias = "tuple[str, str]"


def _topics(resolves: str, alarm: Alarm) -> set[_Topic]:
    return {(resolves, layer) for layer in alarm.layers or ("",)}


@dataclass(slots=True)
class _KindState:
    """The announcements of one kind of alarm.

    Attributes:
        cooldown_end: Time in seconds before which no alarm of the kind sounds.
        cooldown: Duration of the last cooldown in seconds.
        uncaptioned: Alarms without a caption since the last caption of the kind.
        captioned: Topics with a caption since the last sound of the kind.
        unsounded: Persisting alarms without a sound, with the topics that still persist.
    """

    cooldown_end: float = 0.0
    cooldown: float = _COOLDOWN_MIN / 2
    uncaptioned: list[Alarm] = field(default_factory=list)
    captioned: set[_Topic] = field(default_factory=set)
    unsounded: list[tuple[Alarm, set[_Topic]]] = field(default_factory=list)

    def open(self, alarm: Alarm) -> None:
        """Adds a persisting alarm."""
        self.unsounded.append((alarm, _topics("", alarm)))

    def resolve(self, recovery: Alarm) -> None:
        """Removes the layers of a recovery from the persisting alarms."""
        recovered = _topics("", recovery)
        remaining = [(alarm, topics - recovered) for alarm, topics in self.unsounded]
        self.unsounded = [(alarm, topics) for alarm, topics in remaining if topics]

    def start_cooldown(self, time: float, others: Iterable[Alarm]) -> None:
        """Starts the cooldown after a sound of the kind, for all layers that persist.

        The cooldown doubles, unless the kind has been quiet for another cooldown.

        Args:
            time: Time of the sound in seconds.
            others: Alarms of the same time that have not sounded yet; they stay unsounded.
        """
        calm = time > self.cooldown_end + self.cooldown
        self.cooldown = _COOLDOWN_MIN if calm else min(2 * self.cooldown, _COOLDOWN_MAX)
        self.cooldown_end = time + self.cooldown
        self.captioned.clear()
        self.unsounded = [entry for entry in self.unsounded if entry[0] in others]


@dataclass(slots=True)
class AlarmAnnouncer:
    """Chooses which alarms sound, when, and which get a caption.

    Alarms sound one after another. Each kind has a cooldown of 5 s, which doubles up to
    320 s while the kind keeps recurring. A persisting alarm sounds when the cooldown ends.
    During the cooldown, an alarm gets a caption at once if its first layer had none since
    the last sound of the kind, or has recovered since. The announcer counts all other
    alarms; the next caption of the kind has their number. Observations have captions only.

    Attributes:
        level: Linear level of the alarm sounds: the peak of a sine of 1000 Hz that is
            equally loud.
        time_limit: End of the whole sound in seconds. An alarm gets only a caption if its
            sound would leave no time for the end alarm.
        sounds_end: End of the last alarm sound in seconds.
    """

    level: float
    time_limit: float = inf
    sounds_end: float = 0.0
    _next_begin: float = 0.0  # seconds; earliest begin of the next alarm sound
    _states: dict[str, _KindState] = field(
        default_factory=lambda: {kind: _KindState() for kind in KINDS}
    )

    def announce(
        self, alarms: Iterable[Alarm], time: float
    ) -> tuple[list[tuple[str, float]], list[Caption]]:
        """Announces alarms, and the persisting alarms whose cooldown has ended.

        Args:
            alarms: New alarms in the order of detection; may be empty.
            time: Time in seconds.

        Returns:
            The kind and the begin of each alarm sound, and captions.
        """
        alarms = tuple(alarms)
        for alarm in alarms:
            if alarm.persists:
                self._states[alarm.kind].open(alarm)
            if alarm.resolves:
                self._states[alarm.resolves].resolve(alarm)
        persisting = [alarm for alarm in self.due(time) if alarm not in alarms]
        sounds, captions = [], []
        by_urgency = sorted(
            (*persisting, *alarms), key=lambda alarm: KINDS.index(alarm.kind)
        )
        for alarm in by_urgency:
            state, begin = self._states[alarm.kind], time
            if alarm.kind in OBSERVATIONS:
                text = f"step {alarm.step:,}: {alarm.text}"
                captions.append(Caption(time, text, alarm.kind, alarm.step, alarm.layers))
                continue
            topic = alarm.resolves, next(iter(alarm.layers), "")
            if time >= state.cooldown_end and self._fits(alarm.kind, time):
                state.start_cooldown(time, [other for other in alarms if other != alarm])
                begin = max(time, self._next_begin)
                self.sounds_end = begin + ALARM_SOUNDS[alarm.kind].duration
                self._next_begin = self.sounds_end + _GAP
                sounds.append((alarm.kind, begin))
            elif alarm in persisting:
                continue
            elif topic in state.captioned:
                state.uncaptioned.append(alarm)
                continue
            state.captioned.add(topic)
            if alarm.resolves:
                self._states[alarm.resolves].captioned -= _topics("", alarm)
            more = _count_others(alarm, state)
            text = alarm_text(alarm, still=alarm in persisting, more=more)
            captions.append(Caption(begin, text, alarm.kind, alarm.step, alarm.layers))
        return sounds, captions

    def due(self, time: float) -> list[Alarm]:
        """Returns persisting alarms that have not sounded and now may, one of each kind."""
        return [
            state.unsounded[0][0]
            for kind, state in self._states.items()
            if state.unsounded and state.cooldown_end <= time and self._fits(kind, time)
        ]

    def _fits(self, kind: str, time: float) -> bool:
        """Returns whether the sound, and after it the end alarm, end in time."""
        end = max(time, self._next_begin) + ALARM_SOUNDS[kind].duration
        end_alarm = _GAP + ALARM_SOUNDS["end"].duration
        return kind == "end" or end + end_alarm <= self.time_limit

    def uncaptioned_counts(self) -> dict[str, int]:
        """Returns how many alarms of each kind had no caption since its last caption."""
        return {
            kind: len(state.uncaptioned)
            for kind, state in self._states.items()
            if state.uncaptioned
        }


def _count_others(alarm: Alarm, state: _KindState) -> int:
    """Returns how many other alarms have no caption, and forgets them."""
    count = len(state.uncaptioned) - (alarm in state.uncaptioned)
    state.uncaptioned.clear()
    return count


def alarm_notes(kind: str, level: float, pan: float) -> NDArray[np.void]:
    """Returns the notes of an alarm sound; their voices are indices into `PROGRAMS`.

    Args:
        kind: Kind of the alarm.
        level: As for `AlarmAnnouncer`.
        pan: -1 left to 1 right.
    """
    voice = [*ALARM_SOUNDS].index(kind)
    sound = ALARM_SOUNDS[kind]
    notes = np.zeros(len(sound.tones), NOTE)
    onsets, durations, begin_hertz, end_hertz = np.array(sound.tones).T
    notes["onset"], notes["duration"], notes["voice"] = onsets, durations, voice
    notes["fade"] = np.minimum(_FADE, durations / 2)
    notes["hertz"] = np.stack([begin_hertz, end_hertz], axis=1)
    notes["level"] = level * gains(PROGRAMS[voice], notes["hertz"])
    notes["track"], notes["pan"] = -1, pan
    return notes
