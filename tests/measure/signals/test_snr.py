"""The signal-to-noise ratio is that of all gradients, weighted as the optimizer does."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers.models import small
from helpers.monitors import BOTH, StepCollector, collector_for
from helpers.signals import Witness, signal, train_on
from torch import nn

from gradsound.errors import GradsoundWarning
from gradsound.measure.hooks.parts import MonitorParts

SNR = {"signals": ("snr",)}


def power(decay: float):
    """Returns how a moment weighs a gradient that was n steps ago: by decay to the n."""
    return lambda then, now: decay ** (now - then)


def dampened(decay: float, dampening: float):
    """Returns the weights of SGD, which dampens each gradient but the first."""
    return lambda then, now: decay ** (now - then) * (1 - dampening if then else 1.0)


OPTIMIZERS = {
    "Adam": (lambda ps: torch.optim.Adam(ps), power(0.9)),
    "Adam, other betas": (lambda ps: torch.optim.Adam(ps, betas=(0.6, 0.99)), power(0.6)),
    "Adam, tensor betas": (
        lambda ps: torch.optim.Adam(
            ps, lr=torch.tensor(0.01), betas=(torch.tensor(0.8), torch.tensor(0.9))
        ),
        power(0.8),
    ),
    "Adam, amsgrad": (lambda ps: torch.optim.Adam(ps, amsgrad=True), power(0.9)),
    "Adam, fused": (lambda ps: torch.optim.Adam(ps, fused=True), power(0.9)),
    "Adam, foreach": (lambda ps: torch.optim.Adam(ps, foreach=True), power(0.9)),
    "AdamW": (lambda ps: torch.optim.AdamW(ps, weight_decay=0.5), power(0.9)),
    "AdamW, maximize": (lambda ps: torch.optim.AdamW(ps, maximize=True), power(0.9)),
    "NAdam": (lambda ps: torch.optim.NAdam(ps), power(0.9)),
    "RAdam": (lambda ps: torch.optim.RAdam(ps), power(0.9)),
    "Adamax": (lambda ps: torch.optim.Adamax(ps), power(0.9)),
    "SGD": (lambda ps: torch.optim.SGD(ps, lr=1e-2, momentum=0.9), power(0.9)),
    "SGD, nesterov": (
        lambda ps: torch.optim.SGD(ps, lr=1e-2, momentum=0.8, nesterov=True),
        power(0.8),
    ),
    "SGD, dampened": (
        lambda ps: torch.optim.SGD(ps, lr=1e-2, momentum=0.8, dampening=0.7),
        dampened(0.8, 0.7),
    ),
}


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_ratio_is_that_of_the_gradients(name: str, with_optimizer: bool) -> None:
    """It is there after every step, from the first one on."""
    make, weigh = OPTIMIZERS[name]
    model = small()
    optimizer = make(model.parameters())
    collector = collector_for(model, optimizer, with_optimizer, **SNR)
    witness = train_on(model, optimizer, 12)
    found = signal(collector.steps, "snr")

    np.testing.assert_allclose(found, witness.ratios(weigh), rtol=1e-4)
    np.testing.assert_allclose(found[0], 1, rtol=1e-6)
    assert (found <= 1 + 1e-5).all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs torch 2.9")
def test_muon() -> None:
    """Its moment is an average of gradients."""
    model = nn.Sequential(*[nn.Linear(3, 3, bias=False) for _ in range(3)])
    optimizer = torch.optim.Muon(model.parameters(), lr=1e-3, momentum=0.7)
    collector = StepCollector(model, optimizer, **SNR)
    witness = train_on(model, optimizer, 5)

    found = signal(collector.steps, "snr")[:, [0, 2]]
    np.testing.assert_allclose(found, witness.ratios(power(0.7)), rtol=1e-4)


def test_groups_have_betas_of_their_own_which_may_change() -> None:
    """As by a scheduler that cycles momentum: the weights are products of the betas."""
    model = small()
    groups = [
        {"params": [*model[0].parameters()], "betas": (0.9, 0.99)},
        {"params": [*model[2].parameters()], "betas": (0.5, 0.99)},
    ]
    optimizer = torch.optim.Adam(groups)
    collector = StepCollector(model, optimizer, **SNR)
    betas = np.linspace(0.9, 0.6, 8)

    def change(number: int) -> None:
        optimizer.param_groups[0]["betas"] = (betas[number], 0.99)

    witness = train_on(model, optimizer, 8, before_step=change)
    found = signal(collector.steps, "snr")

    def cycled(then: int, now: int) -> float:
        return (1 - betas[then]) * betas[then + 1 : now + 1].prod()

    np.testing.assert_allclose(found[:, 0], witness.ratios(cycled)[:, 0], rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], witness.ratios(power(0.5))[:, 1], rtol=1e-4)


@pytest.mark.parametrize("alike", [True, False])
def test_a_layer_in_two_groups(alike: bool) -> None:
    """It has ratios if both weigh gradients alike, as groups of other decay do."""
    model = small()
    groups = [
        {"params": [model[0].weight, *model[2].parameters()], "weight_decay": 0.1},
        {"params": [model[0].bias]} | ({} if alike else {"betas": (0.5, 0.9)}),
    ]
    optimizer = torch.optim.AdamW(groups)
    collector = StepCollector(model, optimizer, **SNR)
    witness = train_on(model, optimizer, 4)

    expected = witness.ratios(power(0.9))
    expected[:, 0] *= 1 if alike else np.nan
    np.testing.assert_allclose(signal(collector.steps, "snr"), expected, rtol=1e-4)


class Noise(nn.Module):
    """Gradients that are the given vectors."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(size, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).sum()


@pytest.mark.parametrize(
    ("make", "decay"),
    [
        (lambda ps: torch.optim.Adam(ps, lr=0.0), 0.9),
        (lambda ps: torch.optim.Adam(ps, lr=0.0, betas=(0.5, 0.9)), 0.5),
        (lambda ps: torch.optim.SGD(ps, lr=0.0, momentum=0.9), 0.9),
        (lambda ps: torch.optim.SGD(ps, lr=0.0, momentum=0.8, dampening=0.5), 0.8),
    ],
    ids=["Adam", "Adam, 0.5", "SGD", "SGD, dampened"],
)
@pytest.mark.parametrize("noise", [True, False])
def test_noise_has_a_floor_and_equal_gradients_have_1(make, decay, noise: bool) -> None:
    """Of pure noise the ratio is (1 - b) / (1 + b), in the mean over many numbers."""
    torch.manual_seed(0)
    model = Noise(20_000)
    optimizer = make(model.parameters())
    collector = StepCollector(model, optimizer, **SNR)
    same = torch.randn(20_000)
    for _ in range(80):
        optimizer.zero_grad()
        model(torch.randn(20_000) if noise else same).backward()
        optimizer.step()
    found = signal(collector.steps, "snr")

    expected = (1 - decay) / (1 + decay) if noise else 1.0
    # the standard deviation over 20,000 numbers is below 2 percent of the floor
    np.testing.assert_allclose(found[-1], expected, rtol=0.05 if noise else 1e-5)


def test_clipped_gradients_count() -> None:
    """The moment has the gradients that the optimizer got, and so has the average."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters())
    collector = StepCollector(model, optimizer, **SNR)

    def clip(number: int) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1 / (7 + number))

    witness = train_on(model, optimizer, 8, before_step=clip)

    found = signal(collector.steps, "snr")
    np.testing.assert_allclose(found, witness.ratios(power(0.9)), rtol=1e-4)
    assert collector.steps[0].raw is not None


@pytest.mark.parametrize("decay", [0.5, 0.9])
@pytest.mark.parametrize("loaded", ["before", "between"])
def test_a_resumed_optimizer_has_a_ratio_once_its_past_has_faded(decay, loaded) -> None:
    """It is none as long as gradients that were not seen have 1 percent of the weight."""
    model = small()

    def make() -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=1e-3, betas=(decay, 0.99))

    older = make()
    witness = train_on(model, older, 9)
    state = copy.deepcopy(older.state_dict())
    optimizer = make()
    if loaded == "before":
        optimizer.load_state_dict(state)
    collector = StepCollector(model, optimizer, **SNR)
    train_on(model, optimizer, 3)
    if loaded == "between":
        optimizer.load_state_dict(state)
    begin = len(collector.steps)
    train_on(model, optimizer, 60, witness=witness)
    found = signal(collector.steps, "snr")
    faded = int(np.ceil(np.log(0.01) / np.log(decay)))

    if loaded == "between":
        np.testing.assert_array_equal(np.isnan(found[:begin]), False)
        first = begin
    else:
        first = 0
    is_known = ~np.isnan(found[first:, 0])
    assert not is_known[: faded - 1].any()
    assert is_known[faded:].all()
    expected = witness.ratios(power(decay))[-10:]  # with all gradients, seen or not
    np.testing.assert_allclose(found[-10:], expected, rtol=0.05)


def test_a_layer_that_is_thawed_begins_and_the_others_go_on() -> None:
    """So does a layer that first gets a gradient later."""
    model = small()
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    collector = StepCollector(model, optimizer, **SNR)
    witness = Witness([model[2]])
    train_on(model, optimizer, 3, witness=witness)
    model[0].requires_grad_(True)
    later = Witness([model[0]])
    data = torch.Generator().manual_seed(3)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(8, 3, generator=data)).square().mean().backward()
        witness.look_before()
        later.look_before()
        optimizer.step()
    found = signal(collector.steps, "snr")

    assert np.isnan(found[:3, 0]).all()
    np.testing.assert_allclose(found[:, 1:], witness.ratios(power(0.9)), rtol=1e-4)
    np.testing.assert_allclose(found[3:, :1], later.ratios(power(0.9)), rtol=1e-4)


def test_a_layer_without_a_gradient_keeps_its_average() -> None:
    """The optimizer does not touch its moment either."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    collector = StepCollector(model, optimizer, **SNR)

    def drop(number: int) -> None:
        if number in (3, 4):
            model[0].weight.grad = model[0].bias.grad = None

    witness = train_on(model, optimizer, 8, before_step=drop)
    seen = [row for k, row in enumerate(witness.gradients) if k not in (3, 4)]
    found = signal(collector.steps, "snr")[:, 0]
    witness.gradients = [row[:1] for row in seen]
    witness._layers = witness._layers[:1]

    assert np.isnan(found[3:5]).all()
    expected = witness.ratios(power(0.9))[:, 0]
    np.testing.assert_allclose(np.delete(found, [3, 4]), expected, rtol=1e-4)


class SometimesAllows:
    """A budget that leaves out some steps."""

    def __init__(self, *_: object) -> None:
        self._calls = 0

    def allows(self, _: float) -> bool:
        """Allows the first, the second, the 5th ... step; two calls are a step."""
        self._calls += 1
        return (self._calls - 1) // 2 % 3 < 1

    def add(self, _: float) -> None:
        """Ignores a cost."""

    charge = charge_more = add


def test_steps_that_a_budget_left_out_count_as_the_next_one() -> None:
    """The moment has their gradients, and the average has norms in their place."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    parts = MonitorParts(budget=SometimesAllows)
    collector = StepCollector(model, optimizer, budget=0.5, parts=parts, **SNR)
    witness = train_on(model, optimizer, 13)
    found = signal(collector.steps, "snr")
    numbers = [step.number for step in collector.steps]

    assert numbers == [0, 3, 6, 9, 12]
    row, squares = witness.gradients, []
    for number in range(13):
        of = row[min(n for n in numbers if n >= number)]
        squares.append([(g**2).sum() for g in of])
    for at, number in enumerate(numbers):
        weights = 0.9 ** np.arange(number, -1, -1)
        for layer in range(2):
            past = np.array([g[layer] for g in row[: number + 1]])
            mean = weights @ past / weights.sum()
            average = weights @ np.array(squares)[: number + 1, layer] / weights.sum()
            np.testing.assert_allclose(
                found[at, layer], (mean**2).sum() / average, rtol=1e-4
            )


@BOTH
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda ps: torch.optim.RMSprop(ps, momentum=0.9), "RMSprop keeps no plain"),
        (lambda ps: torch.optim.Adafactor(ps), "Adafactor keeps no plain first moment"),
        (lambda ps: torch.optim.SGD(ps, lr=1e-3), "SGD without momentum keeps no first"),
        (lambda ps: AdamOfMyOwn(ps), "AdamOfMyOwn keeps no plain first moment"),
    ],
    ids=["RMSprop", "Adafactor", "SGD", "subclass"],
)
def test_an_optimizer_without_a_first_moment(make, reason: str, with_optimizer) -> None:
    """One warning names it and those that have one; the other signals are there."""
    model = small()
    optimizer = make(model.parameters())
    names = "update_ratio", "snr"
    collector = collector_for(model, optimizer, with_optimizer, signals=names)
    with pytest.warns(
        GradsoundWarning, match=f"snr has no numbers, because {reason}"
    ) as told:
        train_on(model, optimizer, 3)

    assert len(told) == 1
    assert "Adam, AdamW, NAdam, RAdam, Adamax, Muon and SGD with momentum do" in str(
        told[0].message
    )
    assert [*collector.steps[0].signals] == ["update_ratio"]
    assert [dict(step.signals) for step in collector.steps[1:]] == [{}, {}]


class AdamOfMyOwn(torch.optim.Adam):
    """Steps in another way, about which nothing is known."""

    def step(self, closure=None) -> None:
        """Makes a step of Adam, and changes its moments."""
        super().step(closure)
        for state in self.state.values():
            state["exp_avg"].zero_()


class AdamOfAnotherName(torch.optim.Adam):
    """Steps as Adam does."""


def test_a_subclass_that_steps_as_its_class_has_ratios() -> None:
    """Its moments are those of Adam."""
    model = small()
    optimizer = AdamOfAnotherName(model.parameters())
    collector = StepCollector(model, optimizer, **SNR)
    witness = train_on(model, optimizer, 3)

    found = signal(collector.steps, "snr")
    np.testing.assert_allclose(found, witness.ratios(power(0.9)), rtol=1e-4)
