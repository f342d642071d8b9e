"""What a page is told, as it goes over the wire; docs/web.md is its description.

Shapes: L layers, K notes.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.music.captions import clock
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.runs.model import Step

# A note as an event of `gradsound.synth.events`, without gaps, and whose it is.
_EVENT = np.dtype(
    [
        ("first", "<f8"),  # frame: JavaScript has no whole numbers of so many bits
        ("count", "<u4"),
        ("voice", "<u2"),
        ("line", "<i2"),
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
_EVENTS, _COLUMNS = 1, 2  # kinds of binary messages
_STEP_MAX = 2**32 - 1
_ABSENT = np.float32(-1)  # a layer without gradient; norms are not negative


def hello(
    name: str, about: Mapping[str, Any], lines: Iterable[tuple[str, Sequence[int]]]
) -> str:
    """The first message: what is heard.

    Args:
        name: Of the run.
        about: Further entries, as docs/web.md has them.
        lines: What sounds: the name of each, and the layers that it gathers.
    """
    told = [{"name": line, "layers": [*layers]} for line, layers in lines]
    return json.dumps({"kind": "hello", "run": name, **about, "lines": told})


def caption(
    caption: Caption, sample_rate: int, *, later: float = 0.0, past: bool = False
) -> str:
    """A caption, to be shown when its frame is heard, or at once if it is past.

    Args:
        caption: What to show.
        sample_rate: Frames a second, in Hz.
        later: Seconds by which the run's clock, which is told, is before that of the sound.
        past: Whether its frame was heard before.
    """
    message = {
        "kind": "caption",
        "frame": round(caption.time * sample_rate),
        "clock": clock(caption.time + later),
        "text": caption.text,
        "type": caption.kind,
        "warns": caption.warns,
        "step": caption.step,
        "past": past,
    }
    return json.dumps(message)


def playing() -> str:
    """What was asked for begins: what comes now is of that."""
    return json.dumps({"kind": "playing"})


def over(how: str = "") -> str:
    """The run is over; how it ended, in words, if that is known."""
    return json.dumps({"kind": "over", "how": how})


def alive() -> str:
    """Nothing but that there is a connection."""
    return json.dumps({"kind": "alive"})


def events(
    events: NDArray[np.void],
    voices: NDArray[np.int_],
    lines: NDArray[np.int_],
    now: int,
    begin: int,
    moment: Moment | None,
) -> bytes:
    """Notes that are to sound.

    Args:
        events: Of `gradsound.synth.events`, shape (K,).
        voices: Which of the page's voices plays each, shape (K,).
        lines: Which line each belongs to, or -1, shape (K,).
        now: The frame that is to be heard now.
        begin: The frame at which the moment begins.
        moment: Whose notes they are, if they are of one.
    """
    heard = events["gain"].any(axis=1)  # what a drone does not sound at present, is not
    wire = np.zeros(np.count_nonzero(heard), _EVENT)
    for name in events.dtype.names or ():
        wire[name] = events[name][heard]
    wire["voice"], wire["line"] = voices[heard], lines[heard]
    first, last = (1, 0) if moment is None else (moment.first, moment.step.number)
    numbers = min(first, _STEP_MAX), min(last, _STEP_MAX)
    head = struct.pack("<IIddII", _EVENTS, len(wire), now, begin, *numbers)
    return head + wire.tobytes()


def column(first: int, step: Step) -> bytes:
    """What the picture shows of one step, or of several, the first of which is given."""
    norms = np.where(step.absent, _ABSENT, step.norms).astype("<f4")
    numbers = min(first, _STEP_MAX), min(step.number, _STEP_MAX)
    return struct.pack("<dII", step.time, *numbers) + norms.tobytes()


def columns(made: Sequence[bytes]) -> bytes:
    """Columns of the picture, each made by `column`."""
    return struct.pack("<II", _COLUMNS, len(made)) + b"".join(made)


def marks(found: Iterable[tuple[int, str, str]]) -> str:
    """Where in a finished run something happens: numbers of steps, kinds and texts."""
    told = [{"step": step, "type": kind, "text": text} for step, kind, text in found]
    return json.dumps({"kind": "marks", "marks": told})
