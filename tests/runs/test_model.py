"""The plain run: a selection of layers keeps everything else of its steps."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from helpers.runs import make_run

from gradsound.runs.model import Run
from gradsound.runs.step_block import StepBlock
from gradsound.runs.step_stream import StepStream, make_blocks


def clipped_run() -> Run:
    """A run of three layers whose norms were clipped by a factor of 1, 2 and 3."""
    run = make_run([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], layers=("a", "b", "c"))
    factors = np.array([1, 2, 3], np.float32)
    return replace(run, steps=[replace(s, raw=s.norms * factors) for s in run.steps])


def test_a_selection_keeps_the_raw_norms_of_its_layers() -> None:
    """Raw norms follow their layers; a step without raw norms stays without."""
    run = clipped_run()
    chosen = [step.raw.tolist() for step in run.select(["c", "a"]).steps]
    plain = replace(run, steps=[replace(step, raw=None) for step in run.steps])

    assert chosen == [[1.0, 9.0], [4.0, 18.0]]
    assert [step.raw for step in plain.select("a").steps] == [None, None]


def test_a_selection_can_be_read_as_often_as_its_run() -> None:
    """Steps of a list are readable twice; steps of an iterator once."""
    run = clipped_run()
    twice = run.select("b").steps
    once = replace(run, steps=iter(run.steps)).select("b").steps

    assert [len([*twice]), len([*twice])] == [2, 2]
    assert [len([*once]), len([*once])] == [2, 0]
    assert iter(once) is once


def test_a_selection_of_a_run_that_grows_waits_for_no_more_steps() -> None:
    """A step that is there is read, although the next block has not come yet."""
    run, asked = clipped_run(), []

    def blocks() -> Iterator[StepBlock]:
        for block in make_blocks(run.steps, 1):
            asked.append(int(block.numbers[0]))
            yield block

    growing = replace(run, steps=StepStream(blocks()))
    selected = growing.select("b")

    assert next(selected.blocks()).norms.tolist() == [[2.0]]
    assert asked == [0]
    assert next(selected.steps).norms.tolist() == [5.0]
