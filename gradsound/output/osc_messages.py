"""The messages of Open Sound Control that stand for notes and captions.

docs/instruments.md lists the addresses and their arguments. Importing the module needs
python-osc.

Shapes: K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.alarms.thresholds import KINDS
from gradsound.errors import MissingExtraError
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.tracks import INFINITY_HERTZ
from gradsound.synth.voices.builtin import breath, clang, trace_builtin

try:
    from pythonosc.osc_bundle_builder import OscBundleBuilder
    from pythonosc.osc_message_builder import OscMessageBuilder
except ImportError as error:
    raise MissingExtraError("python-osc") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pythonosc.osc_message import OscMessage

    from gradsound.music.captions import Caption
    from gradsound.synth.score import Score

# Bytes: what a frame of Ethernet carries as one piece, also by IPv6 and through a tunnel. A
# datagram in several pieces is lost if one of them is.
_DATAGRAM_MAX = 1400
_BUNDLE_HEAD = 16  # bytes of a bundle before its first message; each has four more
_LENGTH = 4
_INT_MAX = 2**31 - 1  # of the type i
_TEXT_MAX = 400  # bytes of a text; a message has two at most whose length is not ours
TimedMessage: TypeAlias = "tuple[float, OscMessage]"  # seconds


def message(address: str, types: str, *values: str | float) -> OscMessage:
    """Returns a message.

    Args:
        address: What follows ``/gradsound/``.
        types: A letter for each value: i, f or s.
        values: The values. Integers stay at the largest that i has. A text loses what no
            UTF-8 has, and NUL, which would end it.
    """
    builder = OscMessageBuilder(f"/gradsound/{address}")
    for kind, value in zip(types, values, strict=True):
        if isinstance(value, str):
            text = value.replace("\0", "").encode("utf-8", "backslashreplace")
            builder.add_arg(text[:_TEXT_MAX].decode("utf-8", "ignore"), kind)
        elif kind == "i":
            builder.add_arg(int(min(value, _INT_MAX)), kind)
        else:
            builder.add_arg(float(value), kind)
    return builder.build()


def note_messages(
    score: Score, begin: float, step: int, volume: float
) -> list[TimedMessage]:
    """Returns the messages of the audible notes of a score, with their times.

    Args:
        score: The score of one composer.
        begin: Time at which the score begins, in seconds.
        step: Number of the step that it sonifies.
        volume: Linear gain, 0 to 1.
    """
    starts = np.add.accumulate([begin, *score.durations])
    notes = score.notes[score.notes["level"].any(axis=1)] if volume else score.notes[:0]
    times = starts[notes["step"]] + notes["onset"]
    noises = trace_builtin(clang), trace_builtin(breath)
    return [
        (float(time), _note_message(score, note, step, volume, noises))
        for time, note in zip(times, notes)
    ]


def _note_message(
    score: Score, note: np.void, step: int, volume: float, noises: tuple[object, object]
) -> OscMessage:
    voice, track = score.voices[note["voice"]], int(note["track"])
    duration, pan, hertz = note["duration"], note["pan"], note["hertz"]
    levels = note["level"] * volume
    if track < 0:
        kind = [*ALARM_SOUNDS][note["voice"] - len(score.voices)]
        sound = (duration, *hertz, *levels, pan)
        return message("alarm_sound", "issffffff", step, kind, voice.name, *sound)
    if voice == noises[0]:
        address = "infinity" if hertz[0] == INFINITY_HERTZ else "nan"
        return message(address, "iifff", step, track, duration, levels[0], pan)
    if voice == noises[1]:
        return message("breath", "iiffff", step, track, duration, *levels, pan)
    place = step, track, voice.name
    sound = (duration, *hertz, *levels, pan)
    slot = int(note["slot"]), int(note["continues"])
    return message("note", "iisffffffii", *place, *sound, *slot)


def caption_message(caption: Caption) -> OscMessage:
    """Returns the message of a caption: an alarm, or a text of another kind."""
    step = -1 if caption.step is None else caption.step
    if caption.kind in KINDS:
        layer = next(iter(caption.layers), "")
        return message("alarm", "isss", step, caption.kind, layer, caption.text)
    return message("caption", "iss", step, caption.kind, caption.text)


def pack(messages: Iterable[TimedMessage]) -> Iterator[tuple[float, list[OscMessage]]]:
    """Yields messages of one time in lists whose bundles fit into a datagram.

    Args:
        messages: In any order.
    """
    pending: list[OscMessage] = []
    size, time = _BUNDLE_HEAD, 0.0
    for at, one in sorted(messages, key=lambda timed: timed[0]):
        added = _LENGTH + one.size
        if pending and (at != time or size + added > _DATAGRAM_MAX):
            yield time, pending
            pending, size = [], _BUNDLE_HEAD
        pending.append(one)
        size, time = size + added, at
    if pending:
        yield time, pending


def bundle(messages: Sequence[OscMessage], time: float) -> bytes:
    """Returns a datagram.

    Args:
        messages: Of one list of `pack`.
        time: When they are due, in seconds since 1970.
    """
    builder = OscBundleBuilder(time)  # type: ignore[arg-type]  # it takes fractions, too
    for one in messages:
        builder.add_content(one)
    return builder.build().dgram
