"""Captions: the text of a minute."""

from dataclasses import replace

import numpy as np
from helpers.runs import make_run

from gradsound.music.captions import minute_text
from gradsound.music.layer_groups import each_layer, find_bands


def test_the_text_of_a_minute_has_norms_and_values() -> None:
    """It names four bands, the number of further ones, and every value."""
    run = make_run([[1 / 3, None, np.nan, 4e9, 5.0, 6.0]])
    (step,) = run.steps
    step = replace(step, number=1234, values={"loss": 1 / 3, "epoch": 2.0})
    names = run.header.layers

    four = "layer0 0.333, layer1 no gradient, layer2 nan, layer3 4e+09"
    values = "loss 0.3333, epoch 2"
    assert minute_text(step, each_layer(names)) == (
        f"step 1,234: {four}, 2 more layers, {values}"
    )
    grouped = find_bands(names, {"all": ("*",)})
    assert minute_text(step, grouped) == f"step 1,234: all nan, {values}"
    four_layers = make_run([[1.0, 2.0, 3.0, 4.0]])
    (step,) = four_layers.steps
    assert minute_text(step, each_layer(four_layers.header.layers)) == (
        "step 0: layer0 1, layer1 2, layer2 3, layer3 4"
    )
