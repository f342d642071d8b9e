"""Norms from before clipping, beside those that the optimizer applies."""

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, train, true_norm
from helpers.monitors import BOTH, StepCollector, small_collector
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.utils import clip_grad_norm_ as imported_before
from torch.nn.utils import clip_grad_value_

CLIP = {
    "clip_grad_norm_": lambda p: torch.nn.utils.clip_grad_norm_(p, 1 / 13),
    "clip_grad_value_": lambda p: nn.utils.clip_grad.clip_grad_value_(p, 1 / 50),
}


def norms_of(model: nn.Module) -> list[float]:
    return [true_norm(model[0]), true_norm(model[2])]


@BOTH
@pytest.mark.parametrize("name", CLIP)
@pytest.mark.parametrize("given", ["iterator", "list"])
def test_both_norms_are_heard(with_optimizer: bool, name: str, given: str) -> None:
    """The raw one is from before, the other is what is applied; weights are as without."""
    model, optimizer, collector = small_collector(with_optimizer)
    twin = small()
    raw, applied = [], []

    def clip() -> None:
        raw.append(norms_of(model))
        parameters = model.parameters()
        total = CLIP[name](parameters if given == "iterator" else [*parameters])
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
def test_without_clipping_nothing_raw_is_known(with_optimizer: bool) -> None:
    """Nor is it in a step after one that was clipped."""
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
    """Layers that are clipped one by one, or twice: raw is from before all."""
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
def test_a_layer_that_is_not_clipped_is_what_it_was(with_optimizer: bool) -> None:
    """Its raw norm is the applied one."""
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
    """Clipped or not."""
    model, optimizer, collector = small_collector(with_optimizer)
    model[2](torch.rand(2, 4)).sum().backward()
    CLIP["clip_grad_norm_"](model.parameters())
    optimizer.step()

    assert np.isnan(collector.steps[0].raw).tolist() == [True, False]


@BOTH
def test_accumulated_gradients(with_optimizer: bool) -> None:
    """Raw is the sum of all backward passes."""
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
    """Clipped after unscale_, as one must, raw is without the scale."""
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


def test_two_models_have_each_their_own() -> None:
    """Clipping one says nothing of the other."""
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


def test_the_layer_that_was_nan_is_told_from_those_that_became_it() -> None:
    """After clipping by norm all are NaN."""
    model, optimizer, collector = small_collector(with_optimizer=True)

    def clip() -> None:
        model[2].weight.grad[0, 0] = float("nan")
        CLIP["clip_grad_norm_"](model.parameters())

    train(model, optimizer, 1, before_step=clip)

    assert np.isnan(collector.norms[0]).all()
    assert np.isnan(collector.steps[0].raw).tolist() == [False, True]


@BOTH
def test_other_ways_to_clip_are_heard_if_told(with_optimizer: bool) -> None:
    """A function that was imported by name, or one's own: before_clip() makes it known."""
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


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_closing_leaves_torch_as_it_was(order: tuple[int, int]) -> None:
    """Two may end in any order; a function that somebody put on top stays."""
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


def test_what_somebody_else_put_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """And calls what it called."""
    monkeypatch.setattr(nn.utils, "clip_grad_value_", clip_grad_value_)  # to be put back
    model, optimizer, collector = small_collector(with_optimizer=True)
    below = nn.utils.clip_grad_value_
    calls = []

    def theirs(*args: object) -> None:
        calls.append(args)
        below(*args)

    nn.utils.clip_grad_value_ = theirs
    collector.monitor.close()
    train(
        model,
        optimizer,
        1,
        before_step=lambda: nn.utils.clip_grad_value_(model.parameters(), 1.0),
    )

    assert nn.utils.clip_grad_value_ is theirs
    assert len(calls) == 1
    assert collector.steps == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code
def test_a_compiled_step_with_clipping_is_compiled_as_without() -> None:
    """It has as many graphs; what happens inside of one is not heard raw."""
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
    """Clipping goes on, and what it raises of its own is raised."""
    model, _optimizer, collector = small_collector(with_optimizer=True)
    collector.monitor._batched = None
    loss_of(model, torch.Generator()).backward()
    with pytest.warns(RuntimeWarning, match="an error ended the measuring"):
        CLIP["clip_grad_norm_"](model.parameters())
    model[0].weight.grad[0, 0] = float("nan")
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
