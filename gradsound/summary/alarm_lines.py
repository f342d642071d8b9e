"""Lines of text about the alarms of a run: many of one kind in few lines.

The text of an alarm is that of its caption. Its recovery is on the same line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.thresholds import Alarm

LISTED = 3  # alarms of each kind on lines of their own; fifty spikes say no more
_NAMED_MAX = 4  # layers that a line names; of more it names the first and the last


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """A line about an alarm, or about several of one kind.

    Attributes:
        step: Number of the step, or of the first one.
        kind: The kind of the alarms.
        text: What happened.
    """

    step: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"step {self.step:,}: {self.text}"


def count_alarms(alarms: Sequence[Alarm]) -> str:
    """Returns how many alarms of each kind there are, without recoveries: "2 spike"."""
    counts = Counter(alarm.kind for alarm in alarms if not alarm.resolves)
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def alarm_lines(alarms: Sequence[Alarm], listed: int | None = LISTED) -> list[AlarmLine]:
    """Returns a line for each of the first alarms of a kind, and one for the others.

    Args:
        alarms: In the order of their steps.
        listed: How many alarms of each kind have a line; None for all.
    """
    ends, ending, lasting = _find_ends(alarms)
    by_kind: dict[str, list[int]] = {}
    for k, alarm in enumerate(alarms):
        if k not in ending:
            by_kind.setdefault(alarm.kind, []).append(k)
    lines: dict[int, AlarmLine] = {}
    for kind, indices in by_kind.items():
        # A single one beyond the limit takes no more space than a line that counts it.
        few = len(indices) if listed is None or len(indices) <= listed + 1 else listed
        for k in indices[:few]:
            text = text_with_layers(alarms[k])
            if k in ends:
                text += f", over at step {alarms[ends[k]].step:,}"
            elif k in lasting:
                text += ", not over at the end"
            lines[k] = AlarmLine(alarms[k].step, kind, text)
        if rest := indices[few:]:
            last = alarms[rest[-1]].step
            text = f"{len(rest):,} more of kind {kind}, the last at step {last:,}"
            lines[rest[0]] = AlarmLine(alarms[rest[0]].step, kind, text)
    return [lines[k] for k in sorted(lines)]


def text_with_layers(alarm: Alarm) -> str:
    """Returns the text, with the names of the layers that it only counts."""
    others = alarm.layers[1:]
    text, counted, end = alarm.text.rpartition(f" (and {len(others)} more)")
    if not counted:
        return alarm.text
    few = len(others) <= _NAMED_MAX
    names = ", ".join(others) if few else f"{len(others)} more, {others[0]} to {others[-1]}"
    return f"{text} (and {names}){end}"


def _find_ends(alarms: Sequence[Alarm]) -> tuple[dict[int, int], set[int], set[int]]:
    """Returns the index of the recovery that ends each alarm; and all these recoveries.

    A recovery of some layers of an alarm does not end it. Such a recovery is not among
    those returned, so it has a line of its own.

    Returns:
        These two, and the alarms whose condition lasts in all their layers.
    """
    ends: dict[int, int] = {}
    ending: set[int] = set()
    open_alarms: dict[int, set[str]] = {}  # by index: layers that did not recover yet
    for k, alarm in enumerate(alarms):
        if not alarm.resolves:
            open_alarms[k] = {*alarm.layers} or {""}
            continue
        recovered = {*alarm.layers} or {""}
        for other in [*open_alarms]:
            layers = open_alarms[other]
            if alarms[other].kind != alarm.resolves or not (layers & recovered):
                continue
            layers -= recovered  # in place
            if not layers:
                ends[other] = k
                ending.add(k)
                del open_alarms[other]
    lasting = {
        k
        for k, layers in open_alarms.items()
        if alarms[k].persists and len(layers) == max(1, len(alarms[k].layers))
    }
    return ends, ending, lasting
