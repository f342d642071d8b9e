"""Roles of logged values: the names of losses, evaluation losses and learning rates."""

import pytest

from gradsound.runs.value_roles import (
    are_experts_in_use,
    find_role,
    find_usual,
    is_evaluation_loss,
)


@pytest.mark.parametrize(
    "name",
    [
        *("val_loss", "eval_loss", "eval/loss", "validation_loss", "valid/loss_epoch"),
        *("test/loss", "eval_squad_loss", "metrics/val_loss", "loss/val", "Val Loss"),
    ],
)
def test_names_of_evaluation_losses(name: str) -> None:
    """These are the names that trainers write."""
    assert is_evaluation_loss(name)


@pytest.mark.parametrize("name", ["loss", "value_loss", "loss_scale", "eval_loss_best"])
def test_other_names_with_loss(name: str) -> None:
    """The loss of a value network, a scale and a best loss are no evaluation losses."""
    assert not is_evaluation_loss(name)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *((name, "loss") for name in ("loss", "train/aux_loss", "policyLoss", "loss_D")),
        *((name, "evaluation") for name in ("val_loss", "eval/loss", "test_loss_epoch")),
        *((name, "rate") for name in ("lr", "learning_rate")),
        *((name, None) for name in ("loss_scale", "epoch", "gloss", "eval_accuracy")),
    ],
)
def test_roles(name: str, role: str | None) -> None:
    """Names of losses are known by their words."""
    assert find_role(name) == role


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["train_loss", "loss"], "loss"),
        (["accuracy", "Train/Loss"], "Train/Loss"),
        (["policy_loss", "eval_loss"], None),
        ([], None),
    ],
)
def test_the_loss_of_the_training(names: list[str], found: str | None) -> None:
    """Of several usual names the first counts; other losses are none of the training."""
    assert find_usual("loss", names) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((name, True) for name in ("experts", "train/experts", "layer3.experts")),
        *(
            (name, True)
            for name in ("experts_in_use", "Experts in use", "moe/experts-in-use")
        ),
        *(
            (name, True)
            for name in ("experts/in_use", "moe_experts_in_use", "a.b.experts.in_use")
        ),
        *((name, True) for name in ("experts_in_use_3", "experts_in_use/layer_3")),
        *(
            (name, False)
            for name in ("num_experts", "active_experts", "experts/3", "expert")
        ),
        *(
            (name, False)
            for name in ("memory_in_use", "in_use", "experts_loss", "experts_total")
        ),
    ],
)
def test_names_of_experts_in_use(name: str, found: bool) -> None:
    """How many experts there are, the load of one, and memory are other numbers."""
    assert are_experts_in_use(name) == found
