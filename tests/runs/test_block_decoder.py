"""Lines that are decoded at once are the steps that they are one by one."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from helpers.step_lines import encode_step
from hypothesis import given
from hypothesis import strategies as st

from gradsound.errors import RunFormatError
from gradsound.runs import block_decoder
from gradsound.runs.block_decoder import decode_block
from gradsound.runs.step import Step
from gradsound.runs.step_line import decode_step

USUAL = b'{"step": 1, "time": 0.5, "norms": [0.5, 2]}'
NEXT = b'{"step": 2, "time": 0.75, "norms": [1, null]}'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["loss", "a"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@pytest.fixture(params=["orjson", "json"], autouse=True)
def decoder(request, monkeypatch) -> None:
    """Decodes with the extra and with the standard library."""
    if request.param == "json":
        monkeypatch.setattr(block_decoder, "orjson", None)


def one_by_one(lines: list[bytes], layers: int, after: int = -1) -> list[Step] | None:
    """Returns the steps of lines; None if one is no step."""
    steps = []
    try:
        for line in lines:
            steps.append(decode_step(line, layers, after))
            after = steps[-1].number
    except RunFormatError:
        return None
    return steps


def assert_decoded(lines: list[bytes], layers: int) -> None:
    """Asserts that lines become their steps, or are left to the decoder of a line."""
    block, expected = decode_block(lines, layers, -1), one_by_one(lines, layers)
    if block is None:
        return
    assert expected is not None
    for one, other in zip([*block], expected, strict=True):
        for field in fields(Step):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if field.name == "signals":
                assert [*left] == [*right]
                assert {own.dtype for own in left.values()} <= {np.dtype(np.float32)}
                left, right = np.array([*left.values()]), np.array([*right.values()])
            if isinstance(right, np.ndarray):
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)
            else:
                assert str(left) == str(right)


def test_what_a_writer_writes_is_decoded_at_once() -> None:
    """Also NaN, infinities, absent layers, clipped and skipped steps, values."""
    norms = np.array(
        [[1.5, np.nan], [np.inf, 3e38], [0.0, 1e-30], [2.0, np.nan]], np.float32
    )
    absent = np.array([[False, False], [False, False], [False, False], [False, True]])
    steps = [Step(k, k / 3, norms[k], absent[k]) for k in range(4)]
    steps += [
        Step(9, 4.0, norms[0], absent[0], 65536.0, skipped=True, discarded=True),
        Step(10, 4.5, norms[2], absent[2], raw=norms[1], values={"loss": np.nan}),
        Step(11, 5.0, norms[2], absent[2], values={"loss": 1.0, "lr": -np.inf}),
        Step(12, 5.0, norms[2], absent[2], signals={"snr": norms[3], "zeros": norms[2]}),
        Step(13, 5.5, norms[2], absent[2], signals={"snr": norms[1]}),
        Step(14, 5.5, norms[2], absent[2], signals={"update_ratio": norms[3] * np.nan}),
    ]
    lines = [encode_step(step) for step in steps]

    block = decode_block(lines, 2, -1)
    assert block is not None
    assert [*block.signals] == ["snr", "zeros"]
    assert_decoded(lines, 2)


@pytest.mark.parametrize(
    "line",
    [
        b'{"step": 1, "time": 0.75, "norms": [1, 2]}',
        b'{"step": true, "time": 0.75, "norms": [1, 2]}',
        b'{"step": 2.0, "time": 0.75, "norms": [1, 2]}',
        b'{"step": 9007199254740993, "time": 0.75, "norms": [1, 2]}',
        b'{"step": 2, "time": -1, "norms": [1, 2]}',
        b'{"step": 2, "time": false, "norms": [1, 2]}',
        b'{"step": 2, "time": 1, "norms": [1]}',
        b'{"step": 2, "time": 1, "norms": [1, true]}',
        b'{"step": 2, "time": 1, "norms": [false, 2]}',
        b'{"step": 2, "time": 1, "norms": [1, 1%s]}' % (b"0" * 400),
        b'{"step": 2, "time": 1, "norms": [1, -2]}',
        b'{"step": 2, "time": 1, "norms": [1, 3.5e38]}',
        b'{"step": 2, "time": 1, "norms": [1, "2"]}',
        b'{"step": 2, "time": 1, "norms": [1, NaN]}',
        b'{"step": 2, "time": 1, "norms": "12"}',
        b'{"step": 2, "time": 1, "norms": {"a": 1, "b": 2}}',
        b'{"step": 2, "time": 1, "norms": [1, null, 2]}',
        b'{"step": 2, "time": "1", "norms": [1, 2]}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "scale": 0}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "scale": true}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "raw": [1, null]}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "raw": [1]}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "skipped": 1}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "discarded": null}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "values": []}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "values": [0]}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "values": {"loss": null}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "values": {"loss": true}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "values": {"loss": 1e999}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "values": {"loss": "one"}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": [1]}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": 1}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": [1]}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": [1, -1]}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": [1, true]}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": [1, "NaN"]}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": [1, "-Infinity"]}}',
        b'{"step": 2, "time": 1, "norms": [1, 2], "signals": {"snr": null}}',
        b'{"step": 2, "time": 1}',
        b"[]",
        b"",
        b'{"step": 2, "time": 1, "norms": [1, 2]',
        b'{"step": 2, "time": 1, "norms": [1, 2]}, {"step": 3}',
    ],
)
def test_a_line_that_is_no_step_is_left_to_the_decoder_of_a_line(line: bytes) -> None:
    """That decoder says what is wrong with it."""
    assert one_by_one([USUAL, line], 2) is None
    assert decode_block([USUAL, line], 2, -1) is None
    assert decode_block([line], 2, 1) is None


def test_steps_follow_those_before() -> None:
    """The first number is above that of the last block."""
    assert decode_block([USUAL, NEXT], 2, 0) is not None
    assert decode_block([USUAL, NEXT], 2, 1) is None


@given(
    st.dictionaries(
        st.sampled_from(["time", "norms", "raw", "scale", "values", "signals"]), json_values
    )
)
def test_any_values_are_decoded_alike_or_left(changes: dict[str, object]) -> None:
    """What a block has is what a line has, type by type."""
    line = json.dumps(json.loads(NEXT) | changes).encode()

    assert_decoded([USUAL, line], 2)
