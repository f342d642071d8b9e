"""The format: what is written is what is read, and what is not a run is refused."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradsound.errors import RunFormatError
from gradsound.runs.json_lines import decode_header, decode_step, encode_header, encode_step
from gradsound.runs.model import Header, Step

NORMS = st.one_of(
    st.none(), st.just(math.nan), st.floats(min_value=0, width=32), st.just(-math.inf)
)


@given(
    st.lists(NORMS, min_size=1, max_size=9),
    st.integers(0, 2**53),
    st.floats(0, 1e9),
    st.one_of(st.none(), st.floats(2**-40, 2**40)),
    st.booleans(),
    st.booleans(),
)
@example([None], 0, 2**26 + 0.3046875, None, False, False)  # rounded twice
def test_steps_round_trip(
    norms: list[float | None],
    number: int,
    time: float,
    scale: float | None,
    skipped: bool,
    clipped: bool,
) -> None:
    """Every float32 norm, NaN, both infinities and None are read as they were written."""
    absent = np.array([norm is None for norm in norms])
    values = np.array(norms, np.float32)
    with np.errstate(over="ignore"):
        raw = 3 * values if clipped else None
    step = Step(number, time, values, absent, scale, skipped, raw)
    line = encode_step(step)
    read = decode_step(line, len(norms), number - 1)

    assert line.endswith(b"\n")
    assert (read.number, read.norms.dtype) == (number, np.float32)
    assert (read.scale, read.skipped) == (scale, skipped)
    assert read.time == round(time, 6)  # whole microseconds
    np.testing.assert_array_equal(read.norms, step.norms)
    np.testing.assert_array_equal(read.absent, absent)
    assert (read.raw is None) == (raw is None)
    if clipped:
        np.testing.assert_array_equal(read.raw, raw)


def test_any_bits_of_a_float32_round_trip() -> None:
    """A hundred thousand of them, drawn from all: eight digits would lose some."""
    bits = np.random.default_rng(0).integers(0, 2**31, 100_000, np.uint32)
    norms = bits.view(np.float32)
    norms = norms[np.isfinite(norms)]
    line = encode_step(Step(0, 1 / 3, norms, np.zeros(len(norms), bool)))

    np.testing.assert_array_equal(decode_step(line, len(norms), -1).norms, norms)


@given(st.lists(NORMS, min_size=1, max_size=9))
def test_lines_are_standard_json(norms: list[float | None]) -> None:
    """No bare NaN or Infinity, so that any JSON reader can read a run."""
    absent = np.array([norm is None for norm in norms])
    line = encode_step(Step(0, 1 / 3, np.array(norms, np.float32), absent))

    json.loads(line, parse_constant=pytest.fail)


@given(
    st.lists(st.text(), min_size=1, max_size=5, unique=True),
    st.text(),
    st.one_of(st.none(), st.floats(0, 1, exclude_min=True, exclude_max=True)),
)
def test_headers_round_trip(layers: list[str], comment: str, budget: float | None) -> None:
    """Names and notes may be any text, even one that is no UTF-8."""
    comment += "\ud800"
    parameters = tuple(range(len(layers)))
    header = Header(
        layers=tuple(layers),
        parameters=parameters,
        start="",
        comment=comment,
        budget=budget,
    )

    assert decode_header(encode_header(header)) == header


@given(st.binary(max_size=200))
def test_any_bytes_are_a_step_or_refused(line: bytes) -> None:
    """No line, however strange, gets past the reader with another error."""
    for decode in (decode_header, lambda line: decode_step(line, 2, -1)):
        try:
            decode(line)
        except RunFormatError as error:
            assert "expected" in str(error)  # noqa: PT017 (both outcomes are good)


GOOD = {"step": 3, "time": 1 / 3, "norms": [1 / 3, None]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 2}, "whole number above 2, got 2"),
        ({"step": 3.0}, "whole number above 2, got 3.0"),
        ({"step": True}, "whole number above 2, got True"),
        ({"step": None}, "whole number above 2, got None"),
        ({"step": 2**63}, "whole number above 2, got 9223372036854775808"),
        ({"time": -1}, "seconds since the start, got -1"),
        ({"time": "now"}, "seconds since the start, got 'now'"),
        ({"time": 10**400}, "seconds since the start, got 1000"),
        ({"norms": [1.0]}, "a list of 2, got 1 of them"),
        ({"norms": {"a": 1}}, r"a list of 2, got \{'a': 1\}"),
        ({"norms": [1.0, -0.5]}, "float32 of 0 or more, .* got -0.5"),
        ({"norms": [1.0, 1e39]}, r"got 1e\+39"),
        ({"norms": [1.0, 10**400]}, "got 1000"),
        ({"norms": [1.0, True]}, "got True"),
        ({"norms": [1.0, "1.0"]}, "got '1.0'"),
        ({"scale": 0}, "a number above 0, got 0"),
        ({"scale": "big"}, "a number above 0, got 'big'"),
        ({"skipped": 1}, "true or false, got 1"),
        ({"norms": [1.0, [2.0]]}, r"got \[2.0\]"),
        ({"raw": [1.0]}, 'expected "raw": a list of 2, got 1 of them'),
        ({"raw": 1.0}, 'expected "raw": a list of 2, got 1.0'),
        ({"raw": [-1.0, None]}, "float32 of 0 or more, .* got -1.0"),
        ({"raw": [1.0, 2.0]}, '"raw" to be null where "norms" are'),
        ({"raw": [None, None]}, '"raw" to be null where "norms" are'),
    ],
)
def test_wrong_values_are_named(change: dict[str, object], message: str) -> None:
    """A step with one wrong value is refused with that value and what it should be."""
    decode_step(json.dumps(GOOD).encode(), 2, 2)

    with pytest.raises(RunFormatError, match=message):
        decode_step(json.dumps(GOOD | change).encode(), 2, 2)


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"3", b"{", b'{"step": NaN}', b"\xff{}", b"[" * 100_000, b"\0" * 99],
)
def test_no_json_object_is_refused(line: bytes) -> None:
    """What is not a JSON object is shown by its beginning."""
    with pytest.raises(RunFormatError, match="expected a JSON object, got "):
        decode_step(line, 2, 2)


HEADER = {"format": "gradsound-run", "version": "1.0", "layers": ["a"], "parameters": [3]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "midi"}, "expected a run, which begins"),
        ({"version": "2.0"}, r"run format 2.0; this gradsound reads up to 1.x: install"),
        ({"version": 1}, 'expected "version" such as "1.0", got 1'),
        ({"version": "x.1"}, "got 'x.1'"),
        ({"layers": []}, "a list of different names"),
        ({"layers": ["a", "a"]}, "a list of different names"),
        ({"layers": [1]}, "a list of different names"),
        ({"parameters": [1, 2]}, "a list of 1 counts"),
        ({"parameters": ["1"]}, "a list of 1 counts"),
        ({"note": 1}, '"note" to be texts'),
    ],
)
def test_wrong_headers_are_refused(change: dict[str, object], message: str) -> None:
    """A header with one wrong entry is refused for that entry."""
    decode_header(json.dumps(HEADER).encode())

    with pytest.raises(RunFormatError, match=message):
        decode_header(json.dumps(HEADER | change).encode())


def test_newer_minor_versions_are_read() -> None:
    """What a newer minor version adds is ignored, in the header and in steps."""
    header = decode_header(json.dumps(HEADER | {"version": "1.7", "new": [1]}).encode())
    step = decode_step(json.dumps(GOOD | {"loss": "NaN"}).encode(), 2, 2)

    assert header.layers == ("a",)
    assert step.number == 3
