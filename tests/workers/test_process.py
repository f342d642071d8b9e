"""A worker's end of the pipe: it sleeps while it needs no step, and misses no message."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from gradsound.workers import process
from gradsound.workers.process import ParentLink


@pytest.fixture
def trainer() -> Iterator[int]:
    """The descriptor to which the trainer writes; the other end is standard input."""
    stdin = os.dup(0)
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    yield writer
    os.dup2(stdin, 0)
    os.close(stdin)
    os.close(writer)


def test_a_message_in_spare_time_ends_the_wait(trainer: int, monkeypatch) -> None:
    """The step that came during a sound is read when the sound is nearly over."""
    monkeypatch.setattr(process, "_POLL_SECONDS", 10.0)
    lines, spare = [], [0.05, 0.05]
    link = ParentLink(os.getppid(), lines.append)
    os.write(trainer, b"\nvolume 0.5\n")
    begin = time.monotonic()

    assert link.poll(lambda: spare.pop() if spare else 0.0)
    assert 0.1 <= time.monotonic() - begin < 5
    assert lines == ["volume 0.5"]


def test_the_end_ends_spare_time(trainer: int) -> None:
    """At the end of the run the file is read once more, however long a sound lasts."""
    link = ParentLink(os.getppid())
    os.write(trainer, b"end\n")

    assert link.poll(lambda: 60.0)
    assert not link.poll(lambda: 60.0)
