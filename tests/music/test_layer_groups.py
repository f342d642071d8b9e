"""Each layer belongs to one of at most four bands; a band's norm is that of one vector."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsound.music.layer_groups import BANDS_MAX, Band, band_norms, each_layer, find_bands

# Layers of real models in their order: those before the blocks, those of block N, and those
# after the blocks. Each has its expected band, or ? if any band will do.
MODELS = {
    "GPT-2": (
        "transformer.wte=embedding transformer.wpe=embedding",
        "transformer.h.N.ln_1=attention transformer.h.N.attn.c_attn=attention "
        "transformer.h.N.attn.c_proj=attention transformer.h.N.ln_2=mlp "
        "transformer.h.N.mlp.c_fc=mlp transformer.h.N.mlp.c_proj=mlp",
        "transformer.ln_f=?",  # its head is its wte
    ),
    "nanoGPT without tied weights": (
        "_orig_mod.transformer.wte=embedding _orig_mod.transformer.wpe=embedding",
        "_orig_mod.transformer.h.N.ln_1=attention "
        "_orig_mod.transformer.h.N.attn.c_attn=attention "
        "_orig_mod.transformer.h.N.attn.c_proj=attention "
        "_orig_mod.transformer.h.N.ln_2=mlp _orig_mod.transformer.h.N.mlp.c_fc=mlp "
        "_orig_mod.transformer.h.N.mlp.c_proj=mlp",
        "_orig_mod.transformer.ln_f=? _orig_mod.lm_head=head",
    ),
    "BERT": (
        "bert.embeddings.word_embeddings=embedding "
        "bert.embeddings.position_embeddings=embedding "
        "bert.embeddings.token_type_embeddings=embedding "
        "bert.embeddings.LayerNorm=embedding",
        "bert.encoder.layer.N.attention.self.query=attention "
        "bert.encoder.layer.N.attention.self.key=attention "
        "bert.encoder.layer.N.attention.self.value=attention "
        "bert.encoder.layer.N.attention.output.dense=attention "
        "bert.encoder.layer.N.attention.output.LayerNorm=attention "
        "bert.encoder.layer.N.intermediate.dense=mlp "
        "bert.encoder.layer.N.output.dense=mlp bert.encoder.layer.N.output.LayerNorm=mlp",
        "bert.pooler.dense=head classifier=head",
    ),
    "LLaMA": (
        "model.embed_tokens=embedding",
        "model.layers.N.self_attn.q_proj=attention "
        "model.layers.N.self_attn.k_proj=attention "
        "model.layers.N.self_attn.v_proj=attention "
        "model.layers.N.self_attn.o_proj=attention model.layers.N.mlp.gate_proj=mlp "
        "model.layers.N.mlp.up_proj=mlp model.layers.N.mlp.down_proj=mlp "
        "model.layers.N.input_layernorm=? model.layers.N.post_attention_layernorm=?",
        "model.norm=? lm_head=head",
    ),
    "ViT of timm": (
        "VisionTransformer=embedding patch_embed.proj=embedding",
        "blocks.N.norm1=attention blocks.N.attn.qkv=attention "
        "blocks.N.attn.proj=attention blocks.N.norm2=mlp blocks.N.mlp.fc1=mlp "
        "blocks.N.mlp.fc2=mlp",
        "norm=? head=head",
    ),
    "ViT of torchvision": (
        "VisionTransformer=embedding conv_proj=embedding",
        "encoder.layers.encoder_layer_N.ln_1=attention "
        "encoder.layers.encoder_layer_N.self_attention=attention "
        "encoder.layers.encoder_layer_N.self_attention.out_proj=attention "
        "encoder.layers.encoder_layer_N.ln_2=mlp "
        "encoder.layers.encoder_layer_N.mlp.0=mlp "
        "encoder.layers.encoder_layer_N.mlp.3=mlp",
        "encoder.ln=? heads.head=head",
    ),
    "ViT of Transformers": (
        "vit.embeddings=embedding vit.embeddings.patch_embeddings.projection=embedding",
        "vit.encoder.layer.N.attention.attention.query=attention "
        "vit.encoder.layer.N.attention.attention.key=attention "
        "vit.encoder.layer.N.attention.attention.value=attention "
        "vit.encoder.layer.N.attention.output.dense=attention "
        "vit.encoder.layer.N.intermediate.dense=mlp "
        "vit.encoder.layer.N.output.dense=mlp vit.encoder.layer.N.layernorm_before=? "
        "vit.encoder.layer.N.layernorm_after=?",
        "vit.layernorm=? classifier=head",
    ),
    "T5": (
        "shared=embedding",
        "encoder.block.N.layer.0.SelfAttention.q=attention "
        "encoder.block.N.layer.0.SelfAttention.k=attention "
        "encoder.block.N.layer.0.SelfAttention.v=attention "
        "encoder.block.N.layer.0.SelfAttention.o=attention "
        "encoder.block.N.layer.0.layer_norm=attention "
        "encoder.block.N.layer.1.DenseReluDense.wi=mlp "
        "encoder.block.N.layer.1.DenseReluDense.wo=mlp "
        "encoder.block.N.layer.1.layer_norm=mlp",
        "encoder.final_layer_norm=? lm_head=head",
    ),
    "Pythia": (
        "gpt_neox.embed_in=embedding",
        "gpt_neox.layers.N.input_layernorm=? gpt_neox.layers.N.post_attention_layernorm=? "
        "gpt_neox.layers.N.attention.query_key_value=attention "
        "gpt_neox.layers.N.attention.dense=attention "
        "gpt_neox.layers.N.mlp.dense_h_to_4h=mlp gpt_neox.layers.N.mlp.dense_4h_to_h=mlp",
        "gpt_neox.final_layer_norm=? embed_out=head",
    ),
    "BERT that fills gaps": (
        "bert.embeddings.word_embeddings=embedding bert.embeddings.LayerNorm=embedding",
        "bert.encoder.layer.N.attention.self.query=attention "
        "bert.encoder.layer.N.attention.self.key=attention "
        "bert.encoder.layer.N.attention.self.value=attention "
        "bert.encoder.layer.N.attention.output.dense=attention "
        "bert.encoder.layer.N.intermediate.dense=mlp "
        "bert.encoder.layer.N.output.dense=mlp bert.encoder.layer.N.output.LayerNorm=mlp",
        "cls.predictions=head cls.predictions.transform.dense=head "
        "cls.predictions.transform.LayerNorm=head",
    ),
}


def by_name(names: list[str], **patterns: tuple[str, ...]) -> dict[str, list[str]]:
    """Returns the names of the layers of each band."""
    bands = find_bands(names, patterns or None)
    return {band.name: [names[layer] for layer in band.layers] for band in bands}


@pytest.mark.parametrize("depth", [1, 12])
@pytest.mark.parametrize("model", [*MODELS])
def test_the_layers_of_a_transformer_are_in_the_expected_bands(
    model: str, depth: int
) -> None:
    """Its bands are embedding, attention, mlp and head, at any depth."""
    before, block, after = (part.split() for part in MODELS[model])
    blocks = [re.sub("(?<=[._])N", str(k), one) for k in range(depth) for one in block]
    rows = [one.split("=") for one in [*before, *blocks, *after]]
    bands = by_name([name for name, _ in rows])
    band_of = {name: band for band, names in bands.items() for name in names}

    assert [*bands] == [b for b in ("embedding", "attention", "mlp", "head") if b in bands]
    wrong = {n: band_of[n] for n, expected in rows if expected not in ("?", band_of[n])}
    assert wrong == {}


def test_the_layers_of_a_torch_encoder_are_in_the_expected_bands() -> None:
    """The names are those that gradsound finds in a torch.nn.TransformerEncoder."""
    nn = pytest.importorskip("torch").nn
    from gradsound.measure.layers import find_layers

    block = nn.TransformerEncoderLayer(8, 2, 16)
    model = nn.Sequential()
    model.add_module("embed", nn.Embedding(10, 8))
    model.add_module("body", nn.TransformerEncoder(block, 2, enable_nested_tensor=False))
    model.add_module("head", nn.Linear(8, 10))
    bands = by_name([layer.name for layer in find_layers(model, None, None)])

    assert bands["embedding"] == ["embed"]
    assert bands["head"] == ["head"]
    blocks = "body.layers.0", "body.layers.1"
    attention = [f"{b}.self_attn{end}" for b in blocks for end in ("", ".out_proj")]
    assert {*attention} <= {*bands["attention"]}
    assert {f"{b}.linear{k}" for b in blocks for k in (1, 2)} <= {*bands["mlp"]}


@pytest.mark.parametrize(
    "names",
    [
        [f"{part}.{k}" for part in ("conv", "fc") for k in range(6)],
        # An actor and a critic: "value" is no part of an attention here.
        ["actor.fc1", "actor.fc2", "actor.mu", "value.fc1", "value.fc2", "value.out"],
    ],
)
def test_the_layers_of_other_models_are_grouped_by_depth(names: list[str]) -> None:
    """The three bands are equally large, and in the order of the model."""
    third = len(names) // 3

    assert by_name(names) == {
        "early": names[:third],
        "middle": names[third : 2 * third],
        "late": names[2 * third :],
    }


def test_a_transformer_without_ends_has_two_bands() -> None:
    """Attention and mlp are enough to recognize a transformer."""
    names = [f"{k}.{part}" for k in range(3) for part in ("attn", "mlp")]

    assert by_name(names) == {"attention": names[::2], "mlp": names[1::2]}


@pytest.mark.parametrize("count", [1, 4])
def test_up_to_four_layers_are_a_band_each(count: int) -> None:
    """Their names do not matter."""
    names = ["wte", "attn", "mlp", "head"][:count]

    assert find_bands(names) == each_layer(names)
    assert [band.name for band in find_bands(names)] == names


PARTS = st.sampled_from(["0", "1", "attn", "mlp", "norm", "head", "embed", "x", "qkv"])
NAMES = st.lists(st.lists(PARTS, min_size=1).map(".".join), min_size=1, unique=True)
TEXTS = st.lists(st.text(min_size=1), min_size=1, unique=True)


def check_complete(bands: tuple[Band, ...], layers: int) -> None:
    assert 1 <= len(bands) <= BANDS_MAX
    assert all(list(band.layers) == sorted(band.layers) for band in bands)
    assert len({band.name for band in bands}) == len(bands)
    assert sorted(k for band in bands for k in band.layers) == [*range(layers)]


@given(NAMES | TEXTS)
def test_every_layer_is_in_one_band(names: list[str]) -> None:
    """With any names, no layer is left out or sounds twice."""
    check_complete(find_bands(names), len(names))


@given(NAMES, st.data())
def test_every_layer_is_in_one_band_of_a_user(names: list[str], data) -> None:
    """Globs may overlap, and may match only some of the layers."""
    globs = st.lists(
        st.sampled_from(["*", *(f"*{name[-1]}" for name in names)]), min_size=1
    )
    patterns = data.draw(st.dictionaries(st.text(min_size=1), globs.map(tuple), max_size=3))

    check_complete(find_bands(names, patterns), len(names))


LAYER_NAMES = ["in", "block.0.a", "block.0.b", "block.1.a", "block.1.b", "out"]


def test_the_first_matching_glob_decides() -> None:
    """Bands are in the order of the mapping; "others" is last unless the mapping has it."""
    assert by_name(LAYER_NAMES, zero=("block.0.*",), a=("*.a", "*in")) == {
        "zero": ["block.0.a", "block.0.b"],
        "a": ["in", "block.1.a"],
        "others": ["block.1.b", "out"],
    }
    assert [*by_name(LAYER_NAMES, all=("*",))] == ["all"]
    assert by_name(LAYER_NAMES, others=("*.a",), b=("*.b",)) == {
        "others": ["in", "block.0.a", "block.1.a", "out"],
        "b": ["block.0.b", "block.1.b"],
    }


def test_globs_also_group_few_layers() -> None:
    """Two layers are one band if a glob matches both."""
    assert by_name(["a", "b"], both=("*",)) == {"both": ["a", "b"]}


def test_a_glob_without_layers_is_refused() -> None:
    """The message has the glob and the names of the layers."""
    with pytest.raises(ValueError, match=r"'blok\.\*'.*there are: in, block\.0\.a"):
        by_name(LAYER_NAMES, block=("blok.*",))
    with pytest.raises(ValueError, match="none"):
        by_name(LAYER_NAMES, block=())


def test_more_bands_than_four_are_refused() -> None:
    """The message has the number and the names of the bands, "others" included."""
    globs = {name: (name,) for name in LAYER_NAMES[:4]}
    with pytest.raises(ValueError, match=r"5 bands \(in, .*, others\).*more than 4"):
        by_name(LAYER_NAMES, **globs)


@given(
    st.lists(
        st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=5),
        min_size=5,
        max_size=5,
    )
)
def test_the_norm_of_a_band_is_that_of_one_vector(gradients: list[list[float]]) -> None:
    """The vector has the gradients of all layers of the band."""
    norms = np.array([[np.linalg.norm(g) for g in gradients]], np.float32)
    bands = (Band("a", (0, 3)), Band("b", (1,)), Band("c", (2, 4)))
    norms_of_bands, absent = band_norms(norms, np.zeros((1, 5), bool), bands)

    expected = [
        np.linalg.norm(np.concatenate([gradients[k] for k in band.layers]))
        for band in bands
    ]
    # float32 has no digits below 1e-44.
    np.testing.assert_allclose(norms_of_bands[0], expected, rtol=1e-6, atol=1e-44)
    assert not absent.any()


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([3, 4], 5),
        ([3, None], 3),
        ([None, 0], 0),
        ([1e30, 1e30], np.sqrt(2) * 1e30),
        ([1e-30, 1e-30], np.sqrt(2) * 1e-30),
        ([3, np.nan], np.nan),
        ([np.inf, 4], np.inf),
        ([np.inf, np.nan], np.nan),
        ([np.inf, None], np.inf),
        ([None, np.nan], np.nan),
        ([None, None], None),
    ],
)
def test_a_band_is_nonfinite_if_a_layer_is(norms: list[float | None], expected) -> None:
    """A layer without gradient adds nothing, and no norm overflows or underflows."""
    given_norms = np.array([[*norms, 7]], np.float32)
    missing = np.array([[norm is None for norm in norms] + [False]])
    norms_of_bands, absent = band_norms(
        given_norms, missing, (Band("both", (0, 1)), Band("other", (2,)))
    )

    assert absent.tolist() == [[expected is None, False]]
    if expected is not None:
        np.testing.assert_allclose(norms_of_bands[0, 0], expected, rtol=1e-6)
    assert norms_of_bands[0, 1] == 7


def test_a_band_of_one_layer_has_its_norm() -> None:
    """Norms have the same bits, in the order of the bands."""
    norms = np.array([[1 / 3, np.nan, np.inf], [0, 1e-42, 3e38]], np.float32)
    missing = np.array([[False, True, False], [False, False, False]])
    bands = (Band("c", (2,)), Band("a", (0,)), Band("b", (1,)))
    norms_of_bands, absent = band_norms(norms, missing, bands)

    np.testing.assert_array_equal(norms_of_bands, norms[:, [2, 0, 1]])
    np.testing.assert_array_equal(absent, missing[:, [2, 0, 1]])
