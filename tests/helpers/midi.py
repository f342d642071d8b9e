"""Plays MIDI files as an instrument does: what sounds on each channel, and how high."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

mido = pytest.importorskip("mido", reason="needs mido")

PERCUSSION = 9


@dataclass
class Played:
    """A note as it sounds.

    Attributes:
        track: Name of its track.
        channel: 0 to 15.
        begin: Seconds.
        end: Seconds.
        key: Key number.
        velocity: 1 to 127.
        program: Instrument of the channel at its beginning.
        pan: Controller 10 at its beginning.
        bends: Seconds and semitones of each bend while it sounds, the first at its begin.
        expressions: Seconds and value of controller 11, in the same way.
    """

    track: str
    channel: int
    begin: float
    key: int
    velocity: int
    program: int
    pan: int
    bends: list[tuple[float, float]]
    expressions: list[tuple[float, int]]
    end: float = -1.0

    @property
    def pitch(self) -> float:
        """The key at the beginning, with its fraction."""
        return self.key + self.bends[0][1]


@dataclass
class _Channel:
    program: int = 0
    bend: float = 0.0
    controls: dict[int, int] = field(default_factory=lambda: {10: 64, 11: 127, 6: 2})
    sounding: dict[int, Played] = field(default_factory=dict)


def open_midi(path: Path) -> mido.MidiFile:
    """Returns a file whose texts are UTF-8."""
    return mido.MidiFile(path, charset="utf-8")


def read_midi(path: Path, *, alone: bool = True) -> list[Played]:
    """Returns the notes of a file in order of their beginnings.

    Fails if a channel other than that of percussion plays two notes at once, or two of one
    key if not ``alone``, or if a note does not end.
    """
    file = open_midi(path)
    channels = [_Channel() for _ in range(16)]
    played = []
    for seconds, name, message in _timed(file):
        if message.is_meta:
            continue
        channel = channels[message.channel]
        if message.type == "note_on":
            note = Played(
                name,
                message.channel,
                seconds,
                message.note,
                message.velocity,
                channel.program,
                channel.controls[10],
                [(seconds, channel.bend)],
                [(seconds, channel.controls[11])],
            )
            if message.channel != PERCUSSION:
                assert not channel.sounding or (
                    not alone and message.note not in channel.sounding
                )
            channel.sounding[message.note] = note
            played.append(note)
        elif message.type == "note_off":
            # Percussion may begin a key again before it ends; nobody hears its end.
            if (ending := channel.sounding.pop(message.note, None)) is not None:
                ending.end = seconds
            assert message.channel == PERCUSSION or ending is not None
        elif message.type == "program_change":
            channel.program = message.program
        elif message.type == "pitchwheel":
            channel.bend = message.pitch / 8192 * channel.controls[6]
            for note in channel.sounding.values():
                note.bends.append((seconds, channel.bend))
        elif message.type == "control_change":
            channel.controls[message.control] = message.value
            if message.control == 11:
                for note in channel.sounding.values():
                    note.expressions.append((seconds, message.value))
    assert not any(channel.sounding for channel in channels)
    return played


def _timed(file: mido.MidiFile) -> list[tuple[float, str, mido.Message]]:
    """Returns seconds, name of the track and message of all messages, in order of time."""
    tempo = next(message.tempo for message in file.tracks[0] if message.type == "set_tempo")
    timed = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            seconds = mido.tick2second(tick, file.ticks_per_beat, tempo)
            timed.append((seconds, track.name, message))
    return sorted(timed, key=lambda one: one[0])  # equal times keep the order of tracks
