"""The channels of tones: never two tones at once on one, whatever plays."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradsound.output.midi.channels import (
    CHANNELS,
    PERCUSSION,
    assign_channels,
    share_channels,
)
from gradsound.output.midi.tones import Tone


def tone(part: int, begin: int, length: int) -> Tone:
    """Returns a tone of a track."""
    point = np.zeros(1)
    return Tone(
        (0, part, 0),
        begin,
        begin + length,
        60,
        0,
        0.0,
        False,
        point.astype(int),
        point,
        point,
    )


TONES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 60), st.integers(1, 6)), max_size=80
)


@given(TONES)
def test_no_two_tones_share_a_channel(drawn: list[tuple[int, int, int]]) -> None:
    """A tone begins when the last one on its channel is over, or too many sound at once."""
    tones = sorted((tone(*one) for one in drawn), key=lambda one: one.begin)
    channels = assign_channels(tones)
    if channels is None:
        assert max(sum(a.begin <= b.begin <= a.end for a in tones) for b in tones) > 15
        return
    for channel in {*channels}:
        assert channel in CHANNELS
        assert channel != PERCUSSION
        its = [one for one, number in zip(tones, channels) if number == channel]
        for one, after in pairwise(its):
            # Strictly before another part, as tracks have no order within a tick.
            assert one.end + (one.part != after.part) <= after.begin


def test_few_parts_keep_their_channels() -> None:
    """Fifteen parts have a channel each, in order; none is that of percussion."""
    tones = [tone(part, 100 * k, 50) for k, part in enumerate([*range(14, -1, -1)] * 3)]

    assert assign_channels(tones) == [*CHANNELS[::-1]] * 3


def test_sixteen_tones_at_once_are_too_many() -> None:
    """Fifteen channels bend alone."""
    assert assign_channels([tone(part, 0, 50) for part in range(16)]) is None
    assert assign_channels([tone(part, 0, 50) for part in range(15)]) == [*CHANNELS]


@given(TONES, st.floats(0, 126))
def test_shared_channels_are_in_tune(
    drawn: list[tuple[int, int, int]], lowest: float
) -> None:
    """Each note is within 3.4 cents of its pitch; a key of a channel is on once at a time.

    A note is left out only if another one of its pitch begins with it.
    """
    tones = sorted((tone(*one) for one in drawn), key=lambda one: one.begin)
    tones = [
        replace(one, bends=np.array([min(lowest + one.part[1] / 40, 127.0) - one.key]))
        for one in tones
    ]
    shared, channels = share_channels(tones)
    pitches = [one.key + one.bends[0] for one in shared]

    for one in tones:
        pitch = one.key + one.bends[0]
        near = [
            other
            for other, its in zip(shared, pitches)
            if abs(its - pitch) <= 0.034 and abs(other.begin - one.begin) <= 1
        ]
        assert near
    for place in {*zip(channels, (one.key for one in shared))}:
        its = [one for one, number in zip(shared, channels) if (number, one.key) == place]
        assert all(one.end < after.begin for one, after in pairwise(its))
        assert len({float(one.bends[0]) for one in its}) == 1
