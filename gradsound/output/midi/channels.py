"""The channels of tones. A bend is that of a whole channel, so each tone needs one alone.

If more tones sound at once than there are channels, each channel has a bend of its own
instead, a fifteenth of a semitone from the next, and plays all notes that are near it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.output.midi.tones import KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.output.midi.tones import Part, Tone

PERCUSSION = 9  # the channel that musicians call 10
CHANNELS = tuple(channel for channel in range(16) if channel != PERCUSSION)


def assign_channels(tones: Sequence[Tone]) -> list[int] | None:
    """Returns a channel for each tone, alone; None if more than 15 tones sound at once.

    Up to 15 parts have a channel each, in the order of the tracks. Of more parts, a tone
    gets the channel that has been silent for the longest time, so an older tone has faded
    out before its channel bends.

    Args:
        tones: In order of their beginnings.
    """
    parts = order_parts(tones)
    few = len(parts) <= len(CHANNELS)
    homes: dict[Part, int] = dict(zip(parts, CHANNELS)) if few else {}
    users = {channel: part for part, channel in homes.items()}
    ends = dict.fromkeys(CHANNELS, -1)  # tick of the last tone
    assigned = []
    for tone in tones:
        channel = homes.get(tone.part)
        if channel is None or users[channel] != tone.part or ends[channel] > tone.begin:
            channel = min(CHANNELS, key=ends.__getitem__)
            if ends[channel] >= tone.begin:
                return None
        homes[tone.part], users[channel] = channel, tone.part
        ends[channel] = tone.end
        assigned.append(channel)
    return assigned


def order_parts(tones: Sequence[Tone]) -> list[Part]:
    """Returns the parts of tones: the norms of all tracks, then those before clipping."""
    return sorted({tone.part for tone in tones}, key=lambda part: (part[2], *part))


def share_channels(tones: Sequence[Tone]) -> tuple[list[Tone], list[int]]:
    """Returns tones within 3.4 cents of their pitches, and the channel of each.

    A channel has one instrument and one place between left and right for all its notes:
    those of the first tone, and the middle. A channel plays a key once at a time, so a note
    ends before the next one on its key begins.

    Args:
        tones: Without glides, in order of their beginnings.
    """
    shared: list[Tone] = []
    channels: list[int] = []
    last: dict[tuple[int, int], int] = {}  # index of the last tone by channel and key
    for tone in tones:
        steps = round((tone.key + float(tone.bends[0])) * len(CHANNELS))
        key, step = divmod(min(steps, KEYS * len(CHANNELS)), len(CHANNELS))
        channel, bends = CHANNELS[step], np.full(1, step / len(CHANNELS))
        before = last.get((channel, key))
        if before is not None and shared[before].end >= tone.begin:
            older = shared[before]
            stands = older.part == tone.part and older.sustained
            if stands or older.begin >= tone.begin - 1:
                shared[before] = replace(older, end=max(older.end, tone.end))
                continue
            # Strictly before, as their tracks have no order within a tick.
            shared[before] = replace(older, end=tone.begin - 1)
        last[channel, key] = len(shared)
        voice = tones[0].voice
        shared.append(replace(tone, key=key, bends=bends, voice=voice, pan=0.0))
        channels.append(channel)
    return shared, channels
