"""A budget: the monitor leaves steps out to keep to it, and the run has their numbers."""

import json
import time

import pytest
from helpers.models import sgd, small, train
from helpers.monitors import (
    BOTH,
    StepCollector,
    attach_with_parts,
    collector_for,
    small_collector,
)
from torch import nn

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.norms.per_layer import LocalNorms


class FakeClock:
    """A clock that each measurement advances by a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.measurements = 0
        self.parts = MonitorParts(norms_per_layer=self._slow_norms)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def _slow_norms(self, *args: object) -> LocalNorms:
        self.now += 1.0
        self.measurements += 1
        return LocalNorms(*args)


@BOTH
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("signals", [(), ("update_ratio", "snr")])
def test_measuring_keeps_to_its_share(
    monkeypatch, with_optimizer: bool, clip: bool, signals: tuple[str, ...]
) -> None:
    """Measuring takes no more than the budget's share of the time, and not much less."""
    clock = FakeClock(monkeypatch)
    model = small()
    optimizer = sgd(model, momentum=0.5)
    options = {"budget": 1 / 13, "parts": clock.parts, "signals": signals}
    collector = collector_for(model, optimizer, with_optimizer, **options)
    begin = clock.now

    def step() -> None:
        clock.now += 1 / 3
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    clock.measurements = 0
    train(model, optimizer, 3000, before_step=step)
    share = clock.measurements / (clock.now - begin)

    assert 0.8 / 13 < share <= 1 / 13
    numbers = [step.number for step in collector.steps]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 3000
    assert numbers[0] == 0
    assert numbers[-1] > 2800
    assert all((step.raw is not None) == clip for step in collector.steps)
    assert all(("snr" in step.signals) == bool(signals) for step in collector.steps)


def test_without_a_budget_every_step_is_measured(monkeypatch) -> None:
    """Without a budget the monitor measures every step, even if each takes a second."""
    parts = FakeClock(monkeypatch).parts
    model, optimizer, collector = small_collector(with_optimizer=True, parts=parts)
    train(model, optimizer, 20)

    assert [step.number for step in collector.steps] == list(range(20))


def test_the_run_has_the_numbers_of_measured_steps(tmp_path, monkeypatch) -> None:
    """The header has the budget, and the steps have their numbers."""
    clock = FakeClock(monkeypatch)
    attach_with_parts(monkeypatch, clock.parts)
    model = small()
    optimizer = sgd(model)

    def step() -> None:
        clock.now += 0.01

    with gradsound.attach(model, optimizer, log=tmp_path / "run.jsonl", budget=0.25):
        train(model, optimizer, 9, before_step=step)
    run = gradsound.read_run(tmp_path / "run.jsonl")

    assert run.header.budget == 0.25
    assert json.loads((tmp_path / "run.jsonl").read_text().split("\n")[0])["budget"] == 0.25
    assert [step.number for step in run.steps] == [
        0
    ]  # its second of measuring needs a pause of four
    assert run.select("0").header.budget == 0.25


@pytest.mark.parametrize("budget", [0, 1, -0.1, float("nan")])
def test_a_budget_outside_its_range_raises(budget: float) -> None:
    """The message has the range and an example."""
    model = small()
    with pytest.raises(ValueError, match="between 0 and 1, such as"):
        gradsound.attach(model, budget=budget)


def test_the_first_measurement_is_charged_up_front() -> None:
    """A short run keeps to the budget too; the monitor counts the steps it leaves out."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer, budget=1e-9)
    train(model, optimizer, 5)

    assert not collector.steps
    assert collector.monitor.steps == 5


def test_a_run_without_measured_steps_warns(tmp_path) -> None:
    """If the budget is too small for the whole run, the warning gives it as the reason."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.attach(model, optimizer, log=tmp_path / "run.jsonl", budget=1e-9)
    train(model, optimizer, 5)
    with pytest.warns(
        GradsoundWarning, match="none of 5 steps was measured within the budget"
    ):
        attachment.close()
