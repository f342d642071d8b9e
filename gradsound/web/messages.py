"""The wire format: encodes the messages that the server sends to a page (docs/web.md).

Shapes: S columns, R rows, K notes.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradsound.music.captions import format_time
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.web.columns import Columns

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


class Mark(NamedTuple):
    """The mark of an alarm in the picture.

    Attributes:
        step: Number of its step.
        kind: Kind of the alarm.
        text: Text of the alarm.
        rows: Indices of the rows that have its layers.
    """

    step: int
    kind: str
    text: str
    rows: Sequence[int]


def encode_hello(
    name: str, fields: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> str:
    """Encodes the first message: what the page plays.

    Args:
        name: Name of the run.
        fields: Further entries, see docs/web.md.
        lines: What a user can switch on and off, from `LayerPlaces.lines`.

    Example:
        >>> encode_hello("run.jsonl", {"live": True}, [])
        '{"kind": "hello", "run": "run.jsonl", "live": true, "lines": []}'
    """
    return json.dumps({"kind": "hello", "run": name, **fields, "lines": lines})


def encode_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Encodes the rows of the picture: all columns from now on have their norms.

    Args:
        rows: The rows, from `RowView.describe`.

    Example:
        >>> encode_rows([])
        '{"kind": "rows", "rows": []}'
    """
    return json.dumps({"kind": "rows", "rows": rows})


def encode_tree(tree: Mapping[str, Any]) -> str:
    """Encodes the layers in groups, for a page that makes its rows by itself.

    All columns from now on have a norm for each layer, in the order of the tree; the rows
    of a caption are the places of its layers in that order.

    Args:
        tree: The tree, from `tree_data`.

    Example:
        >>> encode_tree({"groups": [], "order": [], "rows_max": 48})
        '{"kind": "tree", "tree": {"groups": [], "order": [], "rows_max": 48}}'
    """
    return json.dumps({"kind": "tree", "tree": tree})


def encode_caption(
    caption: Caption,
    sample_rate: int,
    *,
    layer: int | None = None,
    rows: Sequence[int] = (),
    clock_offset: float = 0.0,
    past: bool = False,
) -> str:
    """Encodes a caption; the page shows it when the sound reaches its frame.

    Args:
        caption: The caption.
        sample_rate: Frames a second, in Hz.
        layer: Index of the layer that an alarm names, if any.
        rows: Indices of the rows that have the layers of an alarm.
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
        "layer": layer,
        "rows": rows,
        "past": past,
    }
    return json.dumps(message)


def encode_signals(frame: int, step: int, rows: Sequence[Mapping[str, Any]]) -> str:
    """Encodes the signals of bands; the page shows them when the sound reaches a frame.

    Args:
        frame: The frame of the step.
        step: Number of the step.
        rows: The name of each band, and its signals by name; None for an unknown number.

    Example:
        >>> encode_signals(0, 7, [{"name": "fc", "snr": 0.5}])
        '{"kind": "signals", "frame": 0, "step": 7, "rows": [{"name": "fc", "snr": 0.5}]}'
    """
    return json.dumps({"kind": "signals", "frame": frame, "step": step, "rows": rows})


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


def encode_columns(columns: Columns) -> bytes:
    """Encodes columns of the picture.

    Args:
        columns: S columns with a norm for each of R rows.

    Example:
        >>> from gradsound.web.columns import Columns
        >>> norms = np.array([[1, -1]], np.float32)
        >>> columns = Columns(np.array([0.5]), np.array([2]), np.array([3]), norms)
        >>> struct.unpack("<IIdIIff", encode_columns(columns))
        (2, 1, 0.5, 2, 3, 1.0, -1.0)
    """
    fields = ("time", "<f8"), ("first", "<u4"), ("last", "<u4")
    wire = np.empty(len(columns), [*fields, ("norms", "<f4", columns.norms.shape[1:])])
    wire["time"] = columns.times
    wire["first"] = np.minimum(columns.firsts, _STEP_MAX)
    wire["last"] = np.minimum(columns.lasts, _STEP_MAX)
    wire["norms"] = columns.norms
    return struct.pack("<II", _COLUMNS, len(columns)) + wire.tobytes()


def encode_marks(marks: Iterable[Mark]) -> str:
    """Encodes the alarms of a finished run.

    Example:
        >>> encode_marks([Mark(7, "spike", "spike in a", [0])])
        '{"kind": "marks", "marks": [{"step": 7, "type": "spike", "text": "spike in a", \
"rows": [0]}]}'
    """
    entries = [
        {"step": mark.step, "type": mark.kind, "text": mark.text, "rows": mark.rows}
        for mark in marks
    ]
    return json.dumps({"kind": "marks", "marks": entries})
