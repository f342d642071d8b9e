"""The backward pass tells how long a rank waits for the others, and never fails for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import torch
from helpers.ranks import run_ranks

import gradsound
from gradsound.measure.distributed import reduction_wait
from gradsound.measure.distributed.reduction_wait import (
    ReductionWait,
    WaitSeconds,
    _Instant,
)
from gradsound.runs.rank_layers import WAIT

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 0.05


def reducing_model(wait: ReductionWait, seconds: float) -> torch.nn.Linear:
    """Returns a layer that waits at the end of each backward pass, as a reduction does.

    DistributedDataParallel adds its callback at the last gradient of a backward pass.
    """
    model = torch.nn.Linear(3, 1)
    queue = torch.autograd.Variable._execution_engine.queue_callback

    def reduce(_: torch.Tensor) -> None:
        queue(lambda: time.sleep(seconds))

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(lambda p: wait.add_gradient(p.grad))
    model.bias.register_post_accumulate_grad_hook(reduce)
    return model


def raise_error() -> None:
    """Raises the exception of a failed measurement."""
    raise AssertionError


def pop_seconds(wait: ReductionWait) -> float:
    """Returns the wait since the last step."""
    value = wait.pop()[WAIT]
    assert value.ready
    return float(value.values()[0])


def test_the_wait_is_that_of_the_reduction_alone() -> None:
    """The time before the backward pass, and of other passes, is not in it."""
    wait = ReductionWait(raise_error)
    model = reducing_model(wait, SECONDS)
    time.sleep(SECONDS)
    begin = time.perf_counter()
    model(torch.ones(2, 3)).sum().backward()
    assert SECONDS <= pop_seconds(wait) <= time.perf_counter() - begin
    assert wait.pop() == {}


def test_the_waits_of_all_backward_passes_of_a_step_add_up() -> None:
    """With accumulation, each pass may reduce."""
    wait = ReductionWait(raise_error)
    model = reducing_model(wait, SECONDS)
    for _ in range(3):
        model(torch.ones(2, 3)).sum().backward()
    assert pop_seconds(wait) >= 3 * SECONDS


def test_a_backward_pass_that_fails_leaves_nothing_behind() -> None:
    """The next pass is measured as usual."""
    wait = ReductionWait(raise_error)
    model = reducing_model(wait, 0.0)
    x = torch.ones(2, 3, requires_grad=True)
    handle = x.register_hook(lambda _: raise_error())
    with pytest.raises(AssertionError):
        model(x).sum().backward()
    handle.remove()
    model(x).sum().backward()
    assert pop_seconds(wait) < SECONDS


class Queue:
    """The queue of an accelerator, which runs when the host waits for it."""

    def __init__(self) -> None:
        self.milliseconds, self.has_run = 0.0, False

    def current_stream(self, device: torch.device) -> str:
        """Returns the stream, whose events the queue knows."""
        return f"stream of {device}"

    def Event(self, *, enable_timing: bool = False) -> QueueEvent:  # noqa: N802 (torch's)
        """Returns an event that has no time yet."""
        return QueueEvent(self, enable_timing)


class QueueEvent:
    """An event in such a queue."""

    def __init__(self, queue: Queue, has_time: bool) -> None:
        self.queue, self.has_time = queue, has_time

    def record(self, stream: str) -> None:
        """Takes the time at which the queue comes to this event."""
        assert stream == "stream of cuda:0"
        self.time = self.queue.milliseconds

    def query(self) -> bool:
        """Returns whether the queue has come to this event."""
        return self.queue.has_run

    def synchronize(self) -> None:
        """Waits until the queue has come to this event."""
        self.queue.has_run = True

    def elapsed_time(self, end: QueueEvent) -> float:
        """Returns milliseconds up to a later event that the queue has come to."""
        assert self.queue.has_run
        assert self.has_time
        assert end.has_time
        return end.time - self.time


def test_on_an_accelerator_the_wait_is_that_of_its_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host goes on meanwhile; who asks for the seconds waits for them."""
    queue, device = Queue(), torch.device("cuda:0")
    monkeypatch.setattr(reduction_wait, "find_streams", lambda _: queue)
    instants = []
    for queue.milliseconds in (10.0, 35.0, 40.0, 140.0):
        instants.append(_Instant(device))
    wait = WaitSeconds([(instants[0], instants[1]), (instants[2], instants[3])])

    assert not wait.ready
    assert float(wait.values()[0]) == pytest.approx(0.125)
    assert wait.ready


@pytest.mark.parametrize("call", [1, 2])
def test_an_error_in_a_callback_stops_the_measuring_and_not_the_training(
    call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backward pass goes on, whichever callback fails."""
    stops: list[None] = []
    wait = ReductionWait(lambda: stops.append(None))
    model = reducing_model(wait, 0.0)
    calls = iter(range(1, 9))
    clock = time.perf_counter

    def fail() -> float:
        if next(calls) == call:
            raise OSError
        return clock()

    monkeypatch.setattr(reduction_wait.time, "perf_counter", fail)
    model(torch.ones(2, 3)).sum().backward()
    assert len(stops) == 1
    assert model.weight.grad is not None


@pytest.mark.realtime
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_the_slow_rank_waits_least_wherever_it_is_slow(place: str, tmp_path: Path) -> None:
    """It may be slow before the forward pass, before the step or after it."""
    code = f"""
    ddp = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    def rest(place):
        if rank == 1 and place == {place!r}:
            time.sleep(0.1)
    with gradsound.attach(ddp, optimizer, ranks="each"):
        for step in range(12):
            rest("before")
            optimizer.zero_grad()
            ddp(x).square().mean().backward()
            rest("between")
            optimizer.step()
            rest("after")
"""
    result = run_ranks(code, tmp_path)
    assert result.returncode == 0, result.stderr
    waits = [
        [step.values[WAIT] for step in gradsound.read_run(tmp_path / name).steps][2:]
        for name in ("run.rank0.jsonl", "run.rank1.jsonl")
    ]
    assert all(len(one) == 10 for one in waits)
    late = sorted(quick - slow for quick, slow in zip(*waits))
    assert late[5] > 0.07
