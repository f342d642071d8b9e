"""The end of a run that grows: when its training has closed the file, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers.runs import make_run

from gradsound.live import training_end
from gradsound.live.run_source import RunSource
from gradsound.live.training_end import TrainingEnd
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("own_folder")


@contextmanager
def followed(path: str, *, network: bool = False) -> Iterator[tuple[RunSource, object]]:
    """Yields a source of a path that has begun, and the check of its end."""
    with pytest.MonkeyPatch.context() as patch, RunSource(Path(path)) as source:
        patch.setattr(training_end, "_CHECK_SECONDS", 0.0)
        patch.setattr(training_end, "is_network", lambda _: network)
        run = source.run(growing=True)
        yield source, TrainingEnd(source)
        del run  # its reader would have closed the source


def test_the_last_steps_are_read() -> None:
    """The source closes at the second look after the end: steps may come before it."""
    run = make_run([[1.0]] * 3)
    writer = RunWriter(Path("run.jsonl"), run.header)
    with followed("run.jsonl") as (source, end):
        end.check()
        end.check()
        assert not source.closed
        writer.write(make_block([*run.steps]))
        writer.close()
        end.check()
        assert not source.closed
        end.check()
        assert source.closed


def test_a_renamed_run_is_the_one_that_is_read() -> None:
    """A later run that takes its name does not keep it open."""
    run = make_run([[1.0]])
    first = RunWriter(Path("run.jsonl"), run.header)
    with (
        followed("run.jsonl") as (source, end),
        closing(RunWriter(Path("run.jsonl"), run.header)),
    ):
        end.check()
        end.check()
        assert not source.closed
        first.close()
        end.check()
        end.check()
        assert source.closed


def test_a_network_may_hide_the_training() -> None:
    """There, a file that has changed a short while ago counts as growing."""
    RunWriter(Path("run.jsonl"), make_run([[1.0]]).header).close()
    with followed("run.jsonl", network=True) as (source, end):
        end.check()
        end.check()
        assert not source.closed


def test_the_log_of_another_tool_has_no_end() -> None:
    """Nothing tells whether it grows."""
    Path("log.csv").write_text("step,grad_norm\n1,0.5\n2,0.5\n3,0.5\n")
    with followed("log.csv") as (source, end):
        end.check()
        end.check()
        assert not source.closed
