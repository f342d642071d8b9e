"""The update ratio is what happened to the weights, whatever the optimizer is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.models import Tied, small
from helpers.monitors import BOTH, StepCollector, collector_for
from helpers.signals import UPDATE_STEPS, Witness, every, signal, train_on
from torch import nn

RATIO = {"signals": ("update_ratio",)}


class Lion(torch.optim.Optimizer):
    """Steps by the sign of a moment, with weight decay."""

    def __init__(self, parameters, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Makes a step."""
        for group in self.param_groups:
            for p in group["params"]:
                moment = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - 0.1 * group["lr"])
                p.add_(torch.lerp(moment, p.grad, 0.1).sign(), alpha=-group["lr"])
                moment.lerp_(p.grad, 0.01)


OPTIMIZERS = {
    "Adam": lambda ps: torch.optim.Adam(ps, lr=1e-2, betas=(0.8, 0.99), eps=1e-3),
    "Adam, amsgrad, decay": lambda ps: torch.optim.Adam(
        ps, lr=1e-2, amsgrad=True, weight_decay=0.3
    ),
    "Adam, tensor": lambda ps: torch.optim.Adam(ps, lr=torch.tensor(1e-2)),
    "Adam, fused": lambda ps: torch.optim.Adam(ps, lr=1e-2, fused=True),
    "Adam, for loop": lambda ps: torch.optim.Adam(ps, lr=1e-2, foreach=False),
    "AdamW": lambda ps: torch.optim.AdamW(ps, lr=1e-2, weight_decay=0.5),
    "AdamW, maximize": lambda ps: torch.optim.AdamW(ps, lr=1e-2, maximize=True),
    "AdamW, foreach": lambda ps: torch.optim.AdamW(ps, lr=1e-2, foreach=True),
    "SGD": lambda ps: torch.optim.SGD(ps, lr=1e-1, momentum=0.9, nesterov=True),
    "RMSprop": lambda ps: torch.optim.RMSprop(ps, lr=1e-3),
    "Adagrad": lambda ps: torch.optim.Adagrad(ps, lr=1e-2),
    "Adafactor": lambda ps: torch.optim.Adafactor(ps, lr=1e-2),
    "Lion": lambda ps: Lion(ps, lr=1e-3),
}


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_ratio_is_that_of_the_weights(name: str, with_optimizer: bool) -> None:
    """It is there at every 4th step, of the weights before and after the step."""
    model = small()
    optimizer = OPTIMIZERS[name](model.parameters())
    collector = collector_for(model, optimizer, with_optimizer, **RATIO)
    witness = train_on(model, optimizer, 10)

    found = signal(collector.steps, "update_ratio")
    expected = every(witness.update_ratios, UPDATE_STEPS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not any("snr" in step.signals for step in collector.steps)


def test_a_learning_rate_counts_that_changes_between_steps() -> None:
    """A scheduler, or the loop itself, may change it; groups have rates of their own."""
    model = small()
    groups = [{"params": [*model[0].parameters()]}, {"params": [*model[2].parameters()]}]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    collector = StepCollector(model, optimizer, **RATIO)

    def change(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 0.0 if number == 4 else 1e-2 / (1 + number)
        optimizer.param_groups[1]["lr"] = 1e-3 * (1 + number)

    witness = train_on(model, optimizer, 9, before_step=change)
    found = signal(collector.steps, "update_ratio")

    np.testing.assert_allclose(found, every(witness.update_ratios, 4), rtol=1e-5)
    assert found[4][0] == 0  # the rate is 0, and so is the ratio


def test_weights_of_0_have_no_ratio() -> None:
    """Never infinity; the ratio begins with the weights, as LoRA's second matrix does."""
    model = small()
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    optimizer = torch.optim.Adam(model.parameters())
    collector = StepCollector(model, optimizer, **RATIO)
    data = torch.Generator().manual_seed(1)
    for _ in range(5):
        optimizer.zero_grad()
        (model(torch.randn(8, 3, generator=data)) - 1).square().mean().backward()
        optimizer.step()
    found = signal(collector.steps, "update_ratio")

    assert np.isnan(found[0]).tolist() == [False, True]
    assert np.isfinite(found[4]).all()


def test_shared_frozen_and_idle_layers() -> None:
    """A shared weight is in one layer; a layer without a gradient has no ratio."""
    model = Tied()
    idle = model.body["norm"]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    collector = StepCollector(model, optimizer, **RATIO)
    names = [layer.name for layer in collector.layers]
    witness = Witness([model.embed, model.body["a"]])
    data = torch.Generator().manual_seed(1)
    for number in range(5):
        optimizer.zero_grad()
        model(torch.rand(8, 3, generator=data)).square().mean().backward()
        if number == 4:
            idle.weight.grad = idle.bias.grad = None
        witness.step(optimizer.step)
    found = signal(collector.steps, "update_ratio")

    for column, name in enumerate(["embed", "body.a"]):
        np.testing.assert_allclose(
            found[::4, names.index(name)], witness.update_ratios[::4, column], rtol=1e-5
        )
    assert np.isnan(found[:, names.index("frozen")]).all()
    assert np.isfinite(found[0, names.index("body.norm")])
    assert np.isnan(found[4, names.index("body.norm")])


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_a_skipped_step_has_no_signals(fused: bool, unscale: bool) -> None:
    """Nothing happened in it, and nothing of it counts later."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    collector = StepCollector(
        model, optimizer, scaler, signals=("update_ratio", "snr", "zeros")
    )
    witness, data = Witness([model[0], model[2]]), torch.Generator().manual_seed(1)
    for number in range(6):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 3, generator=data)).square().mean()
        scaler.scale(loss * (np.inf if number in (0, 2) else 1.0)).backward()
        scale = 1.0 if unscale else scaler.get_scale()
        if unscale:
            scaler.unscale_(optimizer)
        if number in (0, 2):
            scaler.step(optimizer)
        else:
            witness.step(lambda: scaler.step(optimizer))
            witness.gradients[-1] = [g / scale for g in witness.gradients[-1]]
        scaler.update()
    steps = collector.steps
    taken = [step for step in steps if not step.skipped]

    assert [step.number for step in steps if step.skipped] == [0, 2]
    assert [dict(step.signals) for step in steps if step.skipped] == [{}, {}]
    expected = witness.ratios(lambda then, now: 0.9 ** (now - then))
    np.testing.assert_allclose(signal(taken, "snr"), expected, rtol=1e-4)
    ratios = signal(taken, "update_ratio")
    is_known = ~np.isnan(ratios[:, 0])
    assert is_known.any()
    np.testing.assert_allclose(ratios[is_known], witness.update_ratios[is_known], rtol=1e-4)


@BOTH
def test_a_step_with_a_closure(with_optimizer: bool) -> None:
    """The ratio is of the whole step, however often it evaluates the closure."""
    model = small()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    collector = collector_for(
        model, optimizer, with_optimizer, signals=("update_ratio", "zeros")
    )
    witness = Witness([model[0], model[2]])
    x = torch.rand(8, 3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(5):
        closure()  # so that a gradient is there to keep
        witness.step(lambda: optimizer.step(closure))

    found = signal(collector.steps, "update_ratio")
    np.testing.assert_allclose(found, every(witness.update_ratios, 4), rtol=1e-5)
    assert [*collector.steps[0].signals] == ["update_ratio", "zeros"]


def test_several_optimizers_take_part_in_one_step() -> None:
    """Each layer has the ratio of the step of its own optimizer."""
    model = small()
    optimizers = [
        torch.optim.Adam(model[0].parameters(), lr=1e-2),
        torch.optim.SGD(model[2].parameters(), lr=1e-1, momentum=0.5),
    ]
    collector = StepCollector(model, optimizers, signals=("update_ratio", "snr", "zeros"))
    witness, data = Witness([model[0], model[2]]), torch.Generator().manual_seed(1)
    for _ in range(9):
        model.zero_grad()
        model(torch.randn(8, 3, generator=data)).square().mean().backward()
        witness.step(lambda: [one.step() for one in optimizers])
    steps = collector.steps

    assert len(steps) == 9
    found = signal(steps, "update_ratio")
    np.testing.assert_allclose(found, every(witness.update_ratios, 4), rtol=1e-5)
    for layer, decay in enumerate((0.9, 0.5)):
        expected = witness.ratios(lambda then, now, b=decay: b ** (now - then))[:, layer]
        np.testing.assert_allclose(signal(steps, "snr")[:, layer], expected, rtol=1e-4)
    np.testing.assert_allclose(signal(steps, "zeros"), every(witness.zeros, 10))


@BOTH
def test_parameters_may_be_replaced(with_optimizer: bool) -> None:
    """Weights of another shape and type, in another optimizer, are followed."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    collector = collector_for(model, optimizer, with_optimizer, **RATIO)
    first = train_on(model, optimizer, 4)
    model[2] = nn.Linear(4, 2)
    optimizer.param_groups[0]["params"] = [*model.parameters()]
    second = train_on(model, optimizer, 4)
    found = signal(collector.steps, "update_ratio")

    expected = np.concatenate([first.update_ratios, second.update_ratios])
    np.testing.assert_allclose(found, every(expected, 4), rtol=1e-5)
