"""Raw norms, from before clipping, and the norms that the optimizer applies."""

import sys
from collections.abc import Iterable
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, train, true_norm
from helpers.monitors import BOTH, FailingNorms, StepCollector, small_collector
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.utils import clip_grad_norm_ as imported_before
from torch.nn.utils import clip_grad_value_

from gradsound.measure.hooks.clipping import listen_to_clipping
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.overhead_budget import OverheadBudget


def clip_with_norm(parameters: Iterable[torch.Tensor]) -> torch.Tensor:
    """Clips in the two calls of which clip_grad_norm_ consists."""
    parameters = [*parameters]
    total = nn.utils.get_total_norm([p.grad for p in parameters])
    nn.utils.clip_grads_with_norm_(parameters, 1 / 13, total)
    return total


CLIP = {
    "clip_grads_with_norm_": clip_with_norm,
    "clip_grad_norm_": lambda p: torch.nn.utils.clip_grad_norm_(p, 1 / 13),
    "clip_grad_value_": lambda p: nn.utils.clip_grad.clip_grad_value_(p, 1 / 50),
}


def norms_of(model: nn.Module) -> list[float]:
    return [true_norm(model[0]), true_norm(model[2])]


@BOTH
@pytest.mark.parametrize("name", CLIP)
@pytest.mark.parametrize("container", ["iterator", "list"])
def test_raw_and_applied_norms(with_optimizer: bool, name: str, container: str) -> None:
    """A step has the norms from before and after clipping; weights are as without."""
    model, optimizer, collector = small_collector(with_optimizer)
    twin = small()
    raw, applied = [], []

    def clip() -> None:
        raw.append(norms_of(model))
        parameters = model.parameters()
        total = CLIP[name](parameters if container == "iterator" else [*parameters])
        if total is not None:
            np.testing.assert_allclose(total, np.linalg.norm(raw[-1]), rtol=1e-6)
        applied.append(norms_of(model))

    train(model, optimizer, before_step=clip)
    train(twin, sgd(twin), before_step=lambda: CLIP[name](twin.parameters()))

    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-6)
    np.testing.assert_allclose(collector.norms, applied, rtol=1e-6)
    assert (np.array(raw) > 1.1 * np.array(applied)).any()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters()))


@BOTH
def test_a_step_without_clipping_has_no_raw_norms(with_optimizer: bool) -> None:
    """Raw norms are None in a step without clipping, also after a clipped step."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(
        model,
        optimizer,
        1,
        before_step=lambda: CLIP["clip_grad_norm_"]([*model[0].parameters()]),
    )
    train(model, optimizer, 1)

    assert [step.raw is None for step in collector.steps] == [False, True]


@BOTH
def test_the_first_clipping_counts(with_optimizer: bool) -> None:
    """If layers are clipped one by one or twice, raw norms are from before the first."""
    model, optimizer, collector = small_collector(with_optimizer)
    raw = []

    def clip() -> None:
        raw.append(norms_of(model))
        nn.utils.clip_grad_value_(model[2].parameters(), 1 / 50)
        nn.utils.clip_grad_value_(model[0].weight, 1 / 50)  # a tensor by itself
        nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)

    train(model, optimizer, 2, before_step=clip)

    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("by_layer", [True, False])
def test_clipping_after_each_of_several_backward_passes(
    with_optimizer: bool, by_layer: bool
) -> None:
    """Raw norms are from before the last clipping after the last backward pass.

    Earlier ones are those of a part of the gradients. A second clipping after the same
    backward pass does not count.
    """
    model, optimizer, collector = small_collector(with_optimizer)
    data, raw, applied = torch.Generator().manual_seed(1), [], []
    for _ in range(2):
        optimizer.zero_grad()
        for _ in range(3):
            loss_of(model, data).backward()
            before = norms_of(model)
            for part in (model[2], model[0]) if by_layer else (model,):
                nn.utils.clip_grad_value_(part.parameters(), 1 / 50)
                nn.utils.clip_grad_norm_(part.parameters(), 1 / 13)
        raw.append(before)
        applied.append(norms_of(model))
        optimizer.step()

    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-6)
    np.testing.assert_allclose(collector.norms, applied, rtol=1e-6)


def test_the_budget_leaves_out_the_last_clipping() -> None:
    """Then a step has no raw norms, because those of an earlier part are wrong."""
    model = small()
    optimizer, allowed = sgd(model), [True, False, True]

    class Budget(OverheadBudget):
        def allows(self, _: float) -> bool:
            return allowed.pop(0)

    collector = StepCollector(
        model, optimizer, budget=0.5, parts=MonitorParts(budget=Budget)
    )
    for _ in range(2):
        loss_of(model, torch.Generator()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)
    optimizer.step()

    assert [step.raw for step in collector.steps] == [None]
    assert allowed == []


@BOTH
def test_a_layer_that_is_not_clipped(with_optimizer: bool) -> None:
    """The raw norm of a layer that is not clipped is its applied norm."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(
        model,
        optimizer,
        2,
        before_step=lambda: CLIP["clip_grad_norm_"](model[0].parameters()),
    )

    for step in collector.steps:
        assert step.raw[0] > step.norms[0]
        assert step.raw[1] == step.norms[1]


@BOTH
def test_absent_layers_have_no_raw_norm(with_optimizer: bool) -> None:
    """An absent layer's raw norm is NaN."""
    model, optimizer, collector = small_collector(with_optimizer)
    model[2](torch.rand(2, 4)).sum().backward()
    CLIP["clip_grad_norm_"](model.parameters())
    optimizer.step()

    assert np.isnan(collector.steps[0].raw).tolist() == [True, False]


@BOTH
def test_accumulated_gradients(with_optimizer: bool) -> None:
    """The raw norms are those of the sum of all backward passes."""
    model, optimizer, collector = small_collector(with_optimizer)
    data = torch.Generator().manual_seed(1)
    for _ in range(3):
        loss_of(model, data).backward()
    raw = norms_of(model)
    CLIP["clip_grad_norm_"](model.parameters())
    optimizer.step()

    np.testing.assert_allclose(collector.steps[0].raw, raw, rtol=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_under_a_scaler(fused: bool) -> None:
    """Raw norms from after unscale_() do not contain the loss scale."""
    model = small()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    collector = StepCollector(model, optimizer, scaler)
    scaler.scale(loss_of(model, torch.Generator())).backward()
    scaler.unscale_(optimizer)
    raw = norms_of(model)
    CLIP["clip_grad_norm_"](model.parameters())
    scaler.step(optimizer)

    np.testing.assert_allclose(collector.steps[0].raw, raw, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(collector.norms[0]), 1 / 13, rtol=1e-5)


def test_clipping_of_another_model() -> None:
    """Clipping one model adds no raw norms to the steps of another."""
    model, other = small(), small()
    optimizers = sgd(model), sgd(other)
    collectors = StepCollector(model, optimizers[0]), StepCollector(other, optimizers[1])
    data = torch.Generator().manual_seed(1)
    (loss_of(model, data) + loss_of(other, data)).backward()
    CLIP["clip_grad_norm_"](model.parameters())
    for optimizer in optimizers:
        optimizer.step()

    assert collectors[0].steps[0].raw is not None
    assert collectors[1].steps[0].raw is None


def test_raw_norms_show_the_layer_with_nan() -> None:
    """Clipping by norm makes all layers NaN; only the raw norms show the first."""
    model, optimizer, collector = small_collector(with_optimizer=True)

    def clip() -> None:
        model[2].weight.grad[0, 0] = float("nan")
        CLIP["clip_grad_norm_"](model.parameters())

    train(model, optimizer, 1, before_step=clip)

    assert np.isnan(collector.norms[0]).all()
    assert np.isnan(collector.steps[0].raw).tolist() == [False, True]


@BOTH
def test_before_clip_serves_other_clip_functions(with_optimizer: bool) -> None:
    """For a function under another name, a step has raw norms only after before_clip()."""
    model, optimizer, collector = small_collector(with_optimizer)
    raw = []

    def clip() -> None:
        raw.append(norms_of(model))
        if len(raw) == 2:
            collector.monitor.before_clip()
        imported_before(model.parameters(), 1 / 13)

    train(model, optimizer, 2, before_step=clip)

    assert collector.steps[0].raw is None
    np.testing.assert_allclose(collector.steps[1].raw, raw[1], rtol=1e-6)


def test_a_function_that_a_module_imported_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until close(), a step has raw norms also if the user imported the function before.

    Modules that load themselves at the first look stay unloaded.
    """
    module, lazy = ModuleType("user_loop"), LazyModule("lazy")
    code = (
        "from torch.nn.utils import clip_grad_norm_\n"
        "def clip(p): clip_grad_norm_(p, 1 / 13)\n"
    )
    exec(code, vars(module))  # noqa: S102 (a module of a user)
    monkeypatch.setitem(sys.modules, "user_loop", module)
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setitem(sys.modules, "odd", object())
    model, optimizer, collector = small_collector(with_optimizer=True)
    raw = []

    def clip() -> None:
        raw.append(norms_of(model))
        module.clip(model.parameters())

    train(model, optimizer, 2, before_step=clip)

    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-6)
    collector.monitor.close()
    assert module.clip_grad_norm_ is imported_before is nn.utils.clip_grad_norm_


class LazyModule(ModuleType):
    """A module that must not be asked for anything."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(name)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_closing_restores_torch(order: tuple[int, int]) -> None:
    """Two monitors may close in any order; the last restores torch's functions."""
    before = imported_before, clip_grad_value_
    model = small()
    collectors = [StepCollector(model, sgd(model[0])), StepCollector(model, sgd(model[2]))]
    assert nn.utils.clip_grad_norm_ is not before[0]
    assert nn.utils.clip_grad_norm_.__name__ == "clip_grad_norm_"
    collectors[order[0]].monitor.close()
    assert nn.utils.clip_grad_norm_ is not before[0]
    collectors[order[1]].monitor.close()

    assert (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_) == before
    assert nn.utils.clip_grad.clip_grad_value_ is before[1]


def test_a_later_replacement_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """close() keeps a replacement by other code, which still works."""
    monkeypatch.setattr(
        nn.utils, "clip_grad_value_", clip_grad_value_
    )  # restored after the test
    model, optimizer, collector = small_collector(with_optimizer=True)
    below = nn.utils.clip_grad_value_
    calls = []

    def replacement(*args: object) -> None:
        calls.append(args)
        below(*args)

    nn.utils.clip_grad_value_ = replacement
    collector.monitor.close()
    train(
        model,
        optimizer,
        1,
        before_step=lambda: nn.utils.clip_grad_value_(model.parameters(), 1.0),
    )

    assert nn.utils.clip_grad_value_ is replacement
    assert len(calls) == 1
    assert collector.steps == []


@pytest.mark.parametrize("name", CLIP)
def test_a_listener_hears_each_clipping_until_it_ends(name: str) -> None:
    """It gets the parameters, before the clipping and before monitors, as a sequence."""
    original = nn.utils.clip_grad_norm_
    model, heard = small(), []
    end = listen_to_clipping(lambda given: heard.append((given, norms_of(model))))
    loss_of(model, torch.Generator()).backward()
    raw = norms_of(model)
    CLIP[name](model.parameters())
    (parameters, before) = heard.pop()
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert before == raw != norms_of(model)
    nn.utils.clip_grad_norm_(model[0].bias, 1.0)
    assert heard.pop()[0][0] is model[0].bias

    collector = StepCollector(model)
    end()
    CLIP[name](model.parameters())
    assert heard == []
    collector.monitor.close()
    assert nn.utils.clip_grad_norm_ is original


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in torch's own code
def test_compiled_clipping_has_as_many_graphs() -> None:
    """Compiled clipping has as many graphs and operations, and adds no raw norms."""
    counts = []
    for attached in (False, True):
        torch._dynamo.reset()
        model = small()
        optimizer = sgd(model)
        if attached:
            collector = StepCollector(model, optimizer)

        def clip(model: nn.Module = model) -> torch.Tensor:
            return torch.nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)

        counter = CompileCounter()
        compiled = torch.compile(clip, backend=counter)
        train(model, optimizer, 3, before_step=compiled)
        counts.append((counter.frame_count, counter.op_count))

    assert counts[0] == counts[1]
    assert counts[0][0] > 0
    assert [step.raw for step in collector.steps] == [None] * 3
    np.testing.assert_allclose(np.linalg.norm(collector.norms, axis=1), 1 / 13, rtol=1e-5)


def test_an_error_while_measuring_stays_there() -> None:
    """If the monitor fails, clipping works on, and raises its own errors."""
    norms = FailingNorms()
    parts = MonitorParts(norms_per_layer=norms)
    model, _optimizer, _collector = small_collector(with_optimizer=True, parts=parts)
    norms.fails = True
    loss_of(model, torch.Generator()).backward()
    with pytest.warns(RuntimeWarning, match="an error ended the measuring"):
        CLIP["clip_grad_norm_"](model.parameters())
    model[0].weight.grad[0, 0] = float("nan")
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
