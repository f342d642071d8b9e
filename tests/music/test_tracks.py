"""Tracks map norms and values to pitches, levels and the controls of voices."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import PLAIN, make_moments

from gradsound import Drive, LinearPitch, Preset
from gradsound.music.equal_loudness import gains
from gradsound.music.tracks import Tracks, TrackStates

LOSS = Drive(value="loss", drives="voice", low=0.0, high=1.0, voice="sine")


def states(
    rows: list[list[float | None]],
    preset: Preset,
    raw: list[float] | None = None,
    **values: float,
) -> TrackStates:
    """Returns the states at steps that all have the same raw norms and values."""
    run = make_run(rows)
    unclipped = None if raw is None else np.array(raw, np.float32)
    steps = [replace(step, raw=unclipped, values=values) for step in run.steps]
    moments = make_moments(replace(run, steps=steps), preset)
    return Tracks(run.header.layers, preset).states(moments)


def test_each_band_is_a_register_above_the_last() -> None:
    """Equal norms of bands are a chord, for logarithmic and for linear pitch."""
    fourths = replace(PLAIN, register=5.0)
    linear = replace(fourths, pitch=LinearPitch(base=200.0, slope=100.0))
    ratios = 2 ** (np.arange(3) * 5 / 12)

    hertz = states([[1.0] * 3], fourths).hertz[0]
    np.testing.assert_allclose(hertz, 440 * ratios, rtol=1e-12)
    hertz = states([[2.5] * 3], linear).hertz[0]
    np.testing.assert_allclose(hertz, 450 * ratios, rtol=1e-12)


def test_equal_loudness_sets_the_level_of_each_pitch() -> None:
    """The gain is that of the track's voice, of the clang, or of the breath of 0."""
    preset = replace(PLAIN, voice=("sine", "organ"), level=0.1, equal_loudness=True)
    preset = replace(preset, drives=(LOSS,))
    preset = replace(preset, register=5.0)
    norms, tracks = [[1 / 3, np.nan, 0.0]], Tracks(("a", "b", "c"), preset)
    track_states = states(norms, preset, loss=0.25)

    first, *_, loss, clang, breath = tracks.programs
    programs, factors = (first, clang, breath, loss), np.array([1, 1, 0.8, 1])
    levels = [0.1 * gains(p, hertz) for p, hertz in zip(programs, track_states.hertz[0])]
    np.testing.assert_allclose(track_states.level[0], levels * factors, rtol=1e-12)
    flat = states(norms, replace(preset, equal_loudness=False), loss=0.25)
    np.testing.assert_allclose(flat.level[0, [0, 1, 3]], 0.1, rtol=1e-12)
    assert flat.level[0, 2] == track_states.level[0, 2]


def test_the_control_norm_is_logarithmic() -> None:
    """It is 0.5 at norm 1, and covers four decades below and above."""
    norms = [[0.0], [1e-9], [1e-4], [0.1], [1.0], [100.0], [1e9]]
    control = states(norms, PLAIN).controls["norm"][:, 0]

    np.testing.assert_allclose(control, [0, 0, 0, 0.375, 0.5, 0.75, 1], atol=1e-6)


def test_the_control_deviation_is_relative_to_the_running_median() -> None:
    """It is in decades, within -1 and 1, and 0 while there is no median."""
    norms = [[100.0]] * 20 + [[1000 / 3], [10.0], [1e9], [0.0]]
    control = states(norms, replace(PLAIN, voice="bell")).controls["deviation"][:, 0]

    np.testing.assert_array_equal(control[:20], 0)
    np.testing.assert_allclose(control[20:], [np.log10(10 / 3), -1, 1, -1], atol=1e-6)


def test_brightness_replaces_the_deviation() -> None:
    """The low end is -1, and the high end is 1; without a value it is 0."""
    bright = replace(LOSS, drives="brightness")
    preset = replace(PLAIN, voice="bell", drives=(bright,))
    controls = [
        states([[1.0, 2.0]], preset, **values).controls["deviation"].tolist()
        for values in ({"loss": 0.0}, {"loss": 0.75}, {"loss": 9.0}, {})
    ]

    assert controls == [[[-1, -1]], [[0.5, 0.5]], [[1, 1]], [[0, 0]]]


@pytest.mark.parametrize("preset", [PLAIN, replace(PLAIN, baseline="running")])
def test_only_a_clipped_norm_has_a_second_pitch(preset: Preset) -> None:
    """It is that of the norm before clipping, for finite norms that clipping reduced."""
    norms: list[list[float | None]] = [[2.0, 2.0, 2.0, np.nan, None]] * 30
    raw = [20.0, 2.0001, np.inf, 5.0, 5.0]
    preset = replace(preset, bands="layers")
    track_states = states(norms, preset, raw)

    np.testing.assert_allclose(
        track_states.unclipped_hertz[-1, 0], 2 * track_states.hertz[-1, 0]
    )
    assert np.isnan(track_states.unclipped_hertz[:, 1:]).all()
    assert track_states.nonfinite[-1].tolist() == [False, False, False, True, False]
    assert track_states.present[-1].tolist() == [True, True, True, True, False]
    silent = states(norms, replace(preset, clipping=False), raw)
    assert np.isnan(silent.unclipped_hertz).all()


def test_descriptions_list_the_layers_of_a_band() -> None:
    """A band of one layer and a value have only a name; long lists are shortened."""
    names = [f"layer{k}" for k in range(7)]
    bands = {"few": ("layer[01]",), "many": ("layer[2345]",), "one": ("layer6",)}
    tracks = Tracks(names, replace(PLAIN, bands=bands, drives=(LOSS, LOSS)))

    assert tracks.descriptions() == [
        "few (layer0, layer1)",
        "many (layer2, layer3, layer4, layer5)",
        "one",
        "loss",
        "loss",
    ]
    assert tracks.layers_by_track() == [
        ("few", (0, 1)),
        ("many", (2, 3, 4, 5)),
        ("one", (6,)),
        ("loss", ()),
        ("loss", ()),
    ]
