"""Layers of Keras models on torch: named by paths of variables, in their order."""

import numpy as np
import torch
from helpers.keras_models import keras
from torch import nn

from gradsound.measure.layers import find_layers

layers = keras.layers


def names_of(model: nn.Module) -> list[str]:
    return [layer.name for layer in find_layers(model, (), None)]


def test_layers_have_the_order_of_the_model() -> None:
    """Eleven layers of one kind: Keras's own container has the order of the alphabet."""
    keras.backend.clear_session()
    stack = keras.Sequential([keras.Input((3,)), *(layers.Dense(3) for _ in range(11))])
    numbers = ["", *(f"_{number}" for number in range(1, 11))]

    assert names_of(stack) == [f"sequential.dense{number}" for number in numbers]
    sizes = [layer.trainable_size for layer in find_layers(stack, (), None)]
    assert sizes == [12] * 11


def test_nested_layers() -> None:
    """A layer inside of a layer has a name of several parts; frozen ones are left out."""
    keras.backend.clear_session()

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.attention = layers.MultiHeadAttention(2, 4, name="attention")
            self.norm = layers.BatchNormalization(name="norm")
            self.head = layers.Dense(1, name="head", trainable=False)

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.attention(x, x)))

    net = Net()
    net(np.zeros((2, 5, 4), "float32"))
    attention = [
        f"net.attention.{part}" for part in ("query", "key", "value", "attention_output")
    ]

    assert names_of(net) == [*attention, "net.norm"]
    assert names_of(nn.ModuleDict({"a": net, "b": nn.Linear(2, 2)})) == [
        *(f"a.{name}" for name in (*attention, "net.norm")),
        "b",
    ]


def test_torch_modules_inside() -> None:
    """A module of torch inside of a Keras model has the names that torch gives it."""
    keras.backend.clear_session()
    inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.body, self.head = inner, layers.Dense(1, name="head")

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x))

    net = Net()
    net(torch.zeros(2, 3))
    found = find_layers(net, (), None)

    assert [layer.name for layer in found] == ["net.head", "body.module.0", "body.module.2"]
    assert found[1].parameters == (inner[0].weight, inner[0].bias)


def test_two_layers_of_one_path() -> None:
    """They are two layers, the second one with a number."""
    keras.backend.clear_session()

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="net")
            self.a, self.b = (layers.Dense(3, name="same") for _ in range(2))

        def call(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    net = Net()
    net(torch.zeros(2, 5))
    found = find_layers(net, (), None)

    assert [layer.name for layer in found] == ["net.same", "net.same_2"]
    assert [layer.trainable_size for layer in found] == [18, 12]
