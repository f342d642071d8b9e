"""Names in logs: which are norms, of which layers, and what else is known."""

import pytest

from gradsound.errors import RunFormatError
from gradsound.logs.norm_names import sort_out

TOTALS = (
    "grad_norm",  # Trainer of Hugging Face, torchtitan, TRL
    "train/grad_norm",  # the same in TensorBoard and W&B
    "actor/grad_norm",  # verl
    "grad_norm_step",  # Lightning
    "grad_2.0_norm_total",
    "grad_inf_norm_total",
    "gradient_norm",
    "grad-norm",  # Megatron-LM
    "gnorm",  # fairseq
    "train_inner/gnorm",
    "l2_norm/grad/global",  # Composer
    "optim/total_grad_norm",  # OLMo
    "gradients/total_grad_norm",
    "global_grad_norm",
    "learner/gradients_default_optimizer_global_norm",  # RLlib
    "learner_stats/grad_gnorm",
    "Gradient Norm",
    "GradNorm",
    "actor_loc_grad_norm",
)
LAYERS = {
    "grad_norm/layers.0.weight": "layers.0.weight",
    "train/grad_norm/conv1": "conv1",
    "grad_2.0_norm/layers.0.weight": "layers.0.weight",  # Lightning's grad_norm()
    "grad_inf_norm/fc": "fc",
    "gradients/fc1.weight.norm": "fc1.weight",
    "gradients/fc1/norm": "fc1",
    "grad/transformer.wte.weight.norm": "transformer.wte.weight",  # OLMo
    "l2_norm/grad/model.layers.1.attn.v": "model.layers.1.attn.v",  # Composer
    "grad_norm_fc1": "fc1",
    "grad_norms/model.norm.weight": "model.norm.weight",
}
NEITHER = (
    *("loss", "train/loss", "lr", "norm", "weight_norm", "param_norm/fc", "gradient"),
    *(
        "max_grad_norm",
        "grad_norm_max",
        "grad_norm/mean",
        "mean_grad_norm",
        "grad_norm_std",
    ),
    *("clip_grad_norm", "grad_norm_threshold", "l2_norm/param/fc", "l2_norm/moment/fc"),
    *("gradients/fc1.weight", "grad_scale", "gradient_accumulation_steps", "step_norm"),
    *("layer_norm", "graduation_norm", "grad-norm vs samples", "log_grad_norm"),
)


@pytest.mark.parametrize("name", TOTALS)
def test_a_total_is_a_layer_named_as_it(name: str) -> None:
    """One norm alone is a run of one layer, which is called as the column."""
    assert sort_out(["loss", name], None).layers == {1: name}


@pytest.mark.parametrize("name", LAYERS)
def test_norms_of_layers_are_named_as_these(name: str) -> None:
    """What says of which layer it is, is called as that, without what all have."""
    assert sort_out([name, "lr"], None).layers == {0: LAYERS[name]}


@pytest.mark.parametrize("name", NEITHER)
def test_no_other_name_is_a_norm(name: str) -> None:
    """Norms of weights, figures about norms and settings are no norms of gradients."""
    with pytest.raises(RunFormatError, match=r"there are: .*; say which with --norms GLOB"):
        sort_out([name], None)
    assert sort_out(["grad_norm", name], None).layers == {0: "grad_norm"}


def test_a_total_beside_its_parts_is_a_value() -> None:
    """Where there are layers, the norm of all of them is none, but a value."""
    names = sort_out(["grad_2.0_norm_total", "grad_2.0_norm/a", "grad_2.0_norm/b"], None)

    assert (names.layers, names.values) == ({1: "a", 2: "b"}, {0: "grad_2.0_norm_total"})


def test_what_is_of_a_step_is_not_taken_twice() -> None:
    """Lightning logs the same for a step and for the epoch: the former counts."""
    assert sort_out(["grad_norm_epoch", "grad_norm_step"], None).layers == {
        1: "grad_norm_step"
    }


def test_globs_say_what_is_a_norm() -> None:
    """--norms takes what it matches, and nothing else, whatever the name."""
    names = ["x/a", "x/b", "grad_norm", "loss"]

    assert sort_out(names, ["x/*"]).layers == {0: "x/a", 1: "x/b"}
    assert sort_out(names, ["x/a", "loss"]).values == {1: "x/b", 2: "grad_norm"}
    with pytest.raises(
        RunFormatError, match=r"nothing matches --norms 'y\*'; there are: x/a"
    ):
        sort_out(names, ["y*"])


def test_layers_of_two_models_keep_their_names() -> None:
    """Where the short names would be the same, the long ones stay."""
    names = ["g/grad_norm/fc", "d/grad_norm/fc"]

    assert [*sort_out(names, None).layers.values()] == names


def test_numbers_in_names_count_as_numbers() -> None:
    """What was sorted by letters is put in the order of the model; what was not, stays."""
    by_letters = [f"grad_norm/layers.{k}" for k in (0, 1, 10, 2)]
    mixed = ["grad_norm/z", "grad_norm/a.2", "grad_norm/a.10"]

    assert [*sort_out(by_letters, None).layers] == [0, 1, 3, 2]
    assert [*sort_out(mixed, None).layers] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("train/loss", "loss"),
        ("lm loss", "loss"),
        ("train_loss_step", "loss"),
        ("learning_rate", "lr"),
        ("train/learning_rate", "lr"),
        ("learning-rate", "lr"),
        ("lr-AdamW", "lr"),
        ("lr-AdamW/pg1", "lr"),
        ("trainer/epoch", "epoch"),
        ("eval_loss", "eval_loss"),
        ("lr-AdamW/pg2", "lr-AdamW/pg2"),
    ],
)
def test_what_gradsound_knows_has_its_name(name: str, known: str) -> None:
    """Loss, learning rate and epoch are found by their usual names; others keep theirs."""
    assert sort_out(["grad_norm", name], None).values == {1: known}


def test_the_usual_name_comes_first() -> None:
    """Of several losses the one that is called so is the loss."""
    names = sort_out(["grad_norm", "train_loss", "loss"], None)

    assert names.values == {1: "train_loss", 2: "loss"}
