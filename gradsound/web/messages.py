"""The wire format: encodes the messages that the server sends to a page (docs/web.md).

Shapes: S columns, L layers, K notes.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.music.captions import format_time
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock

# An event of `gradsound.synth.events` without padding, with its voice and its track.
_EVENT = np.dtype(
    [
        ("first", "<f8"),  # frame; a JavaScript number holds 53 bits of an integer
        ("count", "<u4"),
        ("voice", "<u2"),
        ("track", "<i2"),
        ("slot", "<u4"),
        ("phase", "<u4"),
        ("increment", "<u4"),
        ("glide", "<i4"),
        ("fade", "<u4"),
        ("gain", "<f4", 2),
        ("pan", "<f4", 2),
        ("controls", "<f4", (len(CONTROLS), 2)),
    ]
)
_EVENTS, _COLUMNS = 1, 2  # types of binary messages
_STEP_MAX = 2**32 - 1
_ABSENT = np.float32(-1)  # a layer without gradient; no norm is negative


def encode_hello(
    name: str, fields: Mapping[str, Any], tracks: Iterable[tuple[str, Sequence[int]]]
) -> str:
    """Encodes the first message: what the page plays.

    Args:
        name: Name of the run.
        fields: Further entries, see docs/web.md.
        tracks: Name of each track, and the indices of its layers.

    Example:
        >>> message = json.loads(encode_hello("run.jsonl", {}, [("head", (0, 1))]))
        >>> message["run"], message["lines"]
        ('run.jsonl', [{'name': 'head', 'layers': [0, 1]}])
    """
    lines = [{"name": track, "layers": [*layers]} for track, layers in tracks]
    return json.dumps({"kind": "hello", "run": name, **fields, "lines": lines})


def encode_caption(
    caption: Caption, sample_rate: int, *, clock_offset: float = 0.0, past: bool = False
) -> str:
    """Encodes a caption; the page shows it when the sound reaches its frame.

    Args:
        caption: The caption.
        sample_rate: Frames a second, in Hz.
        clock_offset: Seconds to add to the sound's clock to get the run's.
        past: Whether the frame is over, so that the page shows the caption at once.

    Example:
        >>> from gradsound.music.captions import Caption
        >>> caption = Caption(2.0, "NaN in head", "nonfinite", 7)
        >>> message = json.loads(encode_caption(caption, 44_100))
        >>> message["frame"], message["clock"], message["type"], message["warns"]
        (88200, '0:02', 'nonfinite', True)
    """
    message = {
        "kind": "caption",
        "frame": round(caption.time * sample_rate),
        "clock": format_time(caption.time + clock_offset),
        "text": caption.text,
        "type": caption.kind,
        "warns": caption.warns,
        "step": caption.step,
        "past": past,
    }
    return json.dumps(message)


def encode_playing() -> str:
    """Encodes the answer to a page's ``play``: later messages belong to that playback.

    Example:
        >>> encode_playing()
        '{"kind": "playing"}'
    """
    return json.dumps({"kind": "playing"})


def encode_over(outcome: str = "") -> str:
    """Encodes the end of the run.

    Args:
        outcome: How the training ended, in one line; empty if without an exception.

    Example:
        >>> encode_over("interrupted (Ctrl-C)")
        '{"kind": "over", "how": "interrupted (Ctrl-C)"}'
    """
    return json.dumps({"kind": "over", "how": outcome})


def encode_alive() -> str:
    """Encodes a heartbeat, which only shows that the connection works.

    Example:
        >>> encode_alive()
        '{"kind": "alive"}'
    """
    return json.dumps({"kind": "alive"})


def encode_events(
    events: NDArray[np.void],
    voices: NDArray[np.int_],
    tracks: NDArray[np.int_],
    now: int,
    begin: int,
    moment: Moment | None,
) -> bytes:
    """Encodes note events; leaves out silent ones.

    Args:
        events: Of `gradsound.synth.events`, shape (K,).
        voices: Index of each event's voice on the page, shape (K,).
        tracks: Index of each event's track, or -1, shape (K,).
        now: The frame that sounds now.
        begin: The frame at which the moment begins.
        moment: The moment of the events, if any.

    Example:
        >>> from gradsound.synth.events import EVENT
        >>> events = np.zeros(2, EVENT)
        >>> events["gain"][0] = 0.1
        >>> len(encode_events(events, np.zeros(2, int), np.zeros(2, int), 0, 0, None))
        108
    """
    audible = events["gain"].any(axis=1)  # a drone without gradient has silent events
    wire = np.zeros(np.count_nonzero(audible), _EVENT)
    for name in events.dtype.names or ():
        wire[name] = events[name][audible]
    wire["voice"], wire["track"] = voices[audible], tracks[audible]
    first, last = (1, 0) if moment is None else (moment.first, moment.step.number)
    numbers = min(first, _STEP_MAX), min(last, _STEP_MAX)
    head = struct.pack("<IIddII", _EVENTS, len(wire), now, begin, *numbers)
    return head + wire.tobytes()


def encode_column(first: int, step: Step) -> bytes:
    """Encodes a column of the picture: a step, or several merged into one.

    Args:
        first: Number of the first step.
        step: The only step, or the merged one.

    Example:
        >>> from gradsound.runs.step import Step
        >>> step = Step(3, 0.5, np.ones(2, np.float32), np.array([False, True]))
        >>> struct.unpack("<dIIff", encode_column(2, step))
        (0.5, 2, 3, 1.0, -1.0)
    """
    norms = np.where(step.absent, _ABSENT, step.norms).astype("<f4")
    numbers = min(first, _STEP_MAX), min(step.number, _STEP_MAX)
    return struct.pack("<dII", step.time, *numbers) + norms.tobytes()


def encode_columns(columns: Sequence[bytes]) -> bytes:
    """Encodes columns of the picture, each from `encode_column`.

    Example:
        >>> struct.unpack("<II", encode_columns([]))
        (2, 0)
    """
    return struct.pack("<II", _COLUMNS, len(columns)) + b"".join(columns)


def encode_block(firsts: NDArray[np.int64], steps: StepBlock) -> bytes:
    """Encodes columns of the picture at once, as `encode_columns` does.

    Args:
        firsts: Number of the first step of each column, shape (S,).
        steps: The step of each column; of several, the merged one.

    Example:
        >>> from gradsound.runs.step import Step
        >>> from gradsound.runs.step_block import make_block
        >>> step = Step(3, 0.5, np.ones(2, np.float32), np.array([False, True]))
        >>> columns = encode_columns([encode_column(2, step)])
        >>> encode_block(np.array([2]), make_block([step])) == columns
        True
    """
    fields = ("time", "<f8"), ("first", "<u4"), ("last", "<u4")
    columns = np.empty(len(steps), [*fields, ("norms", "<f4", steps.norms.shape[1:])])
    columns["time"] = steps.times
    columns["first"] = np.minimum(firsts, _STEP_MAX)
    columns["last"] = np.minimum(steps.numbers, _STEP_MAX)
    columns["norms"] = np.where(steps.absent, _ABSENT, steps.norms)
    return struct.pack("<II", _COLUMNS, len(columns)) + columns.tobytes()


def encode_marks(alarms: Iterable[tuple[int, str, str]]) -> str:
    """Encodes the alarms of a finished run: step number, kind and text of each.

    Example:
        >>> encode_marks([(7, "spike", "spike in a")])
        '{"kind": "marks", "marks": [{"step": 7, "type": "spike", "text": "spike in a"}]}'
    """
    marks = [{"step": step, "type": kind, "text": text} for step, kind, text in alarms]
    return json.dumps({"kind": "marks", "marks": marks})
