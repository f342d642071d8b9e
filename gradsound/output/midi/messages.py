"""The messages of a MIDI file, each with its tick. Importing the module needs mido.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import mido
import numpy as np

from gradsound.output.midi.channels import PERCUSSION, order_parts
from gradsound.output.midi.instruments import find_program
from gradsound.output.midi.timed_notes import TICKS_PER_SECOND
from gradsound.output.midi.tones import bend_range
from gradsound.output.midi.velocities import VELOCITY_MAX, loudness_values
from gradsound.output.text_file import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradsound.music.captions import Caption
    from gradsound.output.midi.timed_notes import TimedNotes
    from gradsound.output.midi.tones import Part, Tone

# Tick, order at one tick, and the message: a note ends before the next one on its channel
# is tuned and begins.
Messages: TypeAlias = "list[tuple[int, int, mido.Message | mido.MetaMessage]]"
_OFF, _SET, _ON = range(3)

_BEAT_MICROSECONDS = 1_000_000  # a beat is a second, so that a program's ruler shows time
_MAX = 127  # of a controller
_BEND_STEPS = 8192  # of the range of bends
_PAN, _EXPRESSION = 10, 11  # controllers
# Controllers that set the range of bends, a registered parameter: its number, the range in
# semitones and in cents, and the end of setting it.
_RANGE_BEFORE = ((101, 0), (100, 0))
_RANGE_AFTER = ((38, 0), (101, _MAX), (100, _MAX))
_RANGE = 6


def marker_messages(captions: Iterable[Caption]) -> Messages:
    """Returns the tempo, and a marker for each caption that a WAV file marks."""
    messages: Messages = [
        (0, _SET, mido.MetaMessage("set_tempo", tempo=_BEAT_MICROSECONDS))
    ]
    for caption in captions:
        if caption.marks:
            text = one_line(caption.text)
            tick = round(caption.time * TICKS_PER_SECOND)
            messages.append((tick, _SET, mido.MetaMessage("marker", text=text)))
    return messages


def percussion_messages(timed: TimedNotes) -> Messages:
    """Returns the notes without a pitch: alarm sounds, clangs of NaN, breaths of 0."""
    notes = timed.notes[timed.notes["key"] >= 0]
    levels = notes["level"].max(axis=1)
    velocities = loudness_values(levels, levels.max(initial=0), VELOCITY_MAX)
    messages: Messages = []
    for key, begin, end, velocity in zip(
        *(notes[name].tolist() for name in ("key", "begin", "end")), velocities
    ):
        messages.append((begin, _ON, _note("note_on", PERCUSSION, key, velocity)))
        messages.append((end, _OFF, _note("note_off", PERCUSSION, key, 0)))
    return messages


def tone_messages(
    tones: Sequence[Tone], numbers: Sequence[int], voices: Sequence[str]
) -> dict[Part, Messages]:
    """Returns the messages of each part.

    Args:
        tones: In order of their beginnings.
        numbers: The channel of each tone.
        voices: Name of each voice.
    """
    semitones = bend_range(tones)
    channels = [_Channel(number, semitones) for number in range(16)]
    # Instruments differ in loudness otherwise than voices do, so each has its own highest.
    loudest: dict[str, float] = {}
    for tone in tones:
        voice = voices[tone.voice]
        loudest[voice] = max(loudest.get(voice, 0.0), float(tone.levels.max()))
    parts: dict[Part, Messages] = {part: [] for part in order_parts(tones)}
    for part, number in sorted({*zip((tone.part for tone in tones), numbers)}):
        parts[part] += channels[number].range_messages()
    for tone, number in zip(tones, numbers):
        voice = voices[tone.voice]
        program = find_program(voice, sustained=tone.sustained)
        parts[tone.part] += channels[number].play(tone, program, loudest[voice])
    return parts


class _Channel:
    """Makes the messages of one channel, without those that change nothing.

    Args:
        number: Its number, 0 to 15.
        semitones: Range of its bends.
    """

    def __init__(self, number: int, semitones: int) -> None:
        self._number, self._semitones = number, semitones
        self._last: dict[tuple[str, int], int] = {}  # value by kind and controller

    def range_messages(self) -> Messages:
        """Returns what sets the range of bends, at the beginning."""
        controls = (*_RANGE_BEFORE, (_RANGE, self._semitones), *_RANGE_AFTER)
        return [(0, _SET, self._control(number, value)) for number, value in controls]

    def play(self, tone: Tone, program: int, loudest: float) -> Messages:
        """Returns the messages of a tone.

        Args:
            tone: A tone that begins after the last one has ended.
            program: Its instrument.
            loudest: The highest level of all tones of its voice.
        """
        if len(tone.ticks) > 1:
            velocity = VELOCITY_MAX
            expressions = loudness_values(tone.levels, loudest, _MAX)
        else:
            [velocity] = loudness_values(tone.levels, loudest, VELOCITY_MAX)
            expressions = [_MAX]
        bends = np.rint(tone.bends / self._semitones * _BEND_STEPS)
        bends = np.clip(bends, -_BEND_STEPS, _BEND_STEPS - 1).astype(int).tolist()
        pan = round((tone.pan + 1) / 2 * _MAX)
        messages: Messages = []
        self._set(messages, tone.begin, "program_change", program)
        self._set(messages, tone.begin, "control_change", pan, _PAN)
        for tick, bend, expression in zip(tone.ticks.tolist(), bends, expressions):
            self._set(messages, tick, "pitchwheel", bend)
            self._set(messages, tick, "control_change", expression, _EXPRESSION)
        on = _note("note_on", self._number, tone.key, velocity)
        off = _note("note_off", self._number, tone.key, 0)
        return [*messages, (tone.begin, _ON, on), (tone.end, _OFF, off)]

    def _set(
        self, messages: Messages, tick: int, kind: str, value: int, control: int = -1
    ) -> None:
        """Adds a message that sets a value, unless the channel has this value."""
        if self._last.get((kind, control)) != value:
            self._last[kind, control] = value
            if kind == "control_change":
                message = self._control(control, value)
            else:
                name = "pitch" if kind == "pitchwheel" else "program"
                message = mido.Message(kind, channel=self._number, **{name: value})
            messages.append((tick, _SET, message))

    def _control(self, control: int, value: int) -> mido.Message:
        return mido.Message(
            "control_change", channel=self._number, control=control, value=value
        )


def _note(kind: str, channel: int, key: int, velocity: int) -> mido.Message:
    return mido.Message(kind, channel=channel, note=key, velocity=velocity)
