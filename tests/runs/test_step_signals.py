"""Signals of steps in a run: they round-trip, are checked, and are read from any file."""

from __future__ import annotations

import copy
import gzip
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.step_lines import encode_step
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.errors import RunFormatError
from gradsound.runs.compare import divide_norms
from gradsound.runs.header_line import decode_header, encode_header
from gradsound.runs.joined_parts import join_parts
from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.step_line import decode_step
from gradsound.runs.writer import RunWriter

HEADER = Header(
    layers=("a", "b"), parameters=(1, 2), start="", signals={"snr": "from the moments"}
)
SIGNALS = st.dictionaries(
    st.text(st.characters()),
    st.lists(st.none() | st.floats(0, width=32), min_size=2, max_size=2),
)


def step(number: int, signals: dict[str, list[float | None]]) -> Step:
    """Returns a step of two layers."""
    arrays = {name: np.array(own, np.float32) for name, own in signals.items()}
    norms, absent = np.full(2, 0.5, np.float32), np.zeros(2, bool)
    return Step(number, number / 4, norms, absent, signals=arrays)


def signals_in(steps: list[Step]) -> list[dict[str, list[float | None]]]:
    """Returns the signals of steps as plain lists, with None for NaN."""
    return [
        {
            n: [None if math.isnan(x) else x for x in own.tolist()]
            for n, own in s.signals.items()
        }
        for s in steps
    ]


STEPS = [
    step(0, {"snr": [0.5, None], "update_ratio": [math.inf, 2**-10]}),
    step(1, {"snr": [0.25, 0.0]}),
    step(2, {}),
    step(3, {"snr": [1.0, 3e38], "update_ratio": [None, 0.125]}),
]


@given(SIGNALS)
def test_signals_round_trip(signals: dict[str, list[float | None]]) -> None:
    """Every float32, infinity and name does; a signal that no layer has is missing."""
    line = encode_step(step(3, signals))
    decoded = decode_step(line, 2, 2)

    json.loads(line, parse_constant=pytest.fail)
    assert line.count(b"\n") == 1
    assert signals_in([decoded]) == [
        {name: own for name, own in signals.items() if own != [None, None]}
    ]
    assert {own.dtype for own in decoded.signals.values()} <= {np.dtype(np.float32)}


def test_steps_without_signals_have_no_key() -> None:
    """Their line is that of an older version, and their signals are empty."""
    plain = step(3, {})

    assert [*json.loads(encode_step(plain))] == ["step", "time", "norms"]
    for same in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):  # noqa: S301
        assert same.signals == decode_step(encode_step(plain), 2, -1).signals == {}


GOOD = {"step": 3, "time": 1 / 3, "norms": [1 / 3, 1]}


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ([1.0], r'expected "signals": lists by name, got \[1.0\]'),
        ("snr", "expected \"signals\": lists by name, got 'snr'"),
        ({"snr": 1.0}, "the signal 'snr' to be a list of 2, got 1.0"),
        ({"snr": None}, "the signal 'snr' to be a list of 2, got None"),
        ({"snr": [1.0]}, "the signal 'snr' to be a list of 2, got 1 of them"),
        (
            {"a": [1, 2], "snr": [0, -0.5]},
            "'snr' to be a float32 of 0 or more, .* got -0.5",
        ),
        ({"snr": [0, True]}, "'snr' .* got True"),
        ({"snr": [0, 3.5e38]}, "'snr' .* got 3.5e"),
        ({"snr": [0, "NaN"]}, "'snr' .* got 'NaN'"),
        ({"snr": [0, "-Infinity"]}, "'snr' .* got '-Infinity'"),
        ({"snr": [0, [1]]}, r"'snr' .* got \[1\]"),
    ],
)
def test_wrong_signals_raise(signals: object, message: str) -> None:
    """The error names the signal, its rule and what was read."""
    with pytest.raises(RunFormatError, match=message):
        decode_step(json.dumps(GOOD | {"signals": signals}).encode(), 2, 2)


def test_headers_round_trip() -> None:
    """A header says how its signals were measured, and has no key if there are none."""
    assert decode_header(encode_header(HEADER)) == HEADER
    assert hash(HEADER) == hash(copy.deepcopy(HEADER))
    assert b"signals" not in encode_header(replace(HEADER, signals={}))
    assert decode_header(encode_header(replace(HEADER, signals={}))).signals == {}


@pytest.mark.parametrize("signals", [None, [], "snr", {"snr": 1}, {"snr": None}])
def test_a_wrong_header_raises(signals: object) -> None:
    """The error says what is expected, and what was read."""
    fields = json.loads(encode_header(HEADER)) | {"signals": signals}
    with pytest.raises(RunFormatError, match='expected "signals": texts by name, got '):
        decode_header(json.dumps(fields).encode())


def write(path: Path, steps: list[Step], header: Header = HEADER, **options: Any) -> None:
    """Writes the file of a run, or goes on in it."""
    writer = RunWriter(path, header, **options)
    writer.write(make_block(steps))
    writer.close()


@pytest.mark.parametrize("compressed", [False, True])
def test_files_keep_signals(tmp_path: Path, compressed: bool) -> None:
    """A reader finds them in plain and in compressed files, by layer too."""
    path = tmp_path / "run.jsonl"
    write(path, STEPS)
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    run = gradsound.read_run(path)

    assert run.header.signals == HEADER.signals
    assert signals_in([*run.steps]) == signals_in(STEPS)
    (block,) = run.select("b").blocks()
    assert block.signals["snr"].shape == (4, 1)
    assert signals_in([*block]) == signals_in([*run.select("b").steps])
    assert signals_in([*block]) == [
        {"update_ratio": [2**-10]},
        {"snr": [0.0]},
        {},
        {"snr": [STEPS[3].signals["snr"][1]], "update_ratio": [0.125]},
    ]


def test_an_older_file_has_no_signals(tmp_path: Path) -> None:
    """It is read as before."""
    path = tmp_path / "run.jsonl"
    path.write_text(
        '{"format": "gradsound-run", "version": "1.3", "layers": ["a"], '
        '"parameters": [1]}\n{"step": 0, "time": 1, "norms": [1]}\n'
    )
    run = gradsound.read_run(path)

    assert run.header.signals == {}
    assert [one.signals for one in run.steps] == [{}]


def test_a_resumed_training_goes_on_with_other_signals(tmp_path: Path) -> None:
    """Steps keep what their part measured, in one file and in several."""
    path, other = tmp_path / "run.jsonl", tmp_path / "other.jsonl"
    write(path, STEPS)
    write(path, [step(2, {"zeros": [0.5, 0.5]})], resume=True, start_step=2)
    later = replace(HEADER, signals={"zeros": "every 10th step", "snr": "otherwise"})
    write(other, [step(2, {"zeros": [0.5, 0.5]})], later, start_step=2)
    joined = join_parts([Run(HEADER, STEPS), gradsound.read_run(other)])
    expected = [*signals_in(STEPS[:2]), {"zeros": [0.5, 0.5]}]

    assert signals_in([*gradsound.read_run(path).steps]) == expected
    assert signals_in([*joined.steps]) == expected
    assert joined.header.signals == later.signals | HEADER.signals


def test_ratios_of_two_runs_have_no_signals() -> None:
    """A quotient of ratios would have no meaning under their name."""
    ratios = divide_norms(Run(HEADER, STEPS), Run(HEADER, STEPS))

    assert ratios.header.signals == {}
    assert [one.signals for one in ratios.steps] == [{}] * 4


def test_stages_of_a_pipeline_keep_the_signals_of_their_layers(tmp_path: Path) -> None:
    """Each layer has its own; ranks side by side have none."""
    paths = []
    for rank, names in enumerate((["snr"], ["snr", "zeros"])):
        signals = {name: np.full(2, rank + 1, np.float32) for name in names}
        header = replace(
            HEADER,
            layers=(f"a{rank}", f"b{rank}"),
            stages=(1 - rank,) * 2,
            signals=dict.fromkeys(names, "measured"),
        )
        paths.append(tmp_path / f"run.rank{rank}.jsonl")
        write(paths[-1], [replace(step(0, {}), signals=signals)], header)
    run = gradsound.read_ranks(paths)

    assert run.header.signals == {"snr": "measured", "zeros": "measured"}
    assert run.header.layers == ("a1", "b1", "a0", "b0")
    assert signals_in([*run.steps]) == [
        {"snr": [2.0, 2.0, 1.0, 1.0], "zeros": [2.0, 2.0, None, None]}
    ]


def test_ranks_side_by_side_have_no_signals(tmp_path: Path) -> None:
    """Their layers are ranks, and no signal is that of a rank."""
    paths = [tmp_path / f"run.rank{rank}.jsonl" for rank in range(2)]
    for path in paths:
        write(path, STEPS)
    run = gradsound.read_ranks(paths)

    assert run.header.signals == {}
    assert [one.signals for one in run.steps] == [{}] * 4
