"""Gradients that a training clips and then throws away, in every way that people write."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, true_norm
from helpers.monitors import BOTH, StepCollector, collector_for, small_collector
from torch import nn
from torch.nn.utils import clip_grad_norm_ as imported_before

from gradsound.measure.discarded_steps import DiscardWatch

MAX_NORM = 1 / 13
BAD = (1, 2, 5)  # iterations that the training throws away
ITERATIONS = 7


def by_hand(model: nn.Module, _: object) -> None:
    for parameter in model.parameters():
        parameter.grad = None


def in_place(model: nn.Module, _: object) -> None:
    for parameter in model.parameters():
        parameter.grad.zero_()


THROW = {  # ways to throw gradients away
    "optimizer": lambda _, optimizer: optimizer.zero_grad(),
    "optimizer, kept": lambda _, optimizer: optimizer.zero_grad(set_to_none=False),
    "model": lambda model, _: model.zero_grad(),
    "model, kept": lambda model, _: model.zero_grad(set_to_none=False),
    "by hand": by_hand,
    "in place": in_place,
}
THROWS = pytest.mark.parametrize("throw", THROW.values(), ids=THROW)


def norms_of(model: nn.Module) -> list[float]:
    return [true_norm(model[0]), true_norm(model[2])]


class Loop:
    """A loop that clips, and throws away the gradients of some iterations.

    Args:
        throw: Throws the gradients of a model and an optimizer away.
        at_the_top: Whether it does so at the top of the next iteration.
        micro_batches: Backward passes of an iteration.
        scaler: Scales the loss, if given.
    """

    def __init__(
        self,
        throw: Callable[[nn.Module, object], None],
        *,
        at_the_top: bool = False,
        micro_batches: int = 1,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.throw, self.at_the_top = throw, at_the_top
        self.micro_batches, self.scaler = micro_batches, scaler
        self.raw, self.applied = [], []  # true norms of each iteration
        self.data = torch.Generator().manual_seed(1)

    def train(self, model: nn.Module, optimizer: torch.optim.Optimizer, log=None) -> None:
        """Trains ITERATIONS iterations."""
        for k in range(ITERATIONS):
            if self.at_the_top and k:
                self.throw(model, optimizer)
            for _ in range(self.micro_batches):
                loss = loss_of(model, self.data)
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
            self.raw.append(norms_of(model))
            if log is not None:
                log({"iteration": k})
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            self.applied.append(norms_of(model))
            if k not in BAD:
                optimizer.step() if self.scaler is None else self.scaler.step(optimizer)
            if self.scaler is not None:
                self.scaler.update()
            if not self.at_the_top:
                self.throw(model, optimizer)


def check(collector: StepCollector, loop: Loop) -> None:
    """Asserts that each iteration is in the run as it was."""
    for k, step in enumerate(collector.steps):
        assert step.number == k
        assert step.discarded == step.skipped == (k in BAD)
        if k in BAD:
            np.testing.assert_allclose(step.norms, loop.raw[k], rtol=1e-5)
            assert step.raw is None
        else:
            np.testing.assert_allclose(step.norms, loop.applied[k], rtol=1e-5)
            np.testing.assert_allclose(step.raw, loop.raw[k], rtol=1e-5)
    assert len(collector.steps) == ITERATIONS
    times = [step.time for step in collector.steps]
    assert times == sorted(times)


@BOTH
@THROWS
@pytest.mark.parametrize("at_the_top", [True, False])
def test_each_way_to_throw_gradients_away(
    with_optimizer: bool, throw: Callable, at_the_top: bool
) -> None:
    """A discarded iteration is a step of its own; the next one has its own raw norms."""
    model, optimizer, collector = small_collector(with_optimizer)
    loop = Loop(throw, at_the_top=at_the_top)
    loop.train(model, optimizer)

    check(collector, loop)


@BOTH
@THROWS
def test_with_accumulation(with_optimizer: bool, throw: Callable) -> None:
    """An iteration of several backward passes is discarded once."""
    model, optimizer, collector = small_collector(with_optimizer)
    loop = Loop(throw, micro_batches=3)
    loop.train(model, optimizer)

    check(collector, loop)


@THROWS
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_under_a_scaler(throw: Callable, given: bool, fused: bool) -> None:
    """Discarded iterations are found under a GradScaler, whether attach() has it or not."""
    model = small()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    collector = StepCollector(model, optimizer, scaler if given else None)
    loop = Loop(throw, scaler=scaler)
    loop.train(model, optimizer)

    check(collector, loop)


@THROWS
def test_training_is_bit_identical(throw: Callable) -> None:
    """With and without a monitor, the weights are equal to the last bit."""
    model, optimizer, _collector = small_collector(with_optimizer=True)
    Loop(throw).train(model, optimizer)
    twin = small()
    Loop(throw).train(twin, sgd(twin))

    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters()))


@BOTH
def test_values_belong_to_their_iteration(with_optimizer: bool) -> None:
    """Values logged before clipping belong to that iteration, discarded or not."""
    model, optimizer, collector = small_collector(with_optimizer)
    loop = Loop(THROW["optimizer"])
    loop.train(model, optimizer, log=collector.monitor.log_values)

    assert [step.values["iteration"] for step in collector.steps] == [*range(ITERATIONS)]


def test_the_last_iterations_are_discarded() -> None:
    """If no step follows, close() records the discarded iteration."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    for _ in range(3):
        loss_of(model, torch.Generator()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.zero_grad()
    assert [step.discarded for step in collector.steps] == [True] * 2
    collector.monitor.close()
    collector.monitor.close()

    assert [step.discarded for step in collector.emitted] == [True] * 3


def test_layers_that_are_clipped_one_by_one() -> None:
    """A discarded step has the norms of all clipped layers from before their clipping."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    loss_of(model, torch.Generator()).backward()
    raw = norms_of(model)
    for layer in (model[2], model[0]):
        nn.utils.clip_grad_norm_(layer.parameters(), MAX_NORM)
    optimizer.zero_grad()
    collector.monitor.close()

    np.testing.assert_allclose(collector.norms, [raw], rtol=1e-6)
    assert collector.absent == [[False, False]]


def test_a_layer_that_is_not_clipped_is_absent() -> None:
    """Nothing measured a layer that was not clipped before its gradient was gone."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    loss_of(model, torch.Generator()).backward()
    nn.utils.clip_grad_norm_(model[2].parameters(), MAX_NORM)
    optimizer.zero_grad()
    collector.monitor.close()

    assert collector.absent == [[True, False]]


@BOTH
def test_an_error_of_the_clipping_discards(with_optimizer: bool) -> None:
    """An iteration whose clipping raises, and that goes on, is a discarded one."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for k in range(4):
        (loss_of(model, data) * (float("nan") if k == 1 else 1.0)).backward()
        try:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
        except RuntimeError:
            optimizer.zero_grad(set_to_none=False)
            continue
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    assert [step.discarded for step in collector.steps] == [False, True, False, False]
    assert collector.steps[1].nonfinite.all()
    assert np.isfinite([step.raw for step in collector.steps if not step.skipped]).all()


def clip_by_name(model: nn.Module) -> None:
    imported_before(model.parameters(), MAX_NORM)


def clip_by_hand(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad.clamp_(-MAX_NORM, MAX_NORM).mul_(0.5)


def train_with_before_clip(
    collector: StepCollector,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    clip: Callable[[nn.Module], None],
    throw: Callable[[nn.Module, object], None],
) -> list[bool]:
    """Trains 4 iterations, without the second one; returns which steps are discarded."""
    data = torch.Generator().manual_seed(1)
    for k in range(4):
        for _ in range(2):  # accumulates
            loss_of(model, data).backward()
        collector.monitor.before_clip()
        clip(model)
        if k != 1:
            optimizer.step()
        throw(model, optimizer)
    return [step.discarded for step in collector.steps]


@BOTH
@THROWS
@pytest.mark.parametrize("clip", [clip_by_name, clip_by_hand])
def test_other_clip_functions(with_optimizer: bool, throw: Callable, clip) -> None:
    """After before_clip() too, each way to throw gradients away is noticed."""
    model, optimizer, collector = small_collector(with_optimizer)
    discarded = train_with_before_clip(collector, model, optimizer, clip, throw)

    assert discarded == [False, True, False, False]


@BOTH
@pytest.mark.parametrize("name", THROW)
def test_other_clip_functions_on_an_accelerator(
    with_optimizer: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a look at the values, only zeroing by a user's own loop is unnoticed."""
    monkeypatch.setattr(DiscardWatch, "_before_accumulation", lambda *_: None)
    model, optimizer, collector = small_collector(with_optimizer)
    discarded = train_with_before_clip(
        collector, model, optimizer, clip_by_hand, THROW[name]
    )

    if name == "in place":
        assert discarded == [False] * 3
    else:
        assert discarded == [False, True, False, False]


@BOTH
def test_accumulation_after_before_clip(with_optimizer: bool) -> None:
    """A backward pass after before_clip() and clipping by hand discards nothing."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for _ in range(4):
        loss_of(model, data).backward()
        collector.monitor.before_clip()
        clip_by_hand(model)
        for _ in range(3):
            loss_of(model, data).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    assert [step.discarded for step in collector.steps] == [False] * 4


def test_zeroing_other_gradients_discards_nothing() -> None:
    """A zero_grad() of other parameters, or after the step, throws nothing away."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    other = small()
    data = torch.Generator().manual_seed(1)
    for _ in range(4):
        loss_of(model, data).backward()
        collector.monitor.before_clip()
        other.zero_grad()
        sgd(other).zero_grad()
        optimizer.step()
        model.zero_grad(set_to_none=False)

    assert [step.discarded for step in collector.steps] == [False] * 4


def test_closing_restores_zero_grad() -> None:
    """Each monitor notices zero_grad(); with the last one, torch's methods return."""
    methods = torch.optim.Optimizer.zero_grad, nn.Module.zero_grad
    collectors = [small_collector(with_optimizer=True)[2] for _ in range(2)]
    for collector in collectors:
        replaced = torch.optim.Optimizer.zero_grad, nn.Module.zero_grad
        assert all(a is not b for a, b in zip(replaced, methods))
        collector.monitor.close()

    assert (torch.optim.Optimizer.zero_grad, nn.Module.zero_grad) == methods


@THROWS
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_rank_s_own_gradients(throw: Callable, scale: float) -> None:
    """With ranks="each", discarded steps have the norms of the rank, without the scale."""
    model = small()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scale != 1)
    collector = StepCollector(model, optimizer, scaler, local=True)
    loop = Loop(throw, scaler=scaler)
    loop.train(model, optimizer, log=collector.monitor.log_values)

    assert [step.discarded for step in collector.steps] == [
        k in BAD for k in range(ITERATIONS)
    ]
    assert [step.values["iteration"] for step in collector.steps] == [*range(ITERATIONS)]
    np.testing.assert_allclose(collector.norms, loop.raw, rtol=1e-5)
    assert not any(step.raw is not None for step in collector.steps)


def test_a_rank_s_discarded_norms_are_in_no_other_step() -> None:
    """A layer without a gradient is absent, though the discarded step had one."""
    model, optimizer, collector = small_collector(with_optimizer=True, local=True)
    loss_of(model, torch.Generator()).backward()
    nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
    optimizer.zero_grad()
    model[2](torch.rand(8, 4)).square().mean().backward()
    optimizer.step()

    assert collector.absent == [[False, False], [True, False]]


def test_a_watched_parameter_that_is_replaced() -> None:
    """After the model has other parameters, discarded steps are found as before."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    Loop(THROW["optimizer"]).train(model, optimizer)
    model.load_state_dict(
        {k: v.clone() for k, v in model.state_dict().items()}, assign=True
    )
    optimizer.param_groups[0]["params"][:] = model.parameters()
    Loop(THROW["optimizer"]).train(model, optimizer)  # the monitor notices it here
    Loop(THROW["optimizer"]).train(model, optimizer)
    discarded = [step.discarded for step in collector.steps[-ITERATIONS:]]

    assert discarded == [k in BAD for k in range(ITERATIONS)]


# What follows discards nothing.


@BOTH
def test_accumulation_after_clipping_discards_nothing(with_optimizer: bool) -> None:
    """A loop may clip after each of several backward passes of one step."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for _ in range(4):
        for _ in range(3):
            loss_of(model, data).backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()

    assert [step.discarded for step in collector.steps] == [False] * 4


@BOTH
def test_accumulation_after_one_clipping(with_optimizer: bool) -> None:
    """A loop may clip the gradients of a first loss, then add those of others."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for _ in range(4):
        loss_of(model, data).backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        for _ in range(3):
            loss_of(model, data).backward()
        optimizer.step()
        optimizer.zero_grad()

    assert [step.discarded for step in collector.steps] == [False] * 4


@BOTH
def test_gradients_changed_before_the_step(with_optimizer: bool) -> None:
    """A training may change, replace or drop clipped gradients, and then step."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for k in range(6):
        optimizer.zero_grad()
        loss_of(model, data).backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        weight = model[0].weight
        weight.grad = [weight.grad.mul_(2), weight.grad * 2, None][k % 3]
        optimizer.step()

    assert [step.discarded for step in collector.steps] == [False] * 6


@BOTH
@pytest.mark.parametrize("name", ["LBFGS", "SGD"])
def test_a_closure_discards_nothing(with_optimizer: bool, name: str) -> None:
    """A closure that clips is called several times a step; the optimizer uses each call.

    What the training throws away after such steps is discarded, as ever.
    """
    model = small()
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=0.01)
    collector = collector_for(model, optimizer, with_optimizer)
    x, raw = torch.rand(8, 3), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        raw.append(norms_of(model))
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert [step.discarded for step in collector.steps] == [False] * 3
    np.testing.assert_allclose(collector.steps[-1].raw, raw[-1], rtol=1e-5)

    closure()
    closure()
    optimizer.step(lambda: torch.zeros(()))
    assert [step.discarded for step in collector.steps] == [*[False] * 3, True, False]


def test_two_optimizers_that_clip_before_their_steps() -> None:
    """If each optimizer clips its part and steps, nothing is discarded."""
    model = small()
    first, second = sgd(model[0]), sgd(model[2])
    collector = StepCollector(model)
    data = torch.Generator().manual_seed(1)
    for _ in range(4):
        model.zero_grad()
        loss_of(model, data).backward()
        for layer, optimizer in ((model[0], first), (model[2], second)):
            nn.utils.clip_grad_norm_(layer.parameters(), MAX_NORM)
            optimizer.step()

    assert [step.discarded for step in collector.steps] == [False] * 4


def test_gradients_of_a_generator_s_loss_are_not_discarded() -> None:
    """A GAN throws away what the generator's loss leaves in the discriminator."""
    generator, discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizers = sgd(generator), sgd(discriminator)
    collectors = [
        StepCollector(model, optimizer)
        for model, optimizer in zip((generator, discriminator), optimizers)
    ]
    for _ in range(4):
        fake = generator(torch.rand(4, 2))
        for model, optimizer, loss in (
            (discriminator, optimizers[1], lambda x: discriminator(x.detach()).mean()),
            (generator, optimizers[0], lambda x: -discriminator(x).mean()),
        ):
            optimizer.zero_grad()
            loss(fake).backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimizer.step()

    for collector in collectors:
        assert [step.discarded for step in collector.steps] == [False] * 4


def test_closing_removes_the_hook() -> None:
    """Only before_clip() needs a second hook; after close(), none is left."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    Loop(THROW["optimizer"]).train(model, optimizer)
    assert any(p._post_accumulate_grad_hooks for p in model.parameters())
    assert not any(p._backward_hooks for p in model.parameters())
    train_with_before_clip(collector, model, optimizer, clip_by_hand, THROW["optimizer"])
    assert any(p._backward_hooks for p in model.parameters())
    collector.monitor.close()

    for parameter in model.parameters():
        assert not parameter._post_accumulate_grad_hooks
        assert not parameter._backward_hooks
