"""Wrapped trainings: Accelerate, and optimizers around optimizers."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin
from helpers.models import sgd, small, true_norm
from helpers.oracle import assert_steps, true_norms
from torch import nn
from torch.utils.data import DataLoader

import gradsound
from gradsound.measure.hooks.optimizer_wrappers import unwrap_optimizers

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_accelerate(with_optimizer: bool, precision: str, accumulate: int) -> None:
    """Each step of a prepared optimizer is one step, with raw and clipped norms."""
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a new program
    plugin = GradientAccumulationPlugin(num_steps=accumulate, sync_with_dataloader=False)
    accelerator = Accelerator(
        cpu=True, mixed_precision=precision, gradient_accumulation_plugin=plugin
    )
    plain = small()
    data = torch.rand(24, 3, generator=torch.Generator().manual_seed(1))
    model, optimizer, loader = accelerator.prepare(
        plain, torch.optim.SGD(plain.parameters(), lr=0.01), DataLoader(data, batch_size=4)
    )
    expected, raw = [], []
    with gradsound.attach(model, optimizer if with_optimizer else None):
        for x in loader:
            with accelerator.accumulate(model):
                accelerator.backward(model(x).square().mean())
                if accelerator.sync_gradients:
                    raw.append([true_norm(plain[0]), true_norm(plain[2])])
                    accelerator.clip_grad_norm_(model.parameters(), 1 / 13)
                    expected.append([true_norm(plain[0]), true_norm(plain[2])])
                optimizer.step()
                optimizer.zero_grad()
    run = gradsound.read_run("run.jsonl")
    steps = [*run.steps]

    assert len(steps) == 6 // accumulate
    assert run.header.layers == ("0", "2")
    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-5)
    np.testing.assert_allclose([step.raw for step in steps], raw, rtol=1e-5)


class Lookahead(torch.optim.Optimizer):
    """A wrapper that does not call Optimizer.__init__, as many published ones."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups
        self.state = {}

    def step(self, closure=None):
        return self.optimizer.step(closure)

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()


class InitializedLookahead(Lookahead):
    """A wrapper that calls Optimizer.__init__."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        torch.optim.Optimizer.__init__(self, optimizer.param_groups, {})
        self.optimizer = optimizer


@pytest.mark.parametrize("kind", [Lookahead, InitializedLookahead])
@pytest.mark.parametrize("attached_optimizer", ["wrapper", "inner", "none"])
def test_an_optimizer_around_another_steps_once(
    kind: type, attached_optimizer: str
) -> None:
    """Each step is one step, if attach() gets the wrapper, the inner optimizer or none."""
    model = small()
    inner = torch.optim.SGD(model.parameters(), lr=0.01)
    optimizer = kind(inner)
    chosen = {"wrapper": optimizer, "inner": inner, "none": None}[attached_optimizer]
    expected = []
    with gradsound.attach(model, chosen):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 3)).square().mean().backward()
            expected.append([true_norm(model[0]), true_norm(model[2])])
            optimizer.step()
    steps = [*gradsound.read_run("run.jsonl").steps]

    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["optimizer", "base_optimizer", "original_optimizer", "optim", "opt", "base"]
)
def test_a_wrapper_of_any_kind_is_unwrapped(name: str) -> None:
    """Published wrappers keep the optimizer under several names, some in two layers."""
    model = small()
    inner = sgd(model)
    wrapper = SimpleNamespace(step=inner.step, **{name: inner})
    wrapper.optimizer = getattr(wrapper, "optimizer", wrapper)  # a circle does no harm
    outer = SimpleNamespace(step=wrapper.step, optim=wrapper)

    assert unwrap_optimizers(outer) == unwrap_optimizers([wrapper, inner]) == (inner,)


def test_a_wrapper_that_hides_its_optimizer_raises() -> None:
    """The message names the attribute with the inner optimizer, which attach() accepts."""

    class Hidden(Lookahead):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            super().__init__(optimizer)
            self.inside = self.__dict__.pop("optimizer")

    model = small()
    hidden = Hidden(torch.optim.SGD(model.parameters(), lr=0.01))
    with pytest.raises(ValueError, match=r"a Hidden, .* in it, optimizer\[1\]\.inside"):
        gradsound.attach(model, [hidden.inside, hidden])
    del hidden.__dict__["inside"]
    with pytest.raises(ValueError, match=r"Hidden does not call Optimizer.__init__, so"):
        gradsound.attach(model, hidden)


@pytest.mark.parametrize(
    ("optimizer", "error", "message"),
    [
        (small(), TypeError, "optimizer must be a torch Optimizer, a list of several, or"),
        (
            [sgd(small()), 3],
            TypeError,
            r"optimizer\[1\] must be a torch Optimizer, got int",
        ),
        ([], ValueError, "empty list: leave it out to measure"),
    ],
)
def test_what_is_no_optimizer_is_refused(
    optimizer: object, error: type[Exception], message: str
) -> None:
    """The message has the place, the expected type and the given type."""
    with pytest.raises(error, match=message):
        unwrap_optimizers(optimizer)


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimization, as most projects have it: a step in two halves."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.parameters(), {"rho": 0.05})
        self.base_optimizer = torch.optim.SGD(self.param_groups, lr=0.01)
        self.param_groups = self.base_optimizer.param_groups
        self.moves: list[torch.Tensor] = []

    @torch.no_grad()
    def first_step(self) -> None:
        parameters = self.param_groups[0]["params"]
        norm = torch.stack([p.grad.norm() for p in parameters]).norm()
        self.moves = [p.grad * (0.05 / norm) for p in parameters]
        for p, move in zip(parameters, self.moves):
            p.add_(move)
        self.zero_grad()

    @torch.no_grad()
    def second_step(self) -> None:
        for p, move in zip(self.param_groups[0]["params"], self.moves):
            p.sub_(move)
        self.base_optimizer.step()
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor]) -> None:
        closure = torch.enable_grad()(closure)
        closure()
        self.first_step()
        closure()
        self.second_step()


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("attached_optimizer", ["outer", "inner", "none"])
def test_a_step_in_two_halves(halves: bool, attached_optimizer: str) -> None:
    """The run has one step for both, with the gradients that the second half applies."""
    model = small()
    optimizer = SAM(model)
    chosen = {"outer": optimizer, "inner": optimizer.base_optimizer, "none": None}
    data = torch.Generator().manual_seed(1)
    truth = []

    def closure() -> torch.Tensor:
        loss = model(x).square().mean()
        loss.backward()
        evaluations.append(true_norms(model))
        return loss

    with gradsound.attach(model, chosen[attached_optimizer]):
        for _ in range(4):
            x, evaluations = torch.rand(8, 3, generator=data), []
            if halves:
                closure()
                optimizer.first_step()
                closure()
                optimizer.second_step()
            else:
                optimizer.step(closure)
            assert len(evaluations) == 2
            truth.append(evaluations[1])

    run = gradsound.read_run("run.jsonl")
    assert_steps([*run.steps], run.header.layers, truth)


def test_an_engine_that_keeps_gradients_warns_once() -> None:
    """If .grad is None at each step, as with DeepSpeed, there is one warning."""

    class Engine(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module
            self.optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
            self.kept = {}
            for name, parameter in module.named_parameters():
                hook = lambda p, name=name: self.keep(name, p)  # noqa: E731
                parameter.register_post_accumulate_grad_hook(hook)

        def keep(self, name: str, parameter: torch.Tensor) -> None:
            self.kept[name], parameter.grad = parameter.grad, None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x)

    engine = Engine(small())
    attachment = gradsound.attach(engine, engine.optimizer)

    def train() -> None:
        for _ in range(3):
            engine(torch.rand(8, 3)).square().mean().backward()
            engine.optimizer.step()

    with pytest.warns(
        gradsound.errors.GradsoundWarning, match="such as DeepSpeed"
    ) as warned:
        train()
    attachment.close()

    assert len(warned) == 1
