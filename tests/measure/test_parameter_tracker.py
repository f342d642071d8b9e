"""Models that change while attached: measured as they are now, or said in one warning."""

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


def hear(
    model: nn.Module, optimizer: torch.optim.Optimizer, collector: StepCollector, steps: int
) -> None:
    """Trains, and checks that what is heard is what there is."""
    before, wanted = len(collector.steps), []
    note = lambda: wanted.append(norms_of(model))  # noqa: E731
    train(model, optimizer, steps, before_step=note)

    np.testing.assert_allclose(collector.norms[before:], wanted, rtol=1e-6)


def replace_all(model: nn.Module) -> None:
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)


def test_assigned_before_the_first_step() -> None:
    """A model hears the parameters that it has, not those that it had at attach()."""
    model = small()
    collector = StepCollector(model)
    replace_all(model)
    hear(model, sgd(model), collector, 3)


def test_assigned_in_the_middle() -> None:
    """As after loading a checkpoint and making a new optimizer."""
    model, optimizer, collector = small_collector(with_optimizer=False)
    train(model, optimizer, 3)
    replace_all(model)
    train(model, sgd(model), 1)  # where it is noticed
    hear(model, sgd(model), collector, 3)


def test_parameters_put_into_the_optimizer() -> None:
    """What wrappers do after replacing parameters: the same optimizer has the new ones."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 3)
    replace_all(model)
    optimizer.param_groups[0]["params"][:] = model.parameters()
    hear(model, optimizer, collector, 3)


def test_an_optimizer_that_has_the_old_parameters() -> None:
    """It trains nothing, which nobody else would say: one warning, layers are absent."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 1)
    replace_all(model)
    with pytest.warns(GradsoundWarning) as told:
        train(model, optimizer, 250)

    assert [str(one.message) for one in told] == [
        "layer '0', '2': replaced in the model, but the optimizer has the old parameters: "
        "they are not trained, nor measured; make the optimizer after replacing them"
    ]
    assert collector.absent == [[False, False]] + [[True, True]] * 250


@BOTH
def test_one_layer_replaced(with_optimizer: bool) -> None:
    """Only that one is told of, and the other is heard on."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    model[2] = nn.Linear(4, 1)
    if with_optimizer:
        with pytest.warns(GradsoundWarning, match="layer '2': replaced in the model"):
            train(model, optimizer, 3)
        assert collector.absent[2:] == [[False, True]] * 3
    else:
        train(model, sgd(model), 1)
        hear(model, sgd(model), collector, 3)


@BOTH
def test_a_layer_taken_out(with_optimizer: bool) -> None:
    """Is named once, and absent."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    model[2] = nn.Identity()
    with pytest.warns(GradsoundWarning, match="layer '2': no longer in the model") as told:
        train(model, optimizer, 150)

    assert len(told) == 1
    assert collector.absent[2:] == [[False, True]] * 150


@BOTH
def test_layers_that_are_trained_later(with_optimizer: bool) -> None:
    """Thawed or added: one warning that names them, as the run has no place for them."""
    model = small()
    model[0].requires_grad_(requires_grad=False)
    optimizer = sgd(model[2])
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)
    model[0].requires_grad_()
    optimizer.add_param_group({"params": [*model[0].parameters()]})
    with pytest.warns(
        GradsoundWarning, match="layer '0': trained now, but not when"
    ) as told:
        train(model, optimizer, 250)

    assert len(told) == 1
    assert np.array(collector.norms).shape == (252, 1)


def test_a_group_of_parameters_of_a_known_layer() -> None:
    """Which the optimizer gets later: the layer's norm is that of all of them."""
    model = small()
    optimizer = torch.optim.SGD([model[0].weight, *model[2].parameters()], lr=0.01)
    collector = StepCollector(model, optimizer)
    train(model, optimizer, 2)
    optimizer.add_param_group({"params": [model[0].bias]})
    hear(model, optimizer, collector, 3)


def test_layers_left_out_are_nobody_s_business() -> None:
    """No warning of layers that the globs do not want."""
    model = small()
    optimizer = sgd(model[2])
    collector = StepCollector(model, optimizer, patterns=("2",))
    optimizer.add_param_group({"params": [*model[0].parameters()]})
    train(model, optimizer, 120)

    assert len(collector.steps) == 120


@BOTH
def test_freezing_and_thawing(with_optimizer: bool) -> None:
    """A frozen layer is absent, and heard again once thawed; no warning is due."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    model[0].requires_grad_(requires_grad=False)
    train(model, optimizer, 120)
    model[0].requires_grad_()
    hear(model, optimizer, collector, 120)

    assert collector.absent[2:122] == [[True, False]] * 120


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
def test_parametrized(with_optimizer: bool, when: str) -> None:
    """A layer keeps its name, and its norm is that of what is trained now."""
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
    hear(model, optimizer, collector, 3)
    if not with_optimizer:
        return
    parametrize.remove_parametrizations(model[0], "weight")
    optimizer.param_groups[0]["params"][:] = model.parameters()
    hear(model, optimizer, collector, 3)


def test_a_parametrization_without_parameters_of_its_own() -> None:
    """Such as a symmetric weight: nothing is lost."""

    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    model, optimizer, collector = small_collector(with_optimizer=True)
    train(model, optimizer, 2)
    parametrize.register_parametrization(model[0], "weight", Doubled())
    hear(model, optimizer, collector, 3)


@BOTH
def test_lazy_models(with_optimizer: bool) -> None:
    """Once they have a shape they are as others; before, attach() says what to do."""
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
    with pytest.raises(ValueError, match="'0' is lazy and has no shape yet: run one batch"):
        StepCollector(model)
    model(torch.rand(2, 3))
    optimizer = sgd(model)
    hear(model, optimizer, collector_for(model, optimizer, with_optimizer), 3)


@BOTH
def test_data_parallel(with_optimizer: bool) -> None:
    """Without accelerators it has no replicas; the model is heard as it is."""
    model = nn.DataParallel(small())
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 2)

    assert [layer.name for layer in collector.layers] == ["module.0", "module.2"]
    assert len(collector.steps) == 2
    np.testing.assert_allclose(collector.norms[-1], norms_of(model.module), rtol=1e-6)


@BOTH
def test_an_average_of_the_model_is_not_heard(with_optimizer: bool) -> None:
    """As torch makes them, by copying: it neither reports nor hinders."""
    model, optimizer, collector = small_collector(with_optimizer)
    average = torch.optim.swa_utils.AveragedModel(model)
    train(model, optimizer, 3, before_step=lambda: average.update_parameters(model))
    loss = average(torch.rand(8, 3)).square().mean()
    loss.backward()
    sgd(average).step()

    assert len(collector.steps) == 3


@BOTH
def test_moved_to_another_type(with_optimizer: bool) -> None:
    """In place, as Module.to does."""
    model, optimizer, collector = small_collector(with_optimizer)
    train(model, optimizer, 2)
    for parameter in model.parameters():
        parameter.grad = None
    model.bfloat16()
    model(torch.rand(8, 3).bfloat16()).square().mean().backward()
    optimizer.step()

    np.testing.assert_allclose(collector.norms[-1], norms_of(model), rtol=1e-6)
