"""Layers: which modules of a model are layers, and their names."""

import pytest
import torch
from helpers.models import Tied, sgd, small
from torch import nn

from gradsound.measure.layers import check_types, find_layers


def layer_names(model: nn.Module, patterns: object = None) -> list[str]:
    return [layer.name for layer in find_layers(model, None, patterns)]


def test_layers_are_modules_with_parameters_of_their_own() -> None:
    """Layers have the names of named_modules(); a shared parameter counts once."""
    model = Tied()
    layers = find_layers(model, sgd(model), None)
    wanted = ["Tied", "embed", "body.a", "body.norm", "head"]

    assert [layer.name for layer in layers] == wanted
    assert [layer.trainable_size for layer in layers] == [1, 20, 20, 8, 5]
    assert set(wanted[1:]) < {name for name, _ in model.named_modules()}


def test_globs_select_layers() -> None:
    """One glob or several globs select layers, in the order of the model."""
    assert layer_names(Tied(), "body.*") == ["body.a", "body.norm"]
    assert layer_names(Tied(), ["head", "b*m"]) == ["body.norm", "head"]


def test_layer_names_are_unique() -> None:
    """A module with the name of the model's class differs from the model's own layer."""
    model = nn.Module()
    model.own = nn.Parameter(torch.ones(2))
    model.Module = nn.Linear(2, 2)

    assert layer_names(model) == ["(Module)", "Module"]


def test_the_optimizer_selects_layers() -> None:
    """Only modules with parameters of the given optimizer are layers."""
    model = small()
    layers = find_layers(model, sgd(model[2]), None)

    assert [layer.name for layer in layers] == ["2"]


@pytest.mark.parametrize(
    ("model", "optimizer", "error", "message"),
    [
        (nn.ReLU(), None, ValueError, "no parameter with requires_grad"),
        (
            small().requires_grad_(False),
            None,
            ValueError,
            "no parameter with requires_grad",
        ),
        (small(), sgd(small()), ValueError, "optimizer holds none of the model's"),
        (nn.LazyLinear(3), None, ValueError, "'LazyLinear' is lazy .* run one batch"),
    ],
)
def test_models_without_layers_are_refused(model, optimizer, error, message) -> None:
    """find_layers() raises an error with the remedy."""
    with pytest.raises(error, match=message):
        find_layers(model, optimizer, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((sgd(small()), small(), None), "model must be a torch Module, got SGD"),
        ((small(), small(), None), "optimizer must be a torch Optimizer or None, got Seq"),
        (
            (small(), None, sgd(small())),
            "scaler must be a torch GradScaler or None, got SGD",
        ),
    ],
)
def test_arguments_in_the_wrong_order_are_refused(arguments, message: str) -> None:
    """The message has the argument's name, the expected type and the given type."""
    with pytest.raises(TypeError, match=message):
        check_types(*arguments)


def test_a_compiled_layer_keeps_its_name() -> None:
    """Layer names lack the additions of torch.compile, for a part and for the model."""
    model = nn.Sequential(torch.compile(nn.Linear(2, 2), backend="eager"), nn.Linear(2, 2))

    assert layer_names(model) == ["0", "1"]
    assert layer_names(torch.compile(model, backend="eager")) == ["0", "1"]
    assert layer_names(torch.compile(nn.Linear(2, 2), backend="eager")) == ["Linear"]
