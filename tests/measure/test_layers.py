"""Layers: which modules of a model are layers, and their names."""

import pytest
import torch
from helpers.models import Tied, sgd, small
from torch import nn

from gradsound.attach_options import check_types
from gradsound.measure.layers import find_layers


def layer_names(model: nn.Module, patterns: object = None) -> list[str]:
    return [layer.name for layer in find_layers(model, (), patterns)]


def test_layers_are_modules_with_parameters_of_their_own() -> None:
    """Layers have the names of named_modules(); a shared parameter counts once."""
    model = Tied()
    layers = find_layers(model, [sgd(model)], None)
    expected = ["Tied", "embed", "frozen", "body.a", "body.norm", "head"]

    assert [layer.name for layer in layers] == expected
    assert [layer.trainable_size for layer in layers] == [1, 20, 20, 20, 8, 5]
    assert set(expected[1:]) < {name for name, _ in model.named_modules()}


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
    layers = find_layers(model, [sgd(model[2])], None)

    assert [layer.name for layer in layers] == ["2"]


@pytest.mark.parametrize(
    ("model", "optimizers", "error", "message"),
    [
        (nn.ReLU(), (), ValueError, "no parameter with requires_grad"),
        (
            small().requires_grad_(False),
            (),
            ValueError,
            "no parameter with requires_grad",
        ),
        (small(), [sgd(small())], ValueError, "optimizer holds none of the model's"),
        (nn.LazyLinear(3), (), ValueError, "'LazyLinear' is lazy .* run one batch"),
    ],
)
def test_models_without_layers_are_refused(model, optimizers, error, message) -> None:
    """find_layers() raises an error with the remedy."""
    with pytest.raises(error, match=message):
        find_layers(model, optimizers, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((sgd(small()), None), "model must be a torch Module, got SGD"),
        (
            (small(), sgd(small())),
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


class LowRank(nn.Module):
    """A frozen linear layer with a trained update of low rank (LoRA)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(4, 4).requires_grad_(requires_grad=False)
        self.down, self.up = nn.Linear(4, 1, bias=False), nn.Linear(1, 4, bias=False)


class Block(nn.Module):
    """A block of a transformer, without what has no parameters."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention, self.norm = attention, nn.LayerNorm(4)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))


def with_backbone(depth: int) -> nn.Module:
    """Returns a trained head on a frozen backbone of blocks with four layers each."""
    backbone = nn.ModuleDict({"embed": nn.Embedding(7, 4)})
    backbone["blocks"] = nn.ModuleList(Block(nn.Linear(4, 4)) for _ in range(depth))
    backbone.requires_grad_(requires_grad=False)
    return nn.ModuleDict({"backbone": backbone, "head": nn.Linear(4, 1)})


def test_frozen_layers_are_layers() -> None:
    """A frozen backbone that may thaw is among the layers, in the order of the model."""
    model = with_backbone(2)
    names = [
        name
        for name, module in model.named_modules()
        if [*module.parameters(recurse=False)]
    ]
    for optimizers in ((), [sgd(model)], [sgd(model["head"])]):
        layers = find_layers(model, optimizers, None)
        assert [layer.name for layer in layers] == names
        assert [layer.frozen for layer in layers] == [True] * 9 + [False]
        assert layers[0].trainable_size == 28


def test_a_backbone_that_is_partly_thawed() -> None:
    """The upper blocks are trained, the lower ones are frozen: all are layers."""
    model = with_backbone(4)
    model["backbone"]["blocks"][3].requires_grad_()

    assert len(layer_names(model)) == 1 + 4 * 4 + 1


def test_frozen_norms_in_trained_blocks() -> None:
    """A training that freezes the norms of its upper blocks may thaw the lower blocks."""
    model = with_backbone(6)
    for block in model["backbone"]["blocks"][4:]:
        block.requires_grad_()
        block.norm.requires_grad_(requires_grad=False)

    assert len(layer_names(model)) == 1 + 6 * 4 + 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_layers_that_adapters_keep_frozen_are_left_out(wrapped: bool) -> None:
    """In a model with adapters, only the adapters are layers, unless a glob selects."""
    blocks = nn.ModuleList()
    for _ in range(3):
        blocks.append(Block(nn.Linear(4, 4)).requires_grad_(requires_grad=False))
        blocks[-1].attention = LowRank()
    model = nn.ModuleDict({"embed": nn.Embedding(7, 4), "blocks": blocks})
    model["embed"].requires_grad_(requires_grad=False)
    if wrapped:
        model = nn.DataParallel(model)

    assert len(layer_names(model)) == 3 * 2
    assert all(name.endswith((".down", ".up")) for name in layer_names(model))
    assert len(layer_names(model, "*")) == 1 + 3 * 6


def test_an_adapter_to_switch_to_is_a_layer() -> None:
    """Of frozen layers beside adapters, those remain that a training may switch to."""
    blocks = nn.ModuleList()
    for _ in range(3):
        block = Block(nn.Linear(4, 4)).requires_grad_(requires_grad=False)
        block.adapters = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
        block.adapters["b"].requires_grad_(requires_grad=False)
        blocks.append(block)

    assert layer_names(blocks) == [
        f"{index}.adapters.{name}" for index in range(3) for name in "ab"
    ]


def test_very_many_frozen_layers_are_left_out() -> None:
    """Of more than 500 frozen layers none is a layer of the run, unless a glob selects."""
    assert len(layer_names(with_backbone(124))) == 1 + 4 * 124 + 1
    model = with_backbone(125)

    assert layer_names(model) == ["head"]
    assert len(layer_names(model, ["head", "*.7.*"])) == 1 + 4


def test_quantized_layers_are_no_layers() -> None:
    """Nothing can train whole numbers."""
    model = small()
    packed = nn.Parameter(torch.ones(4, dtype=torch.uint8), requires_grad=False)
    model.append(nn.ParameterList([packed]))

    assert layer_names(model) == ["0", "2"]
