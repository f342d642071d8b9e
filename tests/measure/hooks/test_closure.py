"""Steps with a closure: the norms are those of the gradients that its last call made."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import pytest
import pytorch_optimizer
import schedulefree
import torch
from helpers.models import sgd, small
from helpers.monitors import BOTH, StepCollector, collector_for
from helpers.oracle import assert_steps, true_norms
from torch import nn

from gradsound.measure.hooks.parts import MonitorParts

Closure = Callable[[], torch.Tensor]


class Consuming(torch.optim.SGD):
    """Evaluates its closure twice, scales the gradients in place, and removes them."""

    def step(self, closure: Closure | None = None) -> torch.Tensor | None:
        if closure is not None:
            closure()
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.mul_(17)
        super().step()
        self.zero_grad()
        return loss if closure is not None else None


OPTIMIZERS = {
    "consuming": partial(Consuming, lr=1e-3),
    "LBFGS": partial(torch.optim.LBFGS, max_iter=4),
    "schedulefree": partial(schedulefree.AdamWScheduleFree, lr=0.01),
    "schedulefree with a closure": partial(schedulefree.AdamWScheduleFreeClosure, lr=0.01),
    "Ranger": partial(pytorch_optimizer.Ranger, lr=0.01),
    "Ranger21": partial(pytorch_optimizer.Ranger21, num_iterations=5, lr=0.01),
    "ScheduleFreeAdamW": partial(pytorch_optimizer.ScheduleFreeAdamW, lr=0.01),
}


class Training:
    """Five steps of a small model, with and without a collector.

    Args:
        name: The optimizer.
        wrap: Makes the closure that the optimizer gets.
    """

    def __init__(
        self, name: str, wrap: Callable[[Closure], Closure] = lambda closure: closure
    ) -> None:
        self.model, self._wrap = small(), wrap
        sgd(self.model)  # from now on, torch calls the hooks of super().step() too
        self.optimizer = OPTIMIZERS[name](self.model.parameters())
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        self.truth: list[dict[str, float]] = []
        self.losses: list[float] = []

    def run(self) -> nn.Module:
        """Trains, and keeps what the oracle says at the end of each last evaluation."""
        data = torch.Generator().manual_seed(1)
        for _ in range(5):
            x, last = torch.rand(8, 3, generator=data), [{}]

            def closure(x: torch.Tensor = x, last: list = last) -> torch.Tensor:
                self.optimizer.zero_grad()
                loss = (self.model(x).square() + self.model(x)).mean()
                loss.backward()
                last[0] = true_norms(self.model)
                return loss

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the packages, about torch
                self.losses.append(float(self.optimizer.step(self._wrap(closure))))
            self.truth += last
        return self.model


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_that_a_step_changes(name: str, with_optimizer: bool) -> None:
    """The run has the gradients from before the optimizer changes or removes them.

    The weights and the values of the closure are equal to the last bit without it.
    """
    training, alone = Training(name), Training(name)
    collector = collector_for(training.model, training.optimizer, with_optimizer)

    trained, bare = training.run(), alone.run()

    assert_steps(collector.steps, ["0", "2"], training.truth)
    assert training.losses == alone.losses
    for p, q in zip(trained.parameters(), bare.parameters()):
        assert torch.equal(p, q)


class Callback:
    """A closure that is an object, with an argument of its own and an attribute."""

    name = "callback"

    def __init__(self, closure: Closure) -> None:
        self._closure = closure

    def __call__(self, scale: float = 1.0) -> torch.Tensor:
        return scale * self._closure()


@BOTH
@pytest.mark.parametrize("wrap", [lambda c: partial(Callback(c), scale=2.0), Callback])
def test_closures_of_any_kind(
    wrap: Callable[[Closure], Closure], with_optimizer: bool
) -> None:
    """A closure may be a partial function or an object; the optimizer sees all of it."""
    training, alone = Training("consuming", wrap), Training("consuming", wrap)
    seen: list[str | None] = []

    def look(_: object, args: tuple, __: dict) -> None:
        if len(args) > 1:  # else it is super().step()
            seen.append(getattr(args[1], "func", args[1]).name)

    collector = collector_for(training.model, training.optimizer, with_optimizer)
    training.optimizer.register_step_pre_hook(look)  # after ours
    training.run()
    alone.run()

    assert seen[:1] == ["callback"]
    assert_steps(collector.steps, ["0", "2"], training.truth)
    assert training.losses == alone.losses


@BOTH
def test_a_hook_that_hands_on_another_closure(with_optimizer: bool) -> None:
    """A later hook may replace the closure; its evaluation counts if it calls ours."""
    training = Training("consuming")
    collector = collector_for(training.model, training.optimizer, with_optimizer)

    def replace(_: object, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        optimizer, *closures = args
        if not closures:  # it is super().step()
            return args, kwargs
        (closure,) = closures
        return (optimizer, lambda: closure() * 3), kwargs

    training.optimizer.register_step_pre_hook(replace)
    training.run()

    assert_steps(collector.steps, ["0", "2"], training.truth)


@BOTH
def test_a_closure_that_fails(with_optimizer: bool) -> None:
    """Its exception reaches the training; the next step is measured."""
    training = Training("consuming")
    collector = collector_for(training.model, training.optimizer, with_optimizer)

    def fail() -> torch.Tensor:
        raise KeyError("data")

    with pytest.raises(KeyError, match="data"):
        training.optimizer.step(fail)
    training.run()

    assert_steps(collector.steps, ["0", "2"], training.truth)


class OneStep:
    """A budget that allows nothing after its first charge, and keeps what it charged."""

    def __init__(self) -> None:
        self.charges, self._added = [], 0.0

    def allows(self, _: float) -> bool:
        return not self.charges

    def add(self, seconds: float) -> None:
        self._added += seconds

    def charge(self, _: float) -> None:
        self.charges.append(self._added)
        self._added = 0.0


@BOTH
def test_a_budget_leaves_steps_with_a_closure_out(with_optimizer: bool) -> None:
    """The budget decides once a step, and pays for the reading after each evaluation."""
    training, budget = Training("consuming"), OneStep()
    collector = StepCollector(
        training.model,
        training.optimizer if with_optimizer else None,
        budget=0.5,
        parts=MonitorParts(budget=lambda *_: budget),
    )
    training.run()

    assert [step.number for step in collector.steps] == [0]
    assert budget.charges[0] > 0
