"""A budget: as many steps are left out as it takes, and which they are can be read."""

import json
import time

import pytest
from helpers.models import sgd, small, train
from helpers.monitors import BOTH, StepCollector, collector_for, small_collector
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.base import GradientMonitor


class Slow:
    """A clock that only measuring moves on, and training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.measured = 0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        take = GradientMonitor._take

        def slow(*args: object) -> object:
            self.now += 1.0
            self.measured += 1
            return take(*args)

        monkeypatch.setattr(GradientMonitor, "_take", slow)


@BOTH
@pytest.mark.parametrize("clip", [False, True])
def test_measuring_keeps_to_its_share(
    monkeypatch, with_optimizer: bool, clip: bool
) -> None:
    """Of the time that passes, it takes no more than the budget; and not much less."""
    clock = Slow(monkeypatch)
    model = small()
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer, budget=1 / 13)
    begin = clock.now

    def step() -> None:
        clock.now += 1 / 3
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    clock.measured = 0
    train(model, optimizer, 3000, before_step=step)
    share = clock.measured / (clock.now - begin)

    assert 0.8 / 13 < share <= 1 / 13
    numbers = [step.number for step in collector.steps]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 3000
    assert numbers[0] == 0
    assert numbers[-1] > 2900
    assert all((step.raw is not None) == clip for step in collector.steps)


def test_without_a_budget_every_step_is_measured(monkeypatch) -> None:
    """However long that takes."""
    Slow(monkeypatch)
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 20)

    assert [step.number for step in collector.steps] == list(range(20))


def test_the_run_says_which_steps_are_missing(tmp_path, monkeypatch) -> None:
    """Its header has the budget, its steps their numbers."""
    clock = Slow(monkeypatch)
    model = small()
    optimizer = sgd(model)

    def step() -> None:
        clock.now += 0.01

    with gradsound.attach(model, optimizer, log=tmp_path / "run.jsonl", budget=0.25):
        train(model, optimizer, 9, before_step=step)
    run = gradsound.read_run(tmp_path / "run.jsonl")

    assert run.header.budget == 0.25
    assert json.loads((tmp_path / "run.jsonl").read_text().split("\n")[0])["budget"] == 0.25
    assert [step.number for step in run.steps] == [0]  # to be paid for four seconds
    assert run.select("0").header.budget == 0.25


@pytest.mark.parametrize("budget", [0, 1, -0.1, float("nan")])
def test_what_is_no_share_is_refused(budget: float) -> None:
    """With the value and an example."""
    model = small()
    with pytest.raises(ValueError, match="between 0 and 1, such as"):
        gradsound.attach(model, budget=budget)


def test_the_first_measurement_is_paid_for_before() -> None:
    """So a short run keeps to the budget too; steps that are left out are counted."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer, budget=1e-9)
    train(model, optimizer, 5)

    assert not collector.steps
    assert collector.monitor.steps == 5


def test_a_run_without_any_step_says_why(tmp_path) -> None:
    """A budget too small for the time there was is not a run without steps."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer, log=tmp_path / "run.jsonl", budget=1e-9)
    train(model, optimizer, 5)
    with pytest.warns(
        GradsoundWarning, match="none of 5 steps was measured within the budget"
    ):
        attachment.close()
