"""Values of steps in a run: they round-trip, and survive selection and merging."""

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.step_lines import encode_step
from hypothesis import given
from hypothesis import strategies as st

from gradsound.errors import RunFormatError
from gradsound.music.moments import merge_steps
from gradsound.runs.step import Step
from gradsound.runs.step_line import decode_step

INF, NAN = math.inf, math.nan
# Any names, with lone surrogates among the characters.
VALUES = st.dictionaries(st.text(st.characters()), st.floats())


def step(values: dict[str, float], number: int = 3) -> Step:
    """Returns a step of one layer."""
    norms, absent = np.ones(1, np.float32), np.zeros(1, bool)
    return Step(number, 0.5, norms, absent, values=values)


@given(VALUES)
def test_values_round_trip(values: dict[str, float]) -> None:
    """Every float64 and every name round-trips through a line of JSON."""
    line = encode_step(step(values))
    read = decode_step(line, 1, 2).values

    json.loads(line, parse_constant=pytest.fail)
    assert line.count(b"\n") == 1
    assert [*read] == [*values]
    assert [*map(repr, read.values())] == [*map(repr, values.values())]


def test_whole_numbers_and_numpy_scalars_can_be_written() -> None:
    """A step with integers and numpy scalars as values can be written."""
    line = encode_step(step({"a": np.float32(0.1), "b": 3, "c": np.float64(1 / 3)}))

    assert (
        b'"values": {"a": 0.10000000149011612, "b": 3.0, "c": 0.3333333333333333}' in line
    )


def test_steps_without_values() -> None:
    """A step without values has no key for them in its line, and an immutable mapping."""
    plain = Step(3, 0.5, np.ones(1, np.float32), np.zeros(1, bool))

    assert [*json.loads(encode_step(plain))] == ["step", "time", "norms"]
    assert encode_step(step({})) == encode_step(plain)
    assert decode_step(encode_step(plain), 1, 2).values == {}
    assert (len(plain.values), [*plain.values], str(plain.values)) == (0, [], "{}")
    assert plain.values.get("loss") is None
    with pytest.raises(TypeError):
        plain.values["loss"] = 1.0
    for same in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):  # noqa: S301
        assert same.values == plain.values == {}
    assert dataclasses.asdict(plain)["values"] == {}


GOOD = {"step": 3, "time": 1 / 3, "norms": [1 / 3]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], r'expected "values": numbers by name, got \[1.0\]'),
        (1.0, 'expected "values": numbers by name, got 1.0'),
        ("NaN", "expected \"values\": numbers by name, got 'NaN'"),
        (False, 'expected "values": numbers by name, got False'),
        ({"a": 1, "loss": None}, "the value 'loss' to be a float64, .* got None"),
        ({"loss": True}, "'loss' .* got True"),
        ({"loss": "nan"}, "'loss' .* got 'nan'"),
        ({"loss": "1.0"}, "'loss' .* got '1.0'"),
        ({"loss": [1.0]}, r"'loss' .* got \[1.0\]"),
        ({"loss": {}}, r"'loss' .* got \{\}"),
        ({"loss": 10**400}, "'loss' .* got 1000"),
        ({"": -(2**1024)}, "the value '' to be .* got -1797"),
    ],
)
def test_invalid_values_raise(values: object, message: str) -> None:
    """The error has the name of the invalid value, its rule and what was read."""
    with pytest.raises(RunFormatError, match=message):
        decode_step(json.dumps(GOOD | {"values": values}).encode(), 1, 2)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"NaN", b"Infinity"])
def test_numbers_outside_json_raise(number: bytes) -> None:
    """A number beyond float64 raises, as do NaN and Infinity without quotes."""
    line = b'{"step": 3, "time": 1, "norms": [1], "values": {"loss": %s}}' % number
    with pytest.raises(RunFormatError, match="expected"):
        decode_step(line, 1, 2)


def test_null_values_are_no_values() -> None:
    """A step with null has no values; a whole number is read as a float."""
    for value, expected in ((None, {}), ({}, {}), ({"a": 2**53}, {"a": 2.0**53})):
        line = json.dumps(GOOD | {"values": value}).encode()
        assert decode_step(line, 1, 2).values == expected


def test_selecting_layers_keeps_values() -> None:
    """A selection of layers keeps the values, which belong to the step."""
    run = make_run([[1.0, 2.0]] * 2)
    steps = [dataclasses.replace(one, values={"loss": one.number}) for one in run.steps]
    chosen = dataclasses.replace(run, steps=steps).select("layer1")

    assert [one.values for one in chosen.steps] == [{"loss": 0}, {"loss": 1}]


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ({}, {}, {}),
        ({"a": 1.0}, {}, {"a": 1.0}),
        ({}, {"a": 2.0}, {"a": 2.0}),
        ({"a": 9.0, "b": 1.0}, {"a": 2.0, "c": 3.0}, {"a": 2.0, "b": 1.0, "c": 3.0}),
        ({"a": INF}, {"a": 2.0}, {"a": INF}),
        ({"a": 2.0}, {"a": INF}, {"a": INF}),
        ({"a": INF}, {"a": -INF}, {"a": -INF}),
        ({"a": NAN}, {"a": 2.0}, {"a": NAN}),
        ({"a": 2.0}, {"a": NAN}, {"a": NAN}),
        ({"a": NAN}, {"a": INF}, {"a": NAN}),
        ({"a": INF}, {"a": NAN}, {"a": NAN}),
        ({"a": NAN}, {}, {"a": NAN}),
    ],
)
def test_merged_steps_have_the_later_values(earlier, later, expected) -> None:
    """Merged steps have the later value of each name, but keep a nonfinite one."""
    before = dict(earlier), dict(later)
    merged = merge_steps(step(earlier), step(later, 4)).values

    np.testing.assert_equal(dict(merged), expected)
    np.testing.assert_equal((earlier, later), before)
