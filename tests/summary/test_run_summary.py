"""The summary of a run: steps, norms, bands, values and alarms from one reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import detect, healthy_norms, steps_of
from helpers.runs import make_run

from gradsound.runs.model import Run
from gradsound.summary.description import describe, unjudged_kinds
from gradsound.summary.run_summary import Summary, summarize


def describe_long(norms: list[list[float | None]]) -> list[str]:
    """Returns the description of a run that is long enough to judge."""
    return describe(summarize(make_run(norms)))


def with_losses(losses: list[float], layers: int = 1) -> Run:
    """Returns a healthy run with these losses."""
    run = make_run(healthy_norms(len(losses), layers).tolist())
    steps = [replace(s, values={"loss": loss}) for s, loss in zip(run.steps, losses)]
    return replace(run, steps=steps)


def test_norms_of_layers_bands_and_the_model() -> None:
    """The norm of a band and of the model is that of its layers as one vector."""
    run = make_run([[3.0, 4.0, 12.0, 1.0, None]] * 3, ("a", "b", "c", "d", "e"))
    summary = summarize(run)

    assert [layer.typical for layer in summary.layers[:4]] == [3.0, 4.0, 12.0, 1.0]
    assert [(band.name, band.typical) for band in summary.bands] == [
        ("early", 5.0),
        ("middle", pytest.approx(145**0.5)),
        ("late", pytest.approx(np.nan, nan_ok=True)),
    ]
    assert summary.total.typical == pytest.approx(170**0.5)
    assert summary.layers[4].absent == 3


def test_the_alarms_are_those_that_sound() -> None:
    """The summary has the alarms of the detector: one source, whatever the run's length."""
    norms = healthy_norms(700)
    norms[300, 1] *= 3000
    norms[400:, 2] = 0
    norms[600, 0] = np.nan
    norms[500, 0], norms[500, 1] = np.nan, 1e6 * norms[500, 1]  # two alarms of one step
    steps = steps_of(norms)
    run = make_run(norms.tolist())
    summary = summarize(replace(run, steps=iter(steps)))

    assert {"spike", "dead", "nonfinite"} <= {alarm.kind for alarm in summary.alarms}
    assert [*summary.alarms] == detect(steps)
    assert len([alarm for alarm in summary.alarms if alarm.step == 500]) == 2


def test_a_run_is_read_once() -> None:
    """Steps that can be iterated only once, and many chunks, give the same numbers."""
    norms = healthy_norms(1000, 2)
    run = make_run(norms.tolist())
    summary = summarize(replace(run, steps=iter([*run.steps])))

    assert summary.steps == 1000
    expected = np.median(norms.astype(np.float32), axis=0)
    np.testing.assert_allclose([one.typical for one in summary.layers], expected, rtol=1e-6)
    assert [one.lowest_step for one in summary.layers] == np.argmin(norms, axis=0).tolist()
    assert [one.highest_step for one in summary.layers] == np.argmax(norms, axis=0).tolist()


def test_skipped_steps_are_counted_apart() -> None:
    """The norms of a step that the scaler skipped are neither peaks nor NaN."""
    run = make_run([[1.0], [np.inf], [np.nan], [2.0]])
    steps = [replace(step, skipped=bool(step.nonfinite.any())) for step in run.steps]
    summary = summarize(replace(run, steps=steps))

    assert (summary.steps, summary.first_nonfinite) == (4, None)
    assert (summary.total.highest, summary.total.nonfinite) == (2.0, 0)
    assert "skipped by the scaler: 2 steps, from step 1 to 2" in describe(summary)
    assert {alarm.kind for alarm in summary.alarms} == {"skipped"}


def test_discarded_steps_are_counted_apart() -> None:
    """Gradients that the training threw away count neither as skipped nor as norms."""
    run = make_run([[1.0], [900.0], [2.0], [800.0]])
    steps = [
        replace(step, skipped=big, discarded=big)
        for step, big in zip(run.steps, [False, True, False, True])
    ]
    summary = summarize(replace(run, steps=steps))

    assert (summary.skipped, summary.discarded) == (None, (1, 3, 2))
    assert summary.total.highest == 2.0
    assert "thrown away by the training: 2 steps, from step 1 to 3" in describe(summary)


def test_steps_left_out_at_the_end_are_counted() -> None:
    """The run says how many steps the training took, also after the last recorded one."""
    run = make_run([[1.0]] * 5)
    header = replace(run.header, budget=0.25, first_step=2)
    steps = [replace(step, number=step.number + 2) for step in run.steps]
    summary = summarize(replace(run, header=header, steps=steps, total_steps=10))

    assert (summary.left_out, summary.logged.total) == (3, 8)


def test_the_first_step_that_is_not_finite() -> None:
    """NaN in any layer counts, and a layer without gradient does not."""
    summary = summarize(make_run([[1.0, None], [4.0, np.nan], [np.inf, 3.0]]))
    assert summary.first_nonfinite == 1


def test_clipping_is_described() -> None:
    """The summary counts the clipped steps and has the largest factor."""
    run = make_run([[3.0, 4.0, None]] * 3 + [[np.nan, np.nan, None]])
    factors = iter((1.0, 2.5, 1.5, 1.0))
    steps = [replace(step, raw=step.norms * next(factors)) for step in run.steps]
    lines = describe(summarize(replace(run, steps=steps)))

    assert "made smaller by clipping: 2 of 4 steps, 2.5 times at most" in lines
    idle = [replace(step, raw=step.norms) for step in steps[:1]]
    unclipped = describe(summarize(replace(run, steps=idle)))
    assert "made smaller by clipping: 0 of 1 step" in unclipped


def test_nan_of_one_layer_is_distinguished_from_nan_by_clipping() -> None:
    """Clipping by norm makes all layers NaN; the alarm names the layer with a raw NaN."""
    run = make_run([[1.0, 2.0], [np.nan, np.nan]])
    raw = [np.array([1.0, 2.0]), np.array([1.0, np.nan])]
    steps = [replace(step, raw=one) for step, one in zip(run.steps, raw)]

    assert "step 1: NaN in layer1, not over at the end" in describe(
        summarize(replace(run, steps=steps))
    )


def test_steps_left_out_are_counted() -> None:
    """Missing step numbers count as left out only in a run with a budget."""
    run = make_run([[1.0]] * 5)
    steps = [replace(step, number=3 * step.number) for step in run.steps]
    header = replace(run.header, budget=0.25)
    lines = describe(summarize(replace(run, header=header, steps=steps)))

    assert "not measured, to keep to the budget: 8 steps" in lines
    assert summarize(replace(run, steps=steps)).left_out == 0


def test_layers_that_never_had_a_gradient() -> None:
    """One line names them: they are no alarm, because a user may freeze layers."""
    lines = describe_long([[None, 1.0, None]] * 300)
    assert lines == ["without gradient throughout: layer0, layer2", "no alarm"]


def test_a_healthy_run() -> None:
    """A run without alarms has a line that says so."""
    assert describe_long(healthy_norms(300).tolist()) == ["no alarm"]


def test_a_description_is_short() -> None:
    """After 8 lines, a last line counts the others; NaN in many layers is one line."""
    norms = healthy_norms(300, 20)
    norms[50] = np.nan
    for k in range(20):
        norms[60 + 10 * k :, k] = 0.0
    lines = describe_long(norms.tolist())

    assert len(lines) <= 9
    assert lines[0] == "step 50: NaN from layer19 down to layer0, over at step 53"


@pytest.mark.parametrize(
    ("steps", "losses", "kinds"),
    [
        (4, 0, ["spike", "rise"]),
        (6, 6, ["rise", "plateau"]),
        (40, 40, ["plateau"]),
        (300, 40, ["plateau"]),
        (300, 300, []),
    ],
)
def test_short_runs_say_so(steps: int, losses: int, kinds: list[str]) -> None:
    """A run with too few steps or losses says for which alarms, and how many it has."""
    run = make_run(healthy_norms(steps).tolist())
    rows = [
        replace(step, values={"loss": 1 / (1 + k)} if k < losses else {})
        for k, step in enumerate(run.steps)
    ]
    summary = summarize(replace(run, steps=rows))
    (line,) = describe(summary)[:1]

    assert [*unjudged_kinds(summary)] == kinds
    assert line.startswith(f"too short to judge: {steps} steps; ") == bool(kinds)


@pytest.mark.parametrize(("count", "kinds"), [(0, []), (31, ["collapsed"]), (32, [])])
def test_few_numbers_of_experts_say_so(count: int, kinds: list[str]) -> None:
    """A run has no collapse before it has 32 numbers of experts in use, if it has any."""
    run = make_run(healthy_norms(50).tolist())
    steps = [
        replace(step, values={"experts": 4.0} if k < count else {})
        for k, step in enumerate(run.steps)
    ]
    summary = summarize(replace(run, steps=steps))

    assert [*unjudged_kinds(summary)] == kinds
    assert ("not known: collapsed (needs 32)" in describe(summary)[0]) == bool(kinds)


def test_values_of_a_run() -> None:
    """Each value has its range, and the summary has no value that was not logged."""
    summary: Summary = summarize(with_losses([3.0, 1.0, 2.0]))

    assert [*summary.values] == ["loss"]
    loss = summary.values["loss"]
    assert (loss.first, loss.lowest, loss.lowest_step, loss.last) == (3.0, 1.0, 1, 2.0)
