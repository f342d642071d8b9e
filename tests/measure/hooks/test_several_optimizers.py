"""Several optimizers in a list: one run of all of them, and of no other."""

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, true_norm
from helpers.monitors import StepCollector
from torch import nn

import gradsound

pytestmark = pytest.mark.usefixtures("own_folder")


def test_optimizers_of_one_backward_pass_make_one_step() -> None:
    """Two optimizers that divide a model make one step, with the norms of all layers."""
    model = small()
    first = torch.optim.SGD([model[0].weight, model[2].weight], lr=0.01)
    second = torch.optim.Adam([model[0].bias, model[2].bias])  # layers that both train
    collector = StepCollector(model, [first, second])
    data, expected = torch.Generator().manual_seed(1), []
    for _ in range(4):
        model.zero_grad()
        loss_of(model, data).backward()
        expected.append([true_norm(model[0]), true_norm(model[2])])
        first.step()
        second.step()

    np.testing.assert_allclose(collector.norms, expected, rtol=1e-6)


def test_optimizers_with_a_loss_each_make_a_step_each() -> None:
    """Each step has the layers of one optimizer; those of the other are absent."""
    model = small()
    first, second = sgd(model[0]), sgd(model[2])
    collector = StepCollector(model, [first, second])
    for _ in range(3):
        for layer, optimizer, x in ((model[0], first, 3), (model[2], second, 4)):
            model.zero_grad()
            layer(torch.rand(2, x)).sum().backward()
            optimizer.step()

    assert collector.absent == [[False, True], [True, False]] * 3


def test_layers_and_steps_of_other_optimizers_do_not_count() -> None:
    """Layers that no optimizer of the list trains are not in the run, nor others' steps."""
    model = nn.Sequential(*small(), nn.Linear(1, 1))
    listed, other = [sgd(model[0]), sgd(model[2])], sgd(model)
    collector = StepCollector(model, listed)
    model(torch.rand(2, 3)).sum().backward()
    other.step()
    assert not collector.steps
    listed[1].step()

    assert [layer.name for layer in collector.layers] == ["0", "2"]
    assert collector.absent == [[False, False]]


def test_a_layer_that_thaws_for_the_second_optimizer() -> None:
    """A frozen layer may be given to any optimizer of the list."""
    model = nn.Sequential(*small(), nn.Linear(1, 1).requires_grad_(requires_grad=False))
    optimizers = [sgd(model[0]), sgd(model[2])]
    collector = StepCollector(model, optimizers)
    data = torch.Generator().manual_seed(1)
    for k in range(4):
        if k == 2:
            model[3].requires_grad_()
            optimizers[1].add_param_group({"params": [*model[3].parameters()]})
        model.zero_grad()
        loss_of(model, data).backward()
        for optimizer in optimizers:
            optimizer.step()

    assert collector.absent == [[False, False, True]] * 2 + [[False, False, False]] * 2


def test_attach_takes_a_list() -> None:
    """attach() and listen() take lists and tuples; the run has the layers of all."""
    model = small()
    optimizers = sgd(model[0]), sgd(model[2])
    with gradsound.attach(model, optimizers):
        loss_of(model, torch.Generator()).backward()
        for optimizer in optimizers:
            optimizer.step()
        with pytest.raises(ValueError, match="attached already"):
            gradsound.attach(model, optimizers[0], log="second.jsonl")
    run = gradsound.read_run("run.jsonl")

    assert run.header.layers == ("0", "2")
    assert len([*run.steps]) == 1
