"""Names in logs: which are norms, which layers they belong to, and known values."""

import pytest

from gradsound.errors import RunFormatError
from gradsound.logs.names.classified_names import classify_names

TOTALS = (
    "grad_norm",  # Trainer of Hugging Face, torchtitan, TRL
    "train/grad_norm",  # the same in TensorBoard and W&B
    "actor/grad_norm",  # verl
    "grad_norm_step",  # Lightning
    "grad_2.0_norm_total",
    "grad_inf_norm_total",
    "gradient_norm",
    "pre_clip_grad_norm",
    "grad_norm (pre-clip)",
    "train/grad_norm_clipped",
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
    "grad_norm/blocks.0.norm.scale": "blocks.0.norm.scale",
    "grad_norm_clipped/conv1": "conv1",
    "grad_norm/clip_head.proj": "clip_head.proj",
}
NEITHER = (
    *("loss", "train/loss", "lr", "norm", "weight_norm", "param_norm/fc", "gradient"),
    *("max_grad_norm", "grad_norm_max", "grad_norm_std", "grad_norm_clip", "grad_norm/p99"),
    *("grad_norm_clipped_frac", "grad_norm_zscore"),
    *("clip_grad_norm", "grad_norm_threshold", "l2_norm/param/fc", "l2_norm/moment/fc"),
    *("gradients/fc1.weight", "grad_scale", "gradient_accumulation_steps", "step_norm"),
    *("layer_norm", "graduation_norm", "grad-norm vs samples", "log_grad_norm"),
)


@pytest.mark.parametrize("name", TOTALS)
def test_a_total_alone_is_a_layer(name: str) -> None:
    """A total norm without layers is a run of one layer with the name of the column."""
    assert classify_names(["loss", name], None).layers == {1: name}


@pytest.mark.parametrize("name", LAYERS)
def test_a_norm_of_a_layer_gets_the_name_of_the_layer(name: str) -> None:
    """The layer is named without the part that all names share."""
    assert classify_names([name, "lr"], None).layers == {0: LAYERS[name]}


@pytest.mark.parametrize("name", NEITHER)
def test_no_other_name_is_a_norm(name: str) -> None:
    """Norms of weights, statistics of norms and settings are no norms of gradients."""
    with pytest.raises(RunFormatError, match=r"there are: .*; say which with --norms GLOB"):
        classify_names([name], None)
    assert classify_names(["grad_norm", name], None).layers == {0: "grad_norm"}


def test_a_total_beside_its_parts_is_a_value() -> None:
    """If a log has norms of layers, the total norm is a value."""
    names = classify_names(
        ["grad_2.0_norm_total", "grad_2.0_norm/a", "grad_2.0_norm/b"], None
    )

    assert (names.layers, names.values) == ({1: "a", 2: "b"}, {0: "grad_2.0_norm_total"})


def test_a_norm_of_a_step_is_not_counted_twice() -> None:
    """Lightning logs a norm for the step and for the epoch; the former counts."""
    assert classify_names(["grad_norm_epoch", "grad_norm_step"], None).layers == {
        1: "grad_norm_step"
    }


def test_globs_select_the_norms() -> None:
    """--norms selects the names that it matches, and no others."""
    names = ["x/a", "x/b", "grad_norm", "loss"]

    assert classify_names(names, ["x/*"]).layers == {0: "x/a", 1: "x/b"}
    assert classify_names(names, ["x/a", "loss"]).values == {1: "x/b", 2: "grad_norm"}
    with pytest.raises(
        RunFormatError, match=r"nothing matches --norms 'y\*'; there are: x/a"
    ):
        classify_names(names, ["y*"])


def test_layers_of_two_models_keep_their_names() -> None:
    """If short names collide, layers keep the long names."""
    names = ["g/grad_norm/fc", "d/grad_norm/fc"]

    assert [*classify_names(names, None).layers.values()] == names


def test_numbers_in_names_count_as_numbers() -> None:
    """Names sorted as text are sorted by number; names in another order keep it."""
    by_letters = [f"grad_norm/layers.{k}" for k in (0, 1, 10, 2)]
    mixed = ["grad_norm/z", "grad_norm/a.2", "grad_norm/a.10"]

    assert [*classify_names(by_letters, None).layers] == [0, 1, 3, 2]
    assert [*classify_names(mixed, None).layers] == [0, 1, 2]


def test_a_norm_of_an_epoch_alone_is_a_norm() -> None:
    """The norm of the epoch is left out only where the log has that of the step."""
    assert classify_names(["grad_norm_epoch"], None).layers == {0: "grad_norm_epoch"}
    names = ["a/grad_norm_epoch", "b/grad_norm_step"]
    assert classify_names(names, None).layers == {0: names[0], 1: names[1]}


@pytest.mark.parametrize("globs", [None, ["y*"]])
@pytest.mark.parametrize(
    ("count", "end"), [(20, "x19"), (21, "x19 and 1 more"), (99, "x19 and 79 more")]
)
def test_an_error_lists_20_names_and_counts_the_others(
    globs: list[str] | None, count: int, end: str
) -> None:
    """The message has the first 20 names, and how many more the log has."""
    with pytest.raises(RunFormatError, match=rf"there are: x0, x1, .*, {end}(;|$)"):
        classify_names([f"x{k}" for k in range(count)], globs)


def test_an_error_fits_on_a_line_whatever_the_names() -> None:
    """The message has 80 characters of a name, without control characters."""
    with pytest.raises(RunFormatError, match=rf"there are: {'x' * 80}, a\?b\?c;"):
        classify_names(["x" * 81, "a\nb\u202ec"], None)


def test_globs_respect_upper_and_lower_case() -> None:
    """A glob matches the case of a name exactly, on every platform."""
    assert classify_names(["G", "g"], ["g"]).layers == {1: "g"}


@pytest.mark.parametrize(
    ("name", "value_name"),
    [
        ("train/loss", "loss"),
        ("lm loss", "loss"),
        ("train.loss", "loss"),  # W&B's nested dicts
        ("Train.Learning Rate", "lr"),
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
def test_known_values_get_their_names(name: str, value_name: str) -> None:
    """Usual names of loss, learning rate and epoch are unified; others stay."""
    assert classify_names(["grad_norm", name], None).values == {1: value_name}


def test_the_most_usual_name_wins() -> None:
    """If a log has several losses, the value named "loss" is the loss."""
    names = classify_names(["grad_norm", "train_loss", "loss"], None)
    rates = classify_names(["grad_norm", "lr-AdamW", "learning_rate"], None)

    assert names.values == {1: "train_loss", 2: "loss"}
    assert rates.values == {1: "lr-AdamW", 2: "lr"}


@pytest.mark.parametrize(
    ("raw", "applied", "layer"),
    [
        ("train/grad_norm", "train/grad_norm_clipped", "train/grad_norm"),
        ("grad_norm_before_clip", "grad_norm_after_clip", "grad_norm"),
        ("pre_clip_grad_norm", "grad_norm", "grad_norm"),
        ("optim/unclipped_grad_norm", "optim/grad_norm", "optim/grad_norm"),
        ("grad_norm (pre-clip)", "grad_norm (post-clip)", "grad_norm"),
        ("grad_norm_raw", "grad_norm", "grad_norm"),
        ("grad_norm/preclip", "grad_norm/postclip", "grad_norm"),
        ("grad_norm/conv1", "grad_norm_clipped/conv1", "conv1"),
        ("Gradient Norm Before Clipping", "Gradient Norm After Clipping", "Gradient Norm"),
    ],
)
@pytest.mark.parametrize("globs", [None, ["*norm*", "*Norm*"]])
def test_a_norm_before_and_after_clipping_is_one_layer(
    raw: str, applied: str, layer: str, globs: list[str] | None
) -> None:
    """Two names of one norm are its raw and its applied values, in any order."""
    for order in ([raw, "loss", applied], [applied, "loss", raw]):
        names = classify_names(order, globs and [g for g in globs if g.strip("*") in raw])
        indices = {order.index(applied): order.index(raw)}

        assert names.layers == {order.index(applied): layer}
        assert (names.raw, names.values) == (indices, {1: "loss"})


def test_the_clipped_norm_is_applied_where_a_log_has_three() -> None:
    """Of three stages, the first is raw, the last is applied, and the other is none."""
    names = ["grad_norm", "grad_norm_clipped", "grad_norm_unclipped"]
    classified = classify_names(names, None)

    assert (classified.layers, classified.raw) == ({1: "grad_norm"}, {1: 2})
    assert classified.values == {0: "grad_norm"}


@pytest.mark.parametrize(
    "name",
    [
        *("avg_grad_norm", "grad_norm_avg", "mean_grad_norm", "grad_norm/mean"),
        *("train/grad_norm_ema", "running_grad_norm", "norm", "train/norm"),
        *("total_norm", "train/global_norm", "g_norm"),
    ],
)
def test_a_doubtful_name_is_a_norm_if_there_is_no_better_one(name: str) -> None:
    """An average, or a norm beside a loss, is taken with a word, or else a value."""
    loss = "train/loss" if name.startswith("train") else "loss"
    alone = classify_names([name, loss], None)
    beside = classify_names([name, loss, "grad_norm"], None)

    assert alone.layers == {0: name}
    assert alone.doubt == (
        f"takes {name} as the norm; if it is none, say which is with --norms GLOB"
    )
    assert (beside.layers, beside.doubt) == ({2: "grad_norm"}, "")
    assert beside.values[0] == name


def test_a_norm_without_a_loss_is_none() -> None:
    """A value named norm may be that of the weights."""
    with pytest.raises(RunFormatError, match="there are: norm, val/loss; say which"):
        classify_names(["norm", "val/loss"], None)
