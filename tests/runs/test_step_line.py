"""The run format: encoding and decoding are inverse, and other lines are refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.step_lines import encode_step
from hypothesis import example, given
from hypothesis import strategies as st

from gradsound.errors import RunFormatError
from gradsound.runs import step_line
from gradsound.runs.header_line import decode_header, encode_header
from gradsound.runs.model import Header
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.step_line import decode_step, encode_block

NORMS = st.one_of(
    st.none(), st.just(math.nan), st.floats(min_value=0, width=32), st.just(-math.inf)
)

with_and_without_orjson = pytest.mark.parametrize(
    "encoder", [step_line.orjson, None], ids=["orjson", "python"]
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
    loss_scale: float | None,
    skipped: bool,
    clipped: bool,
) -> None:
    """Decoding returns every float32 norm, NaN, infinity and None as it was encoded."""
    absent = np.array([norm is None for norm in norms])
    values = np.array(norms, np.float32)
    with np.errstate(over="ignore"):
        raw = 3 * values if clipped else None
    step = Step(number, time, values, absent, loss_scale, skipped, raw)
    step = replace(step, discarded=skipped and clipped)
    line = encode_step(step)
    decoded = decode_step(line, len(norms), number - 1)

    assert line.endswith(b"\n")
    assert (decoded.number, decoded.norms.dtype) == (number, np.float32)
    assert (decoded.loss_scale, decoded.skipped) == (loss_scale, skipped)
    assert decoded.discarded == step.discarded
    assert decoded.time == round(time, 6)  # whole microseconds
    np.testing.assert_array_equal(decoded.norms, step.norms)
    np.testing.assert_array_equal(decoded.absent, absent)
    assert (decoded.raw is None) == (raw is None)
    if clipped:
        np.testing.assert_array_equal(decoded.raw, raw)


@with_and_without_orjson
def test_any_bits_of_a_float32_round_trip(encoder: object, monkeypatch) -> None:
    """100,000 random float32 numbers survive; with eight digits, some would not."""
    monkeypatch.setattr(step_line, "orjson", encoder)
    bits = np.random.default_rng(0).integers(0, 2**31, 100_000, np.uint32)
    norms = bits.view(np.float32)
    norms = norms[np.isfinite(norms)]
    line = encode_step(Step(0, 1 / 3, norms, np.zeros(len(norms), bool)))

    np.testing.assert_array_equal(decode_step(line, len(norms), -1).norms, norms)


@with_and_without_orjson
def test_a_block_has_the_lines_of_its_steps(encoder: object, monkeypatch) -> None:
    """One norm that is no number changes the line of its own step alone."""
    monkeypatch.setattr(step_line, "orjson", encoder)
    rows = [[0.5, 1.25], [math.nan, 3e-9], [math.inf, 2.5], [0.1, math.nan]]
    absent = np.array([False, False])
    steps = [Step(k, k / 4, np.array(r, np.float32), absent) for k, r in enumerate(rows)]
    steps[3] = replace(steps[3], absent=np.array([False, True]), values={"loss": 2.0})
    lines = encode_block(make_block(steps)).splitlines(keepends=True)

    assert lines == [*map(encode_step, steps)]
    read = [json.loads(line)["norms"] for line in lines]
    assert read[1:3] == [["NaN", np.float32(3e-9)], ["Infinity", 2.5]]
    assert (read[3], b'"values"' in lines[2]) == ([pytest.approx(0.1), None], False)


@given(st.lists(NORMS, min_size=1, max_size=9))
def test_lines_are_standard_json(norms: list[float | None]) -> None:
    """A line has no bare NaN or Infinity, which other JSON readers refuse."""
    absent = np.array([norm is None for norm in norms])
    line = encode_step(Step(0, 1 / 3, np.array(norms, np.float32), absent))

    json.loads(line, parse_constant=pytest.fail)


def test_lines_have_the_keys_that_they_need() -> None:
    """Optional keys are written where they say something, and in a fixed order."""
    header = Header(layers=("a",), parameters=(3,), start="now", comment="ü")
    step = Step(3, 1.5, np.array([0.5], np.float32), np.array([False]))
    values = {"loss": 1 / 3, "NaN": math.nan, "up": math.inf, "down": -math.inf, "ü": 0.0}
    full = replace(step, loss_scale=8.0, raw=3 * step.norms, values=values)
    full = replace(full, skipped=True, discarded=True, signals={"snr": step.norms})

    assert encode_header(header).decode() == (
        '{"format": "gradsound-run", "version": "1.4", "start": "now", "note": "ü", '
        '"layers": ["a"], "parameters": [3]}\n'
    )
    assert json.loads(encode_header(replace(header, budget=0.5)))["budget"] == 0.5
    assert encode_step(step) == b'{"step": 3, "time": 1.500000, "norms": [0.5]}\n'
    assert b'"discarded": true' in encode_step(replace(step, discarded=True))
    assert encode_step(full).decode() == (
        '{"step": 3, "time": 1.500000, "norms": [0.5], "raw": [1.5], "scale": 8.0, '
        '"skipped": true, "discarded": true, '
        '"values": {"loss": 0.3333333333333333, "NaN": "NaN", '
        '"up": "Infinity", "down": "-Infinity", "ü": 0.0}, "signals": {"snr": [0.5]}}\n'
    )
    np.testing.assert_equal(dict(decode_step(encode_step(full), 1, -1).values), values)


@given(
    st.lists(st.text(), min_size=1, max_size=5, unique=True),
    st.text(),
    st.one_of(st.none(), st.floats(0, 1, exclude_min=True, exclude_max=True)),
)
def test_headers_round_trip(layers: list[str], comment: str, budget: float | None) -> None:
    """Names and comments may be any text, even a lone surrogate, which UTF-8 lacks."""
    comment += "\ud800"
    parameters = tuple(range(len(layers)))
    header = Header(
        layers=tuple(layers),
        parameters=parameters,
        start="",
        comment=comment,
        budget=budget,
        stages=() if budget is None else parameters,
    )

    assert decode_header(encode_header(header)) == header


@given(st.binary(max_size=200))
def test_any_bytes_are_a_step_or_refused(line: bytes) -> None:
    """Any bytes decode, or raise RunFormatError; no other error occurs."""
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
        ({"scale": True}, "a number above 0, got True"),
        ({"scale": 1e39}, r"a number above 0, got 1e\+39"),
        ({"time": True}, "seconds since the start, got True"),
        ({"time": None}, "seconds since the start, got None"),
        ({"step": 2**53 + 1}, "whole number above 2, got 9007199254740993"),
        ({"norms": [1.0, "nan"]}, "got 'nan'"),
        ({"norms": [-(10**400), None]}, "got -1000"),
        ({"skipped": None}, "true or false, got None"),
        ({"values": [0.5]}, r"numbers by name, got \[0.5\]"),
        ({"values": {"loss": True}}, "value 'loss' to be a float64, .* got True"),
        ({"values": {"loss": None}}, "value 'loss' to be a float64, .* got None"),
        ({"values": {"loss": "inf"}}, "value 'loss' to be a float64, .* got 'inf'"),
        ({"values": {"loss": 10**400}}, "value 'loss' to be a float64, .* got 1000"),
        ({"values": {"loss": -(10**400)}}, "value 'loss' to be a float64, .* got -1000"),
        ({"skipped": 1}, "true or false, got 1"),
        ({"discarded": "yes"}, '"discarded": true or false, got .yes'),
        ({"norms": [1.0, [2.0]]}, r"got \[2.0\]"),
        ({"raw": [1.0]}, 'expected "raw": a list of 2, got 1 of them'),
        ({"raw": 1.0}, 'expected "raw": a list of 2, got 1.0'),
        ({"raw": [-1.0, None]}, "float32 of 0 or more, .* got -1.0"),
        ({"raw": [1.0, 2.0]}, '"raw" to be null where "norms" are'),
        ({"raw": [None, None]}, '"raw" to be null where "norms" are'),
    ],
)
def test_wrong_values_are_named(change: dict[str, object], message: str) -> None:
    """A step with one wrong entry is refused; the message has the entry and the rule."""
    decode_step(json.dumps(GOOD).encode(), 2, 2)

    with pytest.raises(RunFormatError, match=message):
        decode_step(json.dumps(GOOD | change).encode(), 2, 2)


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"3", b"{", b'{"step": NaN}', b"\xff{}", b"[" * 100_000, b"\0" * 99],
)
def test_anything_but_a_json_object_is_refused(line: bytes) -> None:
    """A line that is no JSON object is refused, and the message has its beginning."""
    with pytest.raises(RunFormatError, match="expected a JSON object, got "):
        decode_step(line, 2, 2)


def test_a_bounded_excerpt_of_a_wrong_line_is_shown() -> None:
    """A message has at most 40 bytes of a line, on one line, and marks the cut."""
    with pytest.raises(RunFormatError, match=rf"got '{'x' * 40}\.\.\.'$"):
        decode_step(b"x" * 41, 2, 2)
    with pytest.raises(RunFormatError, match=rf"got '{'x' * 39}'$"):
        decode_step(b"x" * 39 + b"\n", 2, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 2**53},
        {"time": 0},
        {"time": 1e12},
        {"scale": 3.4028234663852886e38},
        {"norms": [0, None]},
        {"norms": [3.4028234663852886e38, None]},
        {"raw": None, "values": None, "scale": None},
        {"values": {"loss": 1.7976931348623157e308}},
    ],
    ids=str,
)
def test_the_largest_and_smallest_entries_are_read(change: dict[str, object]) -> None:
    """The bounds of each entry are inclusive, and null stands for an absent entry."""
    step = decode_step(json.dumps(GOOD | change).encode(), 2, 2)

    assert step.number == change.get("step", 3)
    assert np.isfinite(step.norms[0])


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
        ({"start": 1}, '"start" and "note" to be texts'),
        ({"layers": "a"}, "a list of different names"),
        ({"layers": None}, "a list of different names"),
        ({"parameters": [True]}, "a list of 1 counts"),
        ({"parameters": [1.0]}, "a list of 1 counts"),
        ({"budget": 0}, "between 0 and 1, got 0"),
        ({"budget": 1}, "between 0 and 1, got 1"),
        ({"budget": True}, "between 0 and 1, got True"),
        ({"budget": "0.5"}, "between 0 and 1, got '0.5'"),
        ({"version": None}, 'expected "version" such as "1.0", got None'),
        ({"stages": [0, 1]}, "a list of 1 numbers"),
        ({"stages": ["0"]}, "a list of 1 numbers"),
        ({"stages": 0}, "a list of 1 numbers"),
    ],
)
def test_wrong_headers_are_refused(change: dict[str, object], message: str) -> None:
    """A header with one wrong entry is refused; the message has the entry and the rule."""
    decode_header(json.dumps(HEADER).encode())

    with pytest.raises(RunFormatError, match=message):
        decode_header(json.dumps(HEADER | change).encode())


def test_a_wrong_header_is_shown() -> None:
    """The message has the beginning of the line, if it is no JSON or of another format."""
    for line in (b"hello\n", b'{"format": "midi"}'):
        with pytest.raises(RunFormatError, match=rf"got '{line.decode().strip()}'"):
            decode_header(line)


def test_a_whole_number_is_read_as_a_float() -> None:
    """Time, loss scale and values are floats, also if JSON has a whole number there."""
    line = json.dumps(GOOD | {"time": 2, "scale": 4, "values": {"loss": 3}}).encode()
    step = decode_step(line, 2, 2)
    numbers = step.time, step.loss_scale, step.values["loss"]

    assert numbers == (2.0, 4.0, 3.0)
    assert {type(number) for number in numbers} == {float}


def test_newer_minor_versions_are_read() -> None:
    """Keys that a newer minor version adds are ignored, in the header and in steps."""
    header = decode_header(json.dumps(HEADER | {"version": "1.7", "new": [1]}).encode())
    step = decode_step(json.dumps(GOOD | {"loss": "NaN"}).encode(), 2, 2)

    assert header.layers == ("a",)
    assert step.number == 3


STEP = b'{"step": 0, "time": 0, "norms": %s}'


@pytest.mark.parametrize("first", ["null", '"NaN"', "1"])
def test_every_norm_of_a_line_is_checked(first: str) -> None:
    """A bad norm is refused also after an absent, a nonfinite and a good one."""
    with pytest.raises(RunFormatError, match=r"^expected each norm .*null, .*, got -1$"):
        decode_step(STEP % f"[{first}, -1]".encode(), 2, -1)


def test_a_wrong_number_of_norms_names_its_key() -> None:
    """The message has the key, the expected and the actual number."""
    with pytest.raises(
        RunFormatError, match=r'^expected "norms": a list of 2, got 1 of them'
    ):
        decode_step(STEP % b"[1]", 2, -1)


def test_the_largest_float32_is_a_norm_and_a_loss_scale() -> None:
    """Its nine digits lie a little above it, and are read as it."""
    largest = float(np.finfo(np.float32).max)
    step = Step(0, 0.0, np.array([largest], np.float32), np.zeros(1, bool), largest)
    read = decode_step(encode_step(step), 1, -1)

    assert (read.norms[0], read.loss_scale) == (np.float32(largest), largest)


def test_a_header_needs_neither_start_nor_note() -> None:
    """Both are empty then; a value that is no text is refused."""
    fields = {"format": "gradsound-run", "version": "1.0", "layers": ["a"]}
    header = decode_header(json.dumps(fields | {"parameters": [1]}).encode())
    assert (header.start, header.comment) == ("", "")
    for wrong, message in (
        ({"note": 1}, '^expected "start" and "note" to be texts$'),
        ({"layers": ["a", "a"]}, '^expected "layers": a list of different names$'),
    ):
        with pytest.raises(RunFormatError, match=message):
            decode_header(json.dumps(fields | {"parameters": [1]} | wrong).encode())


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_names_that_are_no_utf_8_can_be_written_with_a_step(value: float) -> None:
    """A name with half a surrogate pair is escaped; an infinite value keeps its sign."""
    step = Step(0, 0.0, np.ones(1, np.float32), np.zeros(1, bool), values={"\ud800": value})
    assert decode_step(encode_step(step), 1, -1).values == {"\ud800": value}


def test_a_discarded_step_is_skipped() -> None:
    """A line may have "discarded" alone: the weights do not contain such a step."""
    line = b'{"step": 0, "time": 0.5, "norms": [0.5], "discarded": true}'
    step = decode_step(line, 1, -1)

    assert (step.discarded, step.skipped) == (True, True)
