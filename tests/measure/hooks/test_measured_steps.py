"""Which gradients are a step: those that the optimizer applies, once."""

import numpy as np
import pytest
import torch
from helpers.models import Tied, loss_of, sgd, small, train, true_norm
from helpers.monitors import BOTH, StepCollector, collector_for, small_collector
from torch import nn

from gradsound.errors import GradsoundWarning


@BOTH
@pytest.mark.parametrize("make", [small, Tied])
def test_norms_are_those_of_the_gradients(make, with_optimizer: bool) -> None:
    """Each step has each layer's norm, equal to a float64 computation."""
    model = make()
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    expected = []

    def keep_true_norms() -> None:
        counted: set[nn.Parameter] = set()
        squares = []
        for _, module in model.named_modules():
            direct = set(module.parameters(recurse=False)) - counted
            counted.update(direct)
            if any(p.requires_grad for p in direct):
                squares.append(sum(p.grad.double().square().sum().item() for p in direct))
            elif direct:  # a frozen layer
                squares.append(np.nan)
        expected.append(np.sqrt(squares))

    train(model, optimizer, before_step=keep_true_norms)

    np.testing.assert_allclose(collector.norms, expected, rtol=1e-6)


OPTIMIZERS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type)
    and issubclass(kind, torch.optim.Optimizer)
    and kind is not torch.optim.Optimizer
}


@BOTH
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_torch_is_measured(name: str, with_optimizer: bool) -> None:
    """Each step of each optimizer is one step of the run, with the gradients it applied."""
    torch.manual_seed(0)
    sparse = name == "SparseAdam"
    model = nn.Embedding(7, 3, sparse=sparse) if sparse else nn.Linear(3, 2, bias=False)
    optimizer = OPTIMIZERS[name](model.parameters(), lr=0.01)
    collector = collector_for(model, optimizer, with_optimizer)
    x = torch.tensor([0, 0, 4]) if sparse else torch.rand(8, 3)
    expected = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        grad = model.weight.grad
        expected.append([(grad.to_dense() if sparse else grad).double().norm().item()])

    np.testing.assert_allclose(collector.norms, expected, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("keyword", [True, False])
def test_a_step_with_a_closure_is_measured_after_it(
    with_optimizer: bool, keyword: bool
) -> None:
    """The norms are those of the gradients that the closure made during the step."""
    model, optimizer, collector = small_collector(with_optimizer)
    x = torch.rand(8, 3)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure=closure) if keyword else optimizer.step(closure)

    assert len(collector.norms) == 3
    expected = [true_norm(model[0]), true_norm(model[2])]
    np.testing.assert_allclose(collector.norms[-1], expected, rtol=1e-6)


@BOTH
def test_reads_before_the_step(with_optimizer: bool) -> None:
    """The monitor reads gradients before the step; a later hook may clear them."""
    model = small()
    optimizer = sgd(model)
    optimizer.register_step_post_hook(lambda *_: optimizer.zero_grad())
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)

    assert (np.array(collector.norms) > 0).all()


@BOTH
def test_clipped_gradients_are_measured_clipped(with_optimizer: bool) -> None:
    """The norms are those after clipping, which the optimizer applies."""
    model, optimizer, collector = small_collector(with_optimizer)
    clip = lambda: nn.utils.clip_grad_norm_(model.parameters(), 1e-3)  # noqa: E731
    train(model, optimizer, 3, before_step=clip)

    np.testing.assert_allclose(np.linalg.norm(collector.norms, axis=1), 1e-3, rtol=1e-3)


@BOTH
def test_accumulation_is_one_step(with_optimizer: bool) -> None:
    """Several backward passes before a step are one step, with the norms of their sum."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for _ in range(3):
        loss_of(model, data).backward()
    optimizer.step()

    np.testing.assert_allclose(
        collector.norms, [[true_norm(model[0]), true_norm(model[2])]]
    )


@BOTH
def test_a_subclass_that_calls_super_steps_once(with_optimizer: bool) -> None:
    """Torch fires the hooks of such an optimizer twice a step; the run has one step."""

    class Nested(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    model = small()
    optimizer = Nested(model.parameters(), lr=0.01)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 3)

    assert len(collector.norms) == 3


@BOTH
def test_a_step_that_failed_does_not_silence_the_next(with_optimizer: bool) -> None:
    """After an exception in a step, the monitor measures the later steps."""
    model, optimizer, collector = small_collector(with_optimizer)

    def fail() -> float:
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(fail)
    train(model, optimizer, 3)

    assert len(collector.norms) == 3


@BOTH
def test_layers_without_gradient_are_absent(with_optimizer: bool) -> None:
    """A layer without a gradient is absent; its norm is NaN, not 0."""
    model, optimizer, collector = small_collector(with_optimizer)
    model[2](torch.rand(2, 4)).sum().backward()
    optimizer.step()

    assert collector.absent == [[True, False]]
    assert np.isnan(collector.norms[0][0])


def test_no_visible_gradient_warns_once() -> None:
    """If a wrapper removes all gradients before the steps, there is one warning."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer)

    def remove_gradients() -> None:
        for parameter in model.parameters():
            parameter.grad = None

    with pytest.warns(
        GradsoundWarning, match="no gradient is visible at step 0: "
    ) as warned:
        train(model, optimizer, 3, before_step=remove_gradients)

    assert len(warned) == 1
    assert collector.absent == [[True, True]] * 3


def test_a_model_is_measured_at_any_optimizer_s_step_once() -> None:
    """Without an optimizer, the first step of one with fresh gradients is the step."""
    model, other = small(), small()
    first, second, foreign = sgd(model[0]), sgd(model[2]), sgd(other)
    collector = StepCollector(model)
    loss_of(model, torch.Generator()).backward()
    foreign.step()
    assert not collector.norms
    first.step()
    second.step()
    assert collector.absent == [[False, False]]

    model[2](torch.rand(2, 4)).sum().backward()
    second.step()
    assert collector.absent[1:] == [[True, False]]  # no old gradient is measured again


@pytest.mark.parametrize("first", ["hooks", "attach"])
def test_optimizers_in_the_backward_pass_are_one_step(first: str) -> None:
    """If each parameter's optimizer steps in the backward pass, the pass is one step."""
    model, twin = small(), small()
    optimizers = {p: torch.optim.SGD([p], lr=0.01) for p in model.parameters()}

    def step(parameter: nn.Parameter) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    if first == "attach":
        collector = StepCollector(model)
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    if first == "hooks":
        collector = StepCollector(model)
    other = StepCollector(twin, optimizer := sgd(twin))
    data = torch.Generator().manual_seed(1)
    for _ in range(3):
        loss_of(model, data).backward()
    train(twin, optimizer, 3)

    np.testing.assert_allclose(collector.norms, other.norms, rtol=1e-6)


@BOTH
def test_a_rank_s_own_gradients_are_those_before_the_reduction(
    with_optimizer: bool,
) -> None:
    """Code that changes gradients at the end of the backward pass does not change norms."""

    def reduce(parameter: torch.Tensor) -> None:
        parameter.grad /= 2

    model, optimizer, collector = small_collector(with_optimizer, local=True)
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(reduce)
    loss_of(model, torch.Generator()).backward()
    optimizer.step()

    expected = [2 * true_norm(model[0]), 2 * true_norm(model[2])]
    np.testing.assert_allclose(collector.norms, [expected], rtol=1e-6)


def test_old_gradients_stay_old_when_the_parameters_change() -> None:
    """Only a parameter that is new in the model may have a gradient that no step had."""
    model, optimizer, collector = small_collector(with_optimizer=False)
    train(model, optimizer, 1)
    collector.monitor.update_parameters()
    optimizer.step()

    assert len(collector.steps) == 1


def test_a_backward_pass_that_fails_is_no_step() -> None:
    """The norms of a failed backward pass are in no step, not even in the next one."""
    model = small()
    optimizers = {p: torch.optim.SGD([p], lr=0.01) for p in model.parameters()}
    fail = True

    def step(parameter: nn.Parameter) -> None:
        optimizers[parameter].step()
        if fail and parameter is model[0].weight:
            raise KeyError

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    collector = StepCollector(model)
    data = torch.Generator().manual_seed(1)
    with pytest.raises(KeyError):
        loss_of(model, data).backward()
    assert not collector.norms
    fail = False
    model.zero_grad()
    model[0](torch.ones(1, 3)).sum().backward()

    assert collector.absent == [[False, True]]
