"""The norm detector reports each fault of a layer once, and none in a healthy run."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.alarms import change, detect, healthy_norms, kinds, steps_of
from helpers.runs import make_run


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


def test_a_spike_is_reported_at_its_step() -> None:
    """The alarm has the size of the spike, and names the layer with the largest one."""
    norms = healthy_norms()
    norms[60] = [1, 300, 3000]
    (alarm,) = detect(steps_of(norms))

    assert (alarm.kind, alarm.step) == ("spike", 60)
    assert alarm.text.startswith("spike in layer2, ")
    assert alarm.text.endswith(" x its median (and 1 more)")


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


@pytest.mark.parametrize(("steps", "alarms"), [(10, 1), (11, 2)])
def test_only_a_long_spike_has_a_recovery(steps: int, alarms: int) -> None:
    """The end of a spike of up to ten steps is no news."""
    norms = np.ones((60, 1))
    norms[40 : 40 + steps] = 100
    expected = [("spike", 40), ("recovery", 40 + steps)]

    assert kinds(steps_of(norms)) == expected[:alarms]


@pytest.mark.parametrize(("norm", "alarms"), [(2.0, 1), (3.0, 0)])
def test_a_spike_ends_halfway_back(norm: float, alarms: int) -> None:
    """A norm that falls below the square root of the ratio ends the spike of its layer.

    Between two leaps, 2 times the median ends the first spike, and 3 times does not.
    """
    norms = np.ones((60, 1))
    norms[[40, 42], 0], norms[41, 0] = 100, norm

    assert kinds(steps_of(norms)) == [("spike", 40), ("spike", 42)][: 1 + alarms]


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_nonfinite_norms_are_reported_once(value: float, word: str) -> None:
    """The alarm names the first layer; it ends after three finite steps."""
    norms = healthy_norms()
    norms[50:55, 1:] = value
    first, second = detect(steps_of(norms))

    assert (first.kind, first.step) == ("nonfinite", 50)
    assert first.text == f"{word} in layer1 (and 1 more)"
    assert (second.kind, second.step) == ("recovery", 57)


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
    known, unknown = detect(steps, ordered=True)[0], detect(steps)[0]

    assert known.text == text
    assert known.layers[0] == f"layer{layers[-1]}"
    assert unknown.text.startswith(f"NaN in layer{layers[0]}")


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
    alarms = detect([*make_run(norms).steps])

    assert [(alarm.kind, alarm.step) for alarm in alarms] == [
        ("dead", 52),
        ("recovery", 60),
        ("dead", 180),
        ("recovery", 190),
    ]
    text = "gradient 0" if symptom == "zero" else "without gradient"
    assert alarms[0].text == f"dead layer: layer1, {text}"


def test_a_layer_that_is_zero_from_the_first_step_is_dead() -> None:
    """It is reported after 16 steps; a layer without any gradient is not."""
    norms: list[list[float | None]] = healthy_norms(40, 8).tolist()
    for row in norms:
        row[0], row[2] = None, 0.0

    assert kinds([*make_run(norms).steps]) == [("dead", 15)]


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
    norms = healthy_norms()
    norms[40:, 0] *= 1e-8
    falling = healthy_norms() * np.geomspace(1, 1e-12, 100)[:, None]

    assert kinds(steps_of(norms)) == [("vanishing", 59)]
    assert not detect(steps_of(falling))


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
