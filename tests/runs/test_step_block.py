"""Blocks of steps: the same steps, however they are joined, cut and selected."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step
from gradsound.runs.step_block import StepBlock, concatenate, make_block
from gradsound.runs.step_stream import StepStream, make_blocks, resize_blocks


def signals_of(
    step: int, random: np.random.Generator, layers: int
) -> dict[str, np.ndarray]:
    """Returns a signal at most steps, another at every 4th; one layer has none."""
    some = random.random(layers).astype(np.float32)
    some[0], often = np.nan, {} if step % 6 == 3 else {"snr": some}
    return often | ({"update_ratio": some / 2} if step % 4 == 0 else {})


def steps_of(count: int, layers: int = 3) -> list[Step]:
    """Returns steps with all that steps may have, at some of them."""
    random = np.random.default_rng(0)
    steps = []
    for k in range(count):
        absent = random.random(layers) < 0.2
        norms = np.where(absent, np.nan, random.random(layers)).astype(np.float32)
        steps.append(
            Step(
                3 * k,
                k / 4,
                norms,
                absent,
                loss_scale=2.0**k if k % 3 else None,
                skipped=k % 5 == 2,
                raw=norms * 2 if k % 4 == 1 else None,
                values={"loss": float(k)} | ({"lr": 1 / (1 + k)} if k % 2 else {}),
                discarded=k % 10 == 2,
                signals=signals_of(k, random, layers),
            )
        )
    return steps


def assert_same(found: list[Step], expected: list[Step]) -> None:
    """Asserts that two lists have the same steps."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        for field in fields(Step):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if field.name == "signals":
                assert {*left} == {*right}
                left, right = (
                    np.array([signals[name] for name in sorted(signals)], np.float32)
                    for signals in (left, right)
                )
            if isinstance(right, np.ndarray):
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)
            else:
                assert left == right


def test_a_block_has_the_steps_of_which_it_was_made() -> None:
    """Every field of each step is what it was, with its type."""
    steps = steps_of(11)
    block = make_block(steps)

    assert len(block) == 11
    assert_same([*block], steps)
    assert {type(step.number) for step in block} == {int}
    assert {type(step.skipped) for step in block} == {bool}
    assert make_block(steps[:1]).raw is None


@pytest.mark.parametrize(
    "rows", [slice(2, 7), slice(3, 3), np.array([0, 4, 9]), np.arange(11) % 4 == 1]
)
def test_some_steps_are_taken(rows: slice | np.ndarray) -> None:
    """A slice, indices or flags choose them; values keep their steps."""
    steps = steps_of(11)
    chosen = np.arange(11)[rows]

    assert_same([*make_block(steps).take(rows)], [steps[k] for k in chosen])


def test_some_layers_are_taken() -> None:
    """The layers are in the order of the indices."""
    block = make_block(steps_of(5)).take_layers((2, 0))

    np.testing.assert_array_equal(block.norms[1], steps_of(5)[1].norms[[2, 0]])
    np.testing.assert_array_equal(block.absent[1], steps_of(5)[1].absent[[2, 0]])
    np.testing.assert_array_equal(block.unclipped[1], steps_of(5)[1].raw[[2, 0]])
    snr = steps_of(5)[1].signals["snr"]
    np.testing.assert_array_equal(block.signals["snr"][1], snr[[2, 0]])
    assert not make_block(steps_of(5)).take_layers((0,)).signals  # that layer has none


def test_a_block_has_the_signals_that_a_step_has() -> None:
    """NaN stands for steps and layers without; a signal that no step has is missing."""
    block = make_block(steps_of(8))

    assert block.signals["update_ratio"].shape == (8, 3)
    assert block.signals["update_ratio"].dtype == np.float32
    has_number = ~np.isnan(block.signals["update_ratio"])
    assert has_number.tolist() == [[False, k % 4 == 0, k % 4 == 0] for k in range(8)]
    assert {*block.take(slice(1, 3)).signals} == {"snr"}
    assert not block.take(slice(3, 4)).signals
    assert not make_block([replace(step, signals={}) for step in block]).signals


@given(st.lists(st.integers(0, 30), max_size=6))
def test_blocks_are_cut_at_any_places(places: list[int]) -> None:
    """The steps and their signals stay the same."""
    steps = steps_of(30)
    block, cuts = make_block(steps), [0, *sorted(places), 30]
    parts = [block.take(slice(*cut)) for cut in pairwise(cuts) if cut[0] < cut[1]]
    joined = concatenate(parts)

    assert_same([step for part in parts for step in part], steps)
    assert {*joined.signals} == {*block.signals}
    for name, numbers in block.signals.items():
        np.testing.assert_array_equal(joined.signals[name], numbers)


@pytest.mark.parametrize("size", [1, 3, 4, 11, 50])
def test_blocks_are_joined_and_cut_anew(size: int) -> None:
    """All blocks but the last have the wanted size, and the steps stay the same."""
    steps = steps_of(11)
    blocks = [*resize_blocks(make_blocks(steps, 4), size)]

    assert {len(block) for block in blocks[:-1]} <= {size}
    assert len(blocks) == -(-11 // size)
    assert_same([step for block in blocks for step in block], steps)
    assert_same([*concatenate([*make_blocks(steps, 4)])], steps)


def test_nonfinite_norms_are_those_of_the_steps() -> None:
    """NaN of a layer without gradient means nothing."""
    norms = np.array([[1.0, np.nan, np.inf], [np.nan, 2.0, np.nan]], np.float32)
    absent = np.array([[False, False, False], [True, False, False]])
    steps = [Step(k, 0.0, norms[k], absent[k]) for k in range(2)]

    expected = np.stack([step.nonfinite for step in steps])
    np.testing.assert_array_equal(make_block(steps).nonfinite, expected)


def test_a_stream_has_its_steps_once() -> None:
    """As an iterator or in blocks."""
    steps = steps_of(7)
    stream = StepStream(make_blocks(steps, 3))

    assert next(stream).number == 0
    assert_same([*stream], steps[1:])
    assert [len(block) for block in StepStream(make_blocks(steps, 3)).blocks()] == [3, 3, 1]


def test_a_run_has_blocks_whatever_its_steps_are() -> None:
    """A list of steps becomes blocks; selected layers are those of the original run."""
    header = Header(layers=("a", "b", "c"), parameters=(1, 2, 3), start="")
    run = Run(header, steps_of(300))
    blocks: list[StepBlock] = [*run.select(["c", "a"]).blocks()]

    assert [len(block) for block in run.blocks()] == [256, 44]
    assert_same([s for b in blocks for s in b], [*run.select(["c", "a"]).steps])
