"""Steps read in a thread: in order, None while none comes, and no thread left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from helpers.processes import until
from helpers.runs import make_run

from gradsound.live.read_ahead import read_ahead
from gradsound.runs.step_block import StepBlock, make_block

BLOCKS = [make_block([step]) for step in make_run([[float(k)] for k in range(40)]).steps]


def test_blocks_come_in_order() -> None:
    """All of them, more than wait at once."""
    assert [block for block in read_ahead(BLOCKS) if block is not None] == BLOCKS


def test_none_comes_while_no_block_does() -> None:
    """The reader gets it again and again, and then the next block."""
    ready = threading.Event()

    def blocks() -> Iterator[StepBlock]:
        yield BLOCKS[0]
        ready.wait(20)
        yield BLOCKS[1]

    reading = read_ahead(blocks())
    assert [next(reading) for _ in range(3)] == [BLOCKS[0], None, None]
    ready.set()
    assert [block for block in reading if block is not None] == [BLOCKS[1]]


def test_an_error_comes_after_the_blocks_before_it() -> None:
    """Any error ends the reading; none is lost in the thread."""

    def blocks() -> Iterator[StepBlock]:
        yield BLOCKS[0]
        raise KeyError("odd")

    reading = read_ahead(blocks())
    assert next(reading) is BLOCKS[0]
    with pytest.raises(KeyError, match="odd"):
        next(reading)


def test_closing_ends_the_thread() -> None:
    """Also if the reader leaves many blocks unread."""
    before = threading.active_count()
    reading = read_ahead(BLOCKS)
    next(reading)
    assert threading.active_count() == before + 1
    reading.close()
    until(lambda: threading.active_count() == before, "the thread goes on")
