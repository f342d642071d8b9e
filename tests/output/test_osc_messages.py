"""Messages of Open Sound Control: what stands for each note, and how they are packed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from helpers.osc import osc_bundle, osc_message
from helpers.runs import make_run
from helpers.scores import compose_run, note, score
from hypothesis import given
from hypothesis import strategies as st

from gradsound.alarms.thresholds import KINDS
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.captions import Caption
from gradsound.music.composer import Composer
from gradsound.music.presets import find_preset
from gradsound.output.osc_messages import (
    bundle,
    caption_message,
    message,
    note_messages,
    pack,
)


def decoded(one: object) -> tuple[str, list[object]]:
    """Returns address and values of a message, as python-osc decodes its bytes."""
    received = osc_message.OscMessage(one.dgram)
    return received.address, received.params


def test_a_note_has_its_sound_and_its_place() -> None:
    """Times are those of the onsets; levels have the volume; other values are as given."""
    notes = [
        note((440.0, 660.0), step=1, track=2, slot=5, onset=0.25, level=0.1, pan=-0.5),
        note(220.0, level=0.0),  # inaudible
    ]
    one = score(*notes, voice="bell")
    one = type(one)(one.voices, one.notes, np.array([1.5, 1.0]))
    ((at, sent),) = note_messages(one, begin=3.0, step=12, volume=0.5)

    assert at == 3.0 + 1.5 + 0.25
    address, values = decoded(sent)
    assert address == "/gradsound/note"
    assert values[:3] == [12, 2, "bell"]
    assert values[3:] == pytest.approx([1.0, 440.0, 660.0, 0.05, 0.05, -0.5, 5, 0])


def test_nan_infinity_and_zero_are_messages_of_their_own() -> None:
    """No value of any message is NaN or infinite; their notes are told by the address."""
    run = make_run([[np.nan, np.inf, 0.0, 1e38]])
    one = compose_run(run, find_preset("notes"))
    sent = [decoded(one) for _, one in note_messages(one, 0.0, 0, 1.0)]
    tracks = {address: values[1] for address, values in sent if "alarm" not in address}

    assert tracks == {
        "/gradsound/nan": 0,
        "/gradsound/infinity": 1,
        "/gradsound/breath": 2,
        "/gradsound/note": 3,
    }
    numbers = [v for _, values in sent for v in values if isinstance(v, float)]
    assert np.isfinite(numbers).all()


def test_alarm_sounds_name_their_alarm() -> None:
    """Each kind of alarm sound has its kind and its rhythm."""
    composer = Composer(("a",), find_preset("notes"))
    for kind in KINDS:
        if kind not in ALARM_SOUNDS:
            continue
        voice = len(composer.voices) - len(ALARM_SOUNDS) + [*ALARM_SOUNDS].index(kind)
        one = type(score())(composer.voices, note(100.0, track=-1, voice=voice), np.ones(1))
        ((_, sent),) = note_messages(one, 0.0, 4, 1.0)
        address, values = decoded(sent)
        assert address == "/gradsound/alarm_sound"
        assert values[:3] == [4, kind, composer.voices[voice].name]
        assert values[3:] == pytest.approx([1.0, 100, 100, 1 / 3, 1 / 3, 0.0])


def test_a_caption_is_an_alarm_or_a_text() -> None:
    """An alarm has its kind and first layer; texts are UTF-8 without NUL, not too long."""
    alarm = Caption(1.0, "step 7: NaN in \udc80\0é", "nonfinite", 7, ("块\udc80", "b"))

    assert decoded(caption_message(alarm)) == (
        "/gradsound/alarm",
        [7, "nonfinite", "块\\udc80", "step 7: NaN in \\udc80é"],
    )
    minute = Caption(1.0, "块" * 5000, "minute")
    address, values = decoded(caption_message(minute))
    assert (address, values[:2]) == ("/gradsound/caption", [-1, "minute"])
    assert values[2] == "块" * 133  # 399 bytes


def test_a_step_beyond_32_bits_stays_at_the_largest() -> None:
    """The type i has 32 bits, and every receiver knows it."""
    assert decoded(message("end", "i", 2**40)) == ("/gradsound/end", [2**31 - 1])


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 7.0]), st.integers(0, 300)), max_size=120
    )
)
def test_bundles_fit_into_datagrams(drawn: list[tuple[float, int]]) -> None:
    """No datagram has more than 1400 bytes; none mixes times; nothing is lost."""
    now = time.time()
    messages = [
        (now + at, message("caption", "iss", k, "\udc80" * length, "é" * length))
        for k, (at, length) in enumerate(drawn)
    ]
    datagrams = [bundle(together, at) for at, together in pack(messages)]

    assert all(len(datagram) <= 1400 for datagram in datagrams)
    bundles = [osc_bundle.OscBundle(datagram) for datagram in datagrams]
    received = [(one.params[0], each.timestamp) for each in bundles for one in each]
    sent = sorted(enumerate(at for at, _ in messages), key=lambda one: one[1])
    assert [k for k, _ in received] == [k for k, _ in sent]
    np.testing.assert_allclose(
        [at for _, at in received], [at for _, at in sent], rtol=0, atol=1e-6
    )
    # Two datagrams of one time would fit into no single one.
    sizes: dict[float, int] = {}
    for each in bundles:
        assert sizes.get(each.timestamp, 1400) + each.size > 1400
        sizes[each.timestamp] = each.size
