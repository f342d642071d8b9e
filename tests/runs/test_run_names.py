"""Names of compared runs: short, and still different."""

from __future__ import annotations

import pytest
from helpers.runs import make_run
from hypothesis import given
from hypothesis import strategies as st

from gradsound.runs.model import Run
from gradsound.runs.run_names import distinct_names, short_names

NAMES = {
    ("sweep/lr0.1.jsonl", "sweep/lr0.01.jsonl"): ["lr0.1", "lr0.01"],
    ("s/lr0.1/run.jsonl", "s/lr1/run.jsonl"): ["lr0.1", "lr1"],
    ("mnist-adam-seed1.csv", "mnist-sgd-seed1.csv"): ["adam", "sgd"],
    ("seed-1.jsonl", "seed-2.jsonl"): ["seed-1", "seed-2"],
    ("run.jsonl", "run-b.jsonl"): ["run", "run-b"],
    ("a/x/r.jsonl", "b/y/r.jsonl"): ["a/x", "b/y"],
    ("a.csv", "a.jsonl"): ["a.csv", "a.jsonl"],
    ("runs/2024-11_lr1/r.jsonl", "runs/2024-12_lr2/r.jsonl"): [
        "2024-11_lr1",
        "2024-12_lr2",
    ],
    ("same.jsonl", "same.jsonl"): ["same", "same"],
    ("-", "--"): ["-", "--"],
}


@pytest.mark.parametrize("names", NAMES)
def test_what_all_names_have_in_common_is_left_out(names: tuple[str, ...]) -> None:
    """Common folders, suffixes and words go; a number keeps the word before it."""
    assert distinct_names(names) == NAMES[names]


@given(st.lists(st.text("ab1.-_/", min_size=1), min_size=2, max_size=5, unique=True))
def test_different_names_stay_different(names: list[str]) -> None:
    """No name becomes empty, and no two become alike."""
    short = distinct_names(names)

    assert all(short)
    assert len({*short}) == len(names)


def test_one_run_and_two_have_the_names_of_their_files() -> None:
    """Three runs have shorter names, because many of them share a line."""
    header = make_run([[1.0]]).header
    runs = [Run(header, [], f"sweep/lr{k}.jsonl") for k in range(3)]

    assert short_names(runs[:1]) == ["lr0.jsonl"]
    assert short_names(runs[:2]) == ["lr0.jsonl", "lr1.jsonl"]
    assert short_names(runs) == ["lr0", "lr1", "lr2"]
