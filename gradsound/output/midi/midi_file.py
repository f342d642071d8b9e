"""The MIDI writer: a run as a Standard MIDI File of format 1, through mido.

The first track has the captions as markers; each part has a track, and the last one has the
percussion. Importing the module needs mido.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.errors import MissingExtraError
from gradsound.output.atomic_file import atomic_file
from gradsound.output.midi.channels import assign_channels, share_channels
from gradsound.output.midi.timed_notes import TICKS_PER_SECOND, TimedNotes
from gradsound.output.midi.tones import make_tones
from gradsound.output.text_file import one_line

try:
    import mido

    from gradsound.output.midi.messages import (
        Messages,
        marker_messages,
        percussion_messages,
        tone_messages,
    )
except ImportError as error:
    raise MissingExtraError("mido") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gradsound.music.captions import Caption
    from gradsound.output.midi.tones import Part

_TRACKS_MAX = 2**15 - 1  # as mido's header counts them
_RANKS = ("", ", before clipping")  # of the notes of a track that sound at once


def write_midi(
    path: Path,
    timed: TimedNotes,
    captions: Iterable[Caption],
    names: Sequence[Sequence[str]],
    title: str,
) -> None:
    """Writes a MIDI file. It appears when it is complete, and replaces an existing one.

    Args:
        path: Path of the file.
        timed: The notes of all scores.
        captions: The captions; those that a WAV file marks become markers.
        names: Name of each track of each run.
        title: Name of the first track.

    Raises:
        ValueError: If the file would have more tracks than a MIDI file can have.
        OSError: If the file cannot be written.
    """
    tones = make_tones(timed)
    channels = assign_channels(tones)
    if channels is None:
        tones, channels = share_channels(make_tones(timed, glides=False))
    parts = tone_messages(tones, channels, timed.voices)
    file = mido.MidiFile(ticks_per_beat=TICKS_PER_SECOND, charset="utf-8")
    file.tracks.append(_track(title, marker_messages(captions), timed.end))
    for part, messages in parts.items():
        file.tracks.append(_track(_name(part, names), messages, timed.end))
    if percussion := percussion_messages(timed):
        file.tracks.append(_track("percussion", percussion, timed.end))
    if len(file.tracks) > _TRACKS_MAX:
        raise ValueError(
            f"{path}: a MIDI file has {_TRACKS_MAX:,} tracks at most, got "
            f"{len(file.tracks):,}: choose fewer layers"
        )
    with atomic_file(path) as temporary:
        file.save(temporary)


def _name(part: Part, names: Sequence[Sequence[str]]) -> str:
    run, track, rank = part
    return names[run][track] + _RANKS[rank]


def _track(name: str, messages: Messages, end: int) -> mido.MidiTrack:
    """Returns a track with its name, and with its times as differences in ticks."""
    track, last = mido.MidiTrack(), 0
    track.append(mido.MetaMessage("track_name", name=one_line(name)))
    for tick, _, message in sorted(messages, key=lambda one: one[:2]):
        message.time, last = tick - last, tick
        track.append(message)
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - last)))
    return track
