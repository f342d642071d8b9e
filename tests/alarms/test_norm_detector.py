"""The norm detector reports each fault of a layer once, and none in a healthy run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import LIMITS, change, detect, healthy_norms, kinds, steps_of
from helpers.runs import make_run

from gradsound.alarms.thresholds import Alarm


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_run_has_no_alarm(seed: int) -> None:
    """2,000 steps of 20 layers with the usual scatter raise no alarm."""
    assert not detect(steps_of(healthy_norms(2000, 20, seed)))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_alarms_do_not_depend_on_the_size_of_all_norms(scale: float) -> None:
    """A run with all norms a million times larger or smaller has the same alarms."""
    norms = healthy_norms()
    norms[60, 1], norms[70:, 0] = 3000, 0

    assert kinds(steps_of(scale * norms)) == [("spike", 60), ("dead", 72)]


def test_clipping_does_not_hide_a_spike() -> None:
    """The detector uses the norms from before clipping."""
    steps = steps_of(healthy_norms())
    raw = np.array([1, 1, 5000], np.float32)

    assert kinds(change(steps, 70, raw=raw)) == [("spike", 70)]


@pytest.mark.parametrize("norm", [4.9, 20.0])
def test_small_or_early_leaps_are_no_spikes(norm: float) -> None:
    """A leap under five times is no spike, nor is any leap in the first 32 steps."""
    norms = np.ones((60, 2))
    norms[40 if norm < 5 else 31, 0] = norm

    assert not detect(steps_of(norms))


def test_a_spike_needs_six_deviations_of_the_median_layer() -> None:
    """A layer that scatters little by chance has no spike within six deviations."""
    noise = np.random.default_rng(0).normal(0, 0.3, (60, 3))
    noise[:, 0] = 0
    noise[50:52] = [
        0.75,
        0,
        0,
    ]  # decades: 5.6 times the median, 2.5 deviations of the others
    (spike,) = detect(steps_of(10 ** (noise * [1, 0.01, 0.01])))

    assert (spike.kind, spike.step, spike.layers) == ("spike", 51, ("layer0",))
    assert not detect(steps_of(10**noise))


def test_a_lasting_spike_is_one_alarm_and_a_recovery() -> None:
    """A spike of 15 steps has two alarms; a norm that stays high becomes usual."""
    norms = healthy_norms(200)
    norms[100:115, 1] = 1e4

    assert kinds(steps_of(norms)) == [("spike", 100), ("recovery", 115)]
    norms[100:, 1] = 1e4
    assert kinds(steps_of(norms))[0] == ("spike", 100)
    assert len(kinds(steps_of(norms))) <= 2


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_nonfinite_norms_are_reported_once(value: float, word: str) -> None:
    """The alarm names the first layer; it ends after three finite steps."""
    norms = healthy_norms()
    norms[50:53, 1:], norms[54, 1], norms[70, 2] = value, value, value
    both, last = ("layer1", "layer2"), ("layer2",)
    again = "finite again: layer"

    assert detect(steps_of(norms)) == [
        Alarm("nonfinite", 50, f"{word} in layer1 (and 1 more)", both, persists=True),
        Alarm("recovery", 57, f"{again}1 (and 1 more)", both, resolves="nonfinite"),
        Alarm("nonfinite", 70, f"{word} in layer2", last, persists=True),
        Alarm("recovery", 73, f"{again}2", last, resolves="nonfinite"),
    ]


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([0, 1, 2], "NaN from layer2 down to layer0"),
        ([1, 2], "NaN from layer2 down to layer1"),
        ([0, 2, 4], "NaN from layer4 down to layer0"),
        ([0, 4], "NaN in layer4 (and 1 more)"),
        ([1], "NaN in layer1"),
    ],
)
def test_nan_runs_backwards(layers: list[int], text: str) -> None:
    """In the order of a model, NaN began in the last layer of a row.

    Layer 1 has no gradient in the third case, so it interrupts no row.
    """
    norms: list[list[float | None]] = healthy_norms(60, 5).tolist()
    for layer in layers:
        norms[50][layer] = np.nan
    if layers == [0, 2, 4]:
        norms[50][1] = norms[50][3] = None
    steps = [*make_run(norms).steps]
    names = [f"layer{k}" for k in layers]
    origin_first, more = (names[-1], *names[:-1]), len(names) - 1
    unknown = f"NaN in {names[0]}" + (f" (and {more} more)" if more else "")

    assert detect(steps, ordered=True)[0] == Alarm(
        "nonfinite", 50, text, origin_first, persists=True
    )
    assert detect(steps)[0] == Alarm("nonfinite", 50, unknown, (*names,), persists=True)


def test_a_layer_that_joins_the_others_is_in_the_recovery() -> None:
    """The alarm holds, so a second layer raises none, but it is finite again, too."""
    norms = np.ones((60, 3))
    norms[50, 0] = norms[51, 2] = np.nan

    assert detect(steps_of(norms)) == [
        Alarm("nonfinite", 50, "NaN in layer0", ("layer0",), persists=True),
        Alarm(
            "recovery",
            54,
            "finite again: layer0 (and 1 more)",
            ("layer0", "layer2"),
            resolves="nonfinite",
        ),
    ]


def test_infinity_in_the_layer_where_it_began_is_named() -> None:
    """The backward pass makes NaN of the infinity of a later layer."""
    norms = np.ones((60, 3))
    norms[50] = [1, np.nan, np.inf]
    text = "infinity from layer2 down to layer1"
    found = detect(steps_of(norms), ordered=True)

    assert found[0] == Alarm("nonfinite", 50, text, ("layer2", "layer1"), persists=True)


def test_clipping_that_spreads_nan_does_not_hide_its_layer() -> None:
    """The alarm names only the layer that was NaN before clipping."""
    raw = np.array([1, 2, np.nan], np.float32)
    nan = np.full(3, np.nan, np.float32)
    steps = change(steps_of(healthy_norms()), 50, norms=nan, raw=raw)

    assert detect(steps)[0].text == "NaN in layer2"


@pytest.mark.parametrize("symptom", ["zero", "absent"])
def test_a_dead_layer_is_reported_at_the_third_step(symptom: str) -> None:
    """After a recovery, the same layer must be dead for more than twice as long."""
    norms: list[list[float | None]] = healthy_norms(200).tolist()
    for step in [*range(50, 60), *range(100, 120), *range(140, 190)]:
        norms[step][1] = 0.0 if symptom == "zero" else None
    text = "gradient 0" if symptom == "zero" else "without gradient"
    dead = f"dead layer: layer1, {text}"
    again = ("recovery", "gradient again in layer1", False, "dead")

    found = detect([*make_run(norms).steps])
    assert {alarm.layers for alarm in found} == {("layer1",)}
    assert [(a.step, a.kind, a.text, a.persists, a.resolves) for a in found] == [
        (52, "dead", dead, True, ""),
        (60, *again),
        (180, "dead", dead, True, ""),
        (190, *again),
    ]


def test_layers_that_die_together_are_one_alarm() -> None:
    """The first is named, and the recovery is that of each."""
    norms = np.ones((80, 4))
    norms[50:60, 1], norms[50:55, 3] = 0, 0
    both, again = ("layer1", "layer3"), "gradient again in layer"

    assert detect(steps_of(norms)) == [
        Alarm(
            "dead", 52, "dead layer: layer1, gradient 0 (and 1 more)", both, persists=True
        ),
        Alarm("recovery", 55, f"{again}3", ("layer3",), resolves="dead"),
        Alarm("recovery", 60, f"{again}1", ("layer1",), resolves="dead"),
    ]


def test_a_layer_that_is_zero_from_the_first_step_is_dead() -> None:
    """It is reported after 16 steps; a layer without any gradient is not."""
    norms: list[list[float | None]] = healthy_norms(40, 8).tolist()
    for row in norms:
        row[0], row[2] = None, 0.0

    assert detect([*make_run(norms).steps]) == [
        Alarm("dead", 15, "dead layer: layer2, gradient 0", ("layer2",), persists=True)
    ]


@pytest.mark.parametrize(
    ("life", "earlier", "dead_steps", "step"),
    [
        (69, [], 2, 70),  # (1/71)^2 is below 2e-4, and (1/70)^2 is not
        (68, [], 2, 70),
        (4999, [], 1, 4999),  # 1/5001 is below 2e-4, and 1/5000 is not
        (4998, [], 1, 4999),
        (199, [60], 3, 201),  # (2/201)^3 is below 1e-6, and (2/200)^3 is not
        (198, [60], 3, 201),
        (900, [60, 61], 3, 904),  # more than twice as long as two
        (900, [60, 62], 3, 902),
        (18, [3, 7, 11], 3, 33),  # 15 gradients are a short life
        (19, [3, 7, 11], 3, 27),  # (4/21)^9 is below 1e-6
        (30, [], 20, 49),
        (10, [], 20, 29),
        (10, [], 16, 25),
        (10, [], 1, 25),
    ],
)
def test_a_death_is_less_probable_than_zeros_by_design(
    life: int, earlier: list[int], dead_steps: int, step: int
) -> None:
    """The share of zeros before says how probable a streak of zeros is.

    The limit is 2e-4 for the first streak, and 1e-6 after others. A streak is also longer
    than twice the longest before, and than 16 steps in a short life.
    """
    norms = np.ones((life + 30, 3))
    norms[[*earlier, *range(life, life + 30)], 1] = 0
    found = detect(steps_of(norms), replace(LIMITS, dead_steps=dead_steps))
    dead = Alarm("dead", step, "dead layer: layer1, gradient 0", ("layer1",), persists=True)

    assert [alarm for alarm in found if alarm.step >= life] == [dead]


@pytest.mark.parametrize(("layers", "step"), [(3, 21), (4, 15)])
def test_zeros_of_all_layers_explain_those_of_a_short_life(layers: int, step: int) -> None:
    """Two layers that are 0 from the first step on are dead at the 16th of them.

    Where they are two of three layers, zeros are less unusual: at the 22nd.
    """
    norms = np.ones((60, layers))
    norms[:, :2] = 0
    text = "dead layer: layer0, gradient 0 (and 1 more)"

    assert detect(steps_of(norms)) == [
        Alarm("dead", step, text, ("layer0", "layer1"), persists=True)
    ]


@pytest.mark.parametrize("norm", [0.0, None])
@pytest.mark.parametrize(("life", "steps"), [(1, 16), (10, 16), (15, 16), (16, 3)])
def test_a_layer_that_dies_early_is_reported_at_the_sixteenth_step(
    life: int, steps: int, norm: float | None
) -> None:
    """A layer that had gradients for under 16 steps must be dead for 16."""
    norms: list[list[float | None]] = healthy_norms(100).tolist()
    for row in norms[life:]:
        row[1] = norm

    assert kinds([*make_run(norms).steps]) == [("dead", life + steps - 1)]


def test_alternating_layers_are_not_dead() -> None:
    """The two halves of a GAN train in turn, five steps each."""
    norms: list[list[float | None]] = healthy_norms(100, 2).tolist()
    for step, row in enumerate(norms):
        row[step // 5 % 2] = None

    assert not detect([*make_run(norms).steps])


def test_vanishing_is_relative_to_the_largest_norm() -> None:
    """Under a millionth of it for 20 steps is an alarm; a fall of all layers is none."""
    norms, falling = np.ones((100, 4)), healthy_norms()
    norms[:, 3] = 1e6
    norms[40:60, [1, 2]], norms[40:59, 0] = 0.99, 0.99
    falling *= np.geomspace(1, 1e-12, 100)[:, None]
    names = ("layer1", "layer2")

    assert detect(steps_of(norms)) == [
        Alarm(
            "vanishing",
            59,
            "vanishing gradient in layer1, 1e-06 of the largest (and 1 more)",
            names,
            persists=True,
        ),
        Alarm(
            "recovery",
            62,
            "no longer vanishing: layer1 (and 1 more)",
            names,
            resolves="vanishing",
        ),
    ]
    norms[40:60] = [1.01, 1.01, 1.01, 1e6]
    assert not detect(steps_of(norms))
    assert not detect(steps_of(falling))


def test_a_norm_that_is_not_finite_is_not_the_largest() -> None:
    """Neither does infinity make other layers small, nor does NaN hide one that is."""
    norms = np.ones((100, 3))
    norms[40:, 0] = 3e-8
    norms[45, 1], norms[50:90, 1] = np.nan, np.inf
    text = "vanishing gradient in layer0, 3e-08 of the largest"

    assert [alarm for alarm in detect(steps_of(norms)) if alarm.kind == "vanishing"] == [
        Alarm("vanishing", 59, text, ("layer0",), persists=True)
    ]


@pytest.mark.parametrize(("begin", "alarm"), [(0, 99), (31, 130), (32, 51)])
def test_a_layer_that_is_small_from_the_beginning_has_five_times_as_long(
    begin: int, alarm: int
) -> None:
    """Layers of attention have tiny gradients during a warm-up."""
    norms = healthy_norms(150)
    norms[begin:, 0] *= 1e-8

    assert kinds(steps_of(norms)) == [("vanishing", alarm)]


def test_an_interrupted_streak_of_small_norms_begins_again() -> None:
    """Twice 19 small norms with one larger norm between them are no alarm."""
    norms = np.ones((100, 2))
    norms[40:79, 0] = 5e-7
    norms[59, 0] = 2e-6

    assert "vanishing" not in dict(kinds(steps_of(norms)))
    norms[59, 0] = 5e-7
    assert ("vanishing", 59) in kinds(steps_of(norms))


def test_a_vanished_layer_recovers_after_three_steps() -> None:
    """A flickering norm is one alarm; a norm of 0 or a nonfinite one is no recovery."""
    norms = np.ones((150, 2))
    norms[40:100, 0] = 5e-7
    norms[65:90:2, 0] = 1.5e-6
    rising, dying = norms.copy(), norms.copy()
    rising[100:, 0], dying[100:, 0] = 1.5e-6, 0.0

    alarms = detect(steps_of(norms))
    alarms = [alarm for alarm in alarms if "spike" not in (alarm.kind, alarm.resolves)]
    assert [(alarm.kind, alarm.step, alarm.resolves) for alarm in alarms] == [
        ("vanishing", 59, ""),
        ("recovery", 102, "vanishing"),
    ]
    assert kinds(steps_of(rising)) == [("vanishing", 59), ("recovery", 102)]
    assert kinds(steps_of(dying)) == [("vanishing", 59), ("dead", 102)]


def test_faults_persist_until_a_recovery_but_spikes_do_not() -> None:
    """A recovery has the kind that it resolves; a spike that stays becomes usual."""
    norms = healthy_norms(200)
    norms[40, 0], norms[60, 1], norms[80:90, 2] = 3000, np.nan, 0
    norms[100:130, 0] *= 1e-9
    alarms = detect(steps_of(norms))

    assert {(alarm.kind, alarm.persists, alarm.resolves) for alarm in alarms} == {
        ("spike", False, ""),
        ("nonfinite", True, ""),
        ("recovery", False, "nonfinite"),
        ("dead", True, ""),
        ("recovery", False, "dead"),
        ("vanishing", True, ""),
        ("recovery", False, "vanishing"),
    }
