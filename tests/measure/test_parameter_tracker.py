"""Models that change while attached: measured as they are now, or named in one warning."""

import copy

import numpy as np
import pytest
import torch
from helpers.models import sgd, small, train, true_norm
from helpers.monitors import BOTH, StepCollector, collector_for, small_collector
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from gradsound.errors import GradsoundWarning


def norms_of(model: nn.Module) -> list[float]:
    return [true_norm(model[0]), true_norm(model[2])]


def check_norms(
    model: nn.Module, optimizer: torch.optim.Optimizer, collector: StepCollector, steps: int
) -> None:
    """Trains, and asserts that the measured norms are those of the gradients."""
    before, expected = len(collector.steps), []
    keep = lambda: expected.append(norms_of(model))  # noqa: E731
    train(model, optimizer, steps, before_step=keep)

    np.testing.assert_allclose(collector.norms[before:], expected, rtol=1e-6)


def replace_all(model: nn.Module) -> None:
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)


def test_assigned_before_the_first_step() -> None:
    """The monitor measures the model's current parameters, not those at attach()."""
    model = small()
    collector = StepCollector(model)
    replace_all(model)
    check_norms(model, sgd(model), collector, 3)


def test_assigned_in_the_middle() -> None:
    """After a checkpoint and a new optimizer, the monitor measures the new parameters."""
    model, optimizer, collector = small_collector(with_optimizer=False)
    train(model, optimizer, 3)
    replace_all(model)
    train(model, sgd(model), 1)  # the monitor notices it at this step
    check_norms(model, sgd(model), collector, 3)


def test_parameters_put_into_the_optimizer() -> None:
    """If a wrapper puts new parameters into the same optimizer, they are measured."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 3)
    replace_all(model)
    optimizer.param_groups[0]["params"][:] = model.parameters()
    check_norms(model, optimizer, collector, 3)


def test_one_parameter_put_into_the_optimizer() -> None:
    """If one of many is replaced there, it is measured after ten steps at the latest."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 3)
    model[0].weight = nn.Parameter(torch.ones_like(model[0].weight))
    optimizer.param_groups[0]["params"][0] = model[0].weight
    train(model, optimizer, 9)
    check_norms(model, optimizer, collector, 3)


def test_an_optimizer_that_has_the_old_parameters() -> None:
    """An optimizer with replaced parameters trains nothing: one warning, absent layers."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 1)
    replace_all(model)
    with pytest.warns(GradsoundWarning) as warned:
        train(model, optimizer, 250)

    assert [str(one.message) for one in warned] == [
        "layer '0', '2': replaced in the model, but the optimizer has the old parameters: "
        "they are not trained, nor measured; make the optimizer after replacing them"
    ]
    assert collector.absent == [[False, False]] + [[True, True]] * 250


@BOTH
def test_one_layer_replaced(with_optimizer: bool) -> None:
    """The warning names the replaced layer alone; the other layer is measured on."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    model[2] = nn.Linear(4, 1)
    if with_optimizer:
        with pytest.warns(GradsoundWarning, match="layer '2': replaced in the model"):
            train(model, optimizer, 3)
        assert collector.absent[2:] == [[False, True]] * 3
    else:
        train(model, sgd(model), 1)
        check_norms(model, sgd(model), collector, 3)


@BOTH
def test_a_removed_layer(with_optimizer: bool) -> None:
    """A removed layer is named in one warning, and absent."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    model[2] = nn.Identity()
    with pytest.warns(
        GradsoundWarning, match="layer '2': no longer in the model"
    ) as warned:
        train(model, optimizer, 150)

    assert len(warned) == 1
    assert collector.absent[2:] == [[False, True]] * 150


def frozen_below() -> nn.Module:
    """Returns a small model with a frozen first layer."""
    model = small()
    model[0].requires_grad_(requires_grad=False)
    return model


@BOTH
@pytest.mark.parametrize("holds", ["all", "trained"])
@pytest.mark.parametrize("part", ["layer", "bias"])
def test_thawed_layers(with_optimizer: bool, holds: str, part: str) -> None:
    """A frozen layer is absent, and measured from the step on at which it is thawed."""
    model = frozen_below()
    optimizer = sgd(model if holds == "all" else model[2])
    collector = collector_for(model, optimizer, with_optimizer)
    clip = lambda: nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)  # noqa: E731
    train(model, optimizer, 7, before_step=clip)
    thawed = model[0] if part == "layer" else nn.ParameterList([model[0].bias])
    thawed.requires_grad_()
    if holds == "trained":
        optimizer.add_param_group({"params": [*thawed.parameters()]})
    check_norms(model, optimizer, collector, 7)

    assert collector.absent == [[True, False]] * 7 + [[False, False]] * 7
    assert all(np.isnan(step.raw).tolist() == [True, False] for step in collector.steps[:7])


@BOTH
def test_the_first_clipping_of_a_thawed_layer(with_optimizer: bool) -> None:
    """A thawed layer has its norm from before clipping in its first step already."""
    model = frozen_below()
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    raw = []

    def clip() -> None:
        raw.append([true_norm(model[0]), true_norm(model[2])])
        nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)

    train(model, optimizer, 2, before_step=lambda: None)
    model[0].requires_grad_()
    train(model, optimizer, 3, before_step=clip)

    np.testing.assert_allclose([s.raw for s in collector.steps[2:]], raw, rtol=1e-6)


def test_thawed_but_not_given_to_the_optimizer() -> None:
    """One warning names the layer; once the optimizer has it, it is measured."""
    model = frozen_below()
    optimizer = sgd(model[2])
    collector = StepCollector(model, optimizer)
    train(model, optimizer, 3)
    model[0].requires_grad_()
    with pytest.warns(GradsoundWarning) as warned:
        train(model, optimizer, 150)
    assert [str(one.message) for one in warned] == [
        "layer '0': thawed, but the optimizer does not have its parameters: they are not "
        "trained, nor measured; give them to the optimizer by add_param_group()"
    ]
    optimizer.add_param_group({"params": [*model[0].parameters()]})
    optimizer.zero_grad()
    check_norms(model, optimizer, collector, 3)

    assert collector.absent == [[True, False]] * 153 + [[False, False]] * 3


def test_thawed_but_no_optimizer_has_it() -> None:
    """Without an optimizer of its own, gradsound judges by the optimizers that step."""
    model = frozen_below()
    optimizer = sgd(model[2])
    collector = StepCollector(model)
    train(model, optimizer, 3)
    model[0].requires_grad_()
    with pytest.warns(GradsoundWarning) as warned:
        train(model, optimizer, 250)

    assert [str(one.message) for one in warned] == [
        "layer '0': thawed, but no optimizer that made a step has its parameters: they are "
        "not trained; give them to an optimizer by add_param_group()"
    ]
    assert len(collector.steps) == 253


@pytest.mark.parametrize("frozen_again", [True, False])
def test_thawed_layers_whose_optimizer_takes_turns(frozen_again: bool) -> None:
    """A thawed layer may wait for its optimizer, or be frozen again, without a warning."""
    model = frozen_below()
    optimizers = sgd(model[2]), sgd(model[0])
    collector = StepCollector(model)
    for _ in range(2):
        train(model, optimizers[0], 110)
        model[0].requires_grad_()
        train(model, optimizers[0], 60)
        if frozen_again:
            model[0].requires_grad_(requires_grad=False)
        else:
            train(model, optimizers[1], 1)

    assert len(collector.steps) == 2 * 170 + 2 * (not frozen_again)  # none is an error


def test_thawed_layers_of_a_rank_s_own_gradients() -> None:
    """With ranks="each", a layer is measured from the step after its thawing on."""
    model = frozen_below()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer, local=True)
    train(model, optimizer, 3)
    model[0].requires_grad_()
    train(model, optimizer, 1)
    check_norms(model, optimizer, collector, 3)

    assert collector.absent == [[True, False]] * 4 + [[False, False]] * 3


@BOTH
def test_a_weight_that_thaws_beside_a_trained_bias(with_optimizer: bool) -> None:
    """A layer's norm contains its weight from the step on at which that is thawed."""
    model = small()
    model[0].weight.requires_grad_(requires_grad=False)
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    check_norms(model, optimizer, collector, 7)
    model[0].weight.requires_grad_()
    check_norms(model, optimizer, collector, 7)


@BOTH
def test_thawed_and_frozen_again(with_optimizer: bool) -> None:
    """A layer may be frozen and thawed again and again."""
    model = frozen_below()
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    for frozen in (True, False, True, False):
        model[0].requires_grad_(requires_grad=not frozen)
        train(model, optimizer, 4)

    assert collector.absent == ([[True, False]] * 4 + [[False, False]] * 4) * 2


@BOTH
def test_a_frozen_layer_that_is_replaced(with_optimizer: bool) -> None:
    """A frozen layer may be replaced and then thawed, without a warning."""
    model = frozen_below()
    optimizer = sgd(model[2])
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)
    model[0] = nn.Linear(3, 4).requires_grad_(requires_grad=False)
    train(model, optimizer, 120)
    model[0].requires_grad_()
    optimizer.add_param_group({"params": [*model[0].parameters()]})
    train(model, optimizer, 2)

    assert collector.absent == [[True, False]] * 122 + [[False, False]] * 2


@BOTH
def test_layers_that_are_added_later(with_optimizer: bool) -> None:
    """A layer that is added later is named in one warning; the run does not get it."""
    model = small()
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)
    model.append(nn.Linear(1, 1))
    optimizer.add_param_group({"params": [*model[3].parameters()]})
    with pytest.warns(
        GradsoundWarning, match="layer '3': trained now, but not when"
    ) as warned:
        train(model, optimizer, 250)

    assert len(warned) == 1
    assert np.array(collector.norms).shape == (252, 2)


def test_a_group_of_parameters_of_a_known_layer() -> None:
    """If the optimizer gets a layer's bias later, the layer's norm contains it."""
    model = small()
    optimizer = torch.optim.SGD([model[0].weight, *model[2].parameters()], lr=0.01)
    collector = StepCollector(model, optimizer)
    train(model, optimizer, 2)
    optimizer.add_param_group({"params": [model[0].bias]})
    check_norms(model, optimizer, collector, 3)


def test_layers_outside_the_globs_do_not_warn() -> None:
    """A new layer that matches no glob causes no warning."""
    model = small()
    optimizer = sgd(model[2])
    collector = StepCollector(model, optimizer, patterns=("2",))
    optimizer.add_param_group({"params": [*model[0].parameters()]})
    train(model, optimizer, 120)

    assert len(collector.steps) == 120


@BOTH
def test_freezing_and_thawing(with_optimizer: bool) -> None:
    """A frozen layer is absent, and measured again once thawed, without a warning."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    model[0].requires_grad_(requires_grad=False)
    train(model, optimizer, 120)
    model[0].requires_grad_()
    check_norms(model, optimizer, collector, 120)

    assert collector.absent[2:122] == [[True, False]] * 120


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
def test_parametrized(with_optimizer: bool, when: str) -> None:
    """A parametrized layer keeps its name; its norm is that of its current parameters."""
    model = small()
    if when == "before":
        parametrizations.weight_norm(model[0])
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    assert [layer.name for layer in collector.layers] == ["0", "2"]
    if when == "after":
        train(model, optimizer, 2)
        parametrizations.weight_norm(model[0])
        optimizer.param_groups[0]["params"][:] = model.parameters()
        train(model, optimizer, 1)
    check_norms(model, optimizer, collector, 3)
    if not with_optimizer:
        return
    parametrize.remove_parametrizations(model[0], "weight")
    optimizer.param_groups[0]["params"][:] = model.parameters()
    check_norms(model, optimizer, collector, 3)


def test_a_parametrization_without_parameters_of_its_own() -> None:
    """A parametrization without parameters does not change what is measured."""

    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 2)
    parametrize.register_parametrization(model[0], "weight", Doubled())
    check_norms(model, optimizer, collector, 3)


@BOTH
def test_lazy_models(with_optimizer: bool) -> None:
    """A lazy model raises with the remedy; once it has shapes, it is measured."""
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
    with pytest.raises(ValueError, match="'0' is lazy and has no shape yet: run one batch"):
        StepCollector(model)
    model(torch.rand(2, 3))
    optimizer = sgd(model)
    check_norms(model, optimizer, collector_for(model, optimizer, with_optimizer), 3)


@BOTH
def test_data_parallel(with_optimizer: bool) -> None:
    """Without accelerators DataParallel has no replicas; its layers are measured."""
    model = nn.DataParallel(small())
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)

    assert [layer.name for layer in collector.layers] == ["module.0", "module.2"]
    assert len(collector.steps) == 2
    np.testing.assert_allclose(collector.norms[-1], norms_of(model.module), rtol=1e-6)


@BOTH
def test_an_average_of_the_model_is_not_measured(with_optimizer: bool) -> None:
    """A copy by AveragedModel adds no step."""
    model, optimizer, collector = small_collector(with_optimizer)
    average = torch.optim.swa_utils.AveragedModel(model)
    train(model, optimizer, 3, before_step=lambda: average.update_parameters(model))
    loss = average(torch.rand(8, 3)).square().mean()
    loss.backward()
    sgd(average).step()

    assert len(collector.steps) == 3


@BOTH
def test_moved_to_another_type(with_optimizer: bool) -> None:
    """After bfloat16() in place, the norms are those of the new gradients."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    for parameter in model.parameters():
        parameter.grad = None
    model.bfloat16()
    model(torch.rand(8, 3).bfloat16()).square().mean().backward()
    optimizer.step()

    np.testing.assert_allclose(collector.norms[-1], norms_of(model), rtol=1e-6)
