"""A deep model's layers are in a tree of groups; few layers are in no group."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsound.music.layer_groups import find_bands
from gradsound.music.layer_tree import ROWS_MAX, LayerGroup, LayerTree, make_layer_tree

LLAMA = [
    "model.embed_tokens",
    *(
        f"model.layers.{k}.{part}"
        for k in range(80)
        for part in (
            *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            *("self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
            *("input_layernorm", "post_attention_layernorm"),
        )
    ),
    *("model.norm", "lm_head"),
]
EXPERTS = [
    f"model.layers.{k}.{part}"
    for k in range(27)
    for part in (
        *("self_attn.q_proj", "self_attn.o_proj", "mlp.gate"),
        *(
            f"mlp.experts.{expert}.{projection}"
            for expert in range(64)
            for projection in ("gate_proj", "up_proj", "down_proj")
        ),
    )
]
VISION = [f"blocks.{k}.{part}" for k in range(24) for part in ("attn.qkv", "mlp.fc1")]
FLAT = [f"p{k}" for k in range(5000)]


def tree_of(names: list[str]) -> LayerTree:
    return make_layer_tree(names, find_bands(names))


def groups_of(tree: LayerTree) -> Iterator[LayerGroup]:
    """Yields all groups and layers, the outer ones first."""
    waiting = [*tree.groups]
    while waiting:
        group = waiting.pop(0)
        yield group
        waiting = [*group.groups, *waiting]


@pytest.mark.parametrize("count", [1, 4, ROWS_MAX])
def test_few_layers_are_no_groups(count: int) -> None:
    """Up to 48 layers stay rows of their own, in the order of the model."""
    names = [f"h.{k}.attn" for k in range(count)]
    tree = tree_of(names)
    assert [group.name for group in tree.groups] == names
    assert not any(group.groups for group in tree.groups)
    assert tree.order == (*range(count),)


@pytest.mark.parametrize("names", [LLAMA, EXPERTS, [*VISION, "head"], FLAT])
def test_bands_hold_groups_by_name(names: list[str]) -> None:
    """The outer groups are the bands; no group has more than twelve, nor a single one."""
    tree, bands = tree_of(names), find_bands(names)
    assert [group.name for group in tree.groups] == [
        names[band.layers[0]] if len(band.layers) == 1 else band.name for band in bands
    ]
    for band, group in zip(bands, tree.groups):
        assert sorted(tree.order[group.begin : group.end]) == [*band.layers]
    for group in groups_of(tree):
        assert (
            2 <= len(group.groups) <= 12 if group.groups else group.end - group.begin == 1
        )


def test_groups_have_the_names_of_modules() -> None:
    """A block of a transformer is a group, and so are its experts."""
    names = {group.name for group in groups_of(tree_of(EXPERTS))}
    assert {"attention", "mlp", "model.layers.10 to 14", "model.layers.12"} < names
    experts = "model.layers.12.mlp.experts"
    assert {experts, f"{experts}.8 to 15", f"{experts}.12", *EXPERTS} < names


def test_labels_leave_out_what_is_around_them() -> None:
    """A label is the end of its name, and a number keeps the word before it."""
    labels = {group.name: group.label for group in groups_of(tree_of(EXPERTS))}
    assert labels["model.layers.12"] == "layers.12"
    assert labels["model.layers.10 to 14"] == "layers.10 to 14"
    assert labels["model.layers.12.mlp.experts.12.up_proj"] == "up_proj"
    assert labels["mlp"] == "mlp"


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from(["", "a", "b", "0", "1", "12"]), max_size=5).map(".".join),
        min_size=1,
        max_size=200,
    )
)
def test_each_layer_is_once_in_any_tree(names: list[str]) -> None:
    """Any names give a tree that has each layer once, at the end of its path."""
    tree = tree_of(names)
    assert sorted(tree.order) == [*range(len(names))]
    for group in groups_of(tree):
        if group.groups:
            assert group.begin == group.groups[0].begin
            assert group.end == group.groups[-1].end
            for one, other in zip(group.groups, group.groups[1:]):
                assert one.end == other.begin
    for layer in range(len(names)):
        groups = tree.groups
        for index in tree.path(layer):
            group = groups[index]
            groups = group.groups
        assert not groups
        assert tree.order[group.begin] == layer
