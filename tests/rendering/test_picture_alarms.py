"""Alarms and what was not applied in a picture: lanes, sentences, marks."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.pictures import draw, every, lane, line, tick_texts, with_values
from helpers.runs import make_run

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.cli.info_lines import to_lines
from gradsound.runs.model import Run
from gradsound.runs.step_block import make_block
from gradsound.summary.alarm_lines import alarm_lines
from gradsound.summary.description import describe_faults


def throw_away(run: Run, *numbers: int, discarded: bool = True) -> Run:
    """Returns a run in which some steps changed no weight."""
    steps = [
        replace(step, skipped=True, discarded=discarded) if step.number in numbers else step
        for step in run.steps
    ]
    return replace(run, steps=steps)


def test_every_alarm_is_marked_with_its_kind() -> None:
    """Each kind of alarm has a lane, each alarm a mark at its step, and all have a text."""
    rng = np.random.default_rng(7)
    norms = np.exp(rng.normal(0, 0.1, (300, 2)))
    norms[[60, 120, 200], 0] = 300.0, 3e4, 3e6
    norms[240:243, 1] = np.nan
    run = every(make_run(norms.tolist()), 10)
    detector = RunDetector(run.header, gradsound.PRESETS["notes"].thresholds)
    alarms = [
        alarm for found in detector.detect(make_block([*run.steps])) for alarm in found
    ]
    picture = draw(run)
    (axes,) = picture.norms
    labels = tick_texts(axes)

    assert {alarm.kind for alarm in alarms} >= {"spike", "nonfinite", "recovery"}
    for kind in {alarm.kind for alarm in alarms}:
        steps = [alarm.step for alarm in alarms if alarm.kind == kind]
        label = kind if len(steps) == 1 else f"{kind} {len(steps)}"
        assert sorted(lane(axes, label)) == sorted({*steps}), kind
        top = axes.get_ylim()[1]
        assert axes.get_yticks()[labels.index(label)] < top
    for alarm in alarms:
        assert alarm.resolves or f"step {alarm.step:,}: {alarm.text}" in picture.header


def test_sentences_are_those_of_info() -> None:
    """A picture says of its alarms and observations what `gradsound info` says."""
    rng = np.random.default_rng(7)
    norms = np.exp(rng.normal(0, 0.1, (400, 1)))
    norms[60:380:20, 0] = 300 * 1.4 ** np.arange(16)
    norms[395:] = np.nan
    run = make_run(norms.tolist())
    header = draw(run).header.splitlines()
    lines = [" ".join(text.split()) for text in to_lines(run, gradsound.summarize(run))]
    begin = next(k for k, text in enumerate(lines) if text.startswith("alarms: "))
    alarms = [text for text in lines[begin + 1 :] if text.split()[0].isdigit()]
    observed = [text for text in lines if text.startswith("observed at step")]

    assert alarms
    assert observed
    # Info has a column for the kind, too.
    found = [f"step {one.split()[0]}: {one.split(maxsplit=2)[2]}" for one in alarms]
    assert header[-len(found + observed) :] == found + observed


def test_many_alarms_have_few_sentences() -> None:
    """A picture has sixteen sentences on a run, and says how many more there are."""
    norms = np.exp(np.random.default_rng(7).normal(0, 0.1, (900, 3)))
    for k in range(10):
        begin = 60 + 80 * k
        norms[begin, 0] = 300 * 4.0**k
        norms[begin + 20 : begin + 23, 1] = np.nan
        norms[begin + 40 : begin + 45, 2] = 0.0
    losses = [9.0 if k % 80 in range(60, 70) else 1.0 + k % 3 / 9 for k in range(900)]
    run = with_values(make_run(norms.tolist()), [{"loss": loss} for loss in losses])
    run = throw_away(run, *range(110, 900, 80))
    pitch, *sentences, rest = draw(run).header.splitlines()[1:]
    lines = [*describe_faults(summary := gradsound.summarize(run))]
    lines += [*alarm_lines(summary.alarms), *summary.observations]

    assert pitch.startswith("pitch")
    assert len(sentences) == 16
    assert rest == f"... and {len(lines) - 16} more"


def test_a_picture_detects_alarms_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of each run passes one detector, once."""
    detected: list[int] = []
    detect = RunDetector.detect

    def count(self: RunDetector, steps):
        detected.extend(step.number for step in steps)
        return detect(self, steps)

    monkeypatch.setattr(RunDetector, "detect", count)
    draw(make_run([[1.0]] * 40), replace(make_run([[1.0]] * 30), name="other"))

    assert detected == [*range(40), *range(30)]


def test_the_alarms_are_those_of_the_preset() -> None:
    """Lanes and sentences follow the thresholds of the preset, as the sound does."""
    run = make_run([[1.0, 1.0]] * 40 + [[1.0, 0.0]] * 20)
    patient = Thresholds(dead_steps=50)
    preset = replace(gradsound.PRESETS["notes"], thresholds=patient)
    usual, calm = draw(run), draw(run, preset=preset)

    assert "dead" in tick_texts(usual.norms[0])
    assert "dead" not in tick_texts(calm.norms[0])
    assert "dead layer" in usual.header
    assert "no alarm" in calm.header


@pytest.mark.parametrize("discarded", [True, False])
def test_norms_that_were_not_applied_are_no_part_of_the_line(discarded: bool) -> None:
    """Norms of steps that changed no weight are marks of their own, named in the legend."""
    rows = [[1.0, 2.0], [1.5, 900.0], [1.0, 2.5], [700.0, 2.0]]
    picture = draw(throw_away(make_run(rows), 1, 3, discarded=discarded))
    (axes,) = picture.norms
    first, second = (line(axes, f"layer{k}").get_ydata() for k in (0, 1))
    marks = [one for one in axes.lines if one.get_marker() == "X"]

    np.testing.assert_allclose(first, [1.0, np.nan, 1.0, np.nan])
    np.testing.assert_allclose(second, [2.0, np.nan, 2.5, np.nan])
    np.testing.assert_allclose(marks[0].get_ydata(), [np.nan, 1.5, np.nan, 700.0])
    np.testing.assert_allclose(marks[1].get_data(), [range(4), [np.nan, 900, np.nan, 2]])
    assert {one.get_linestyle() for one in marks} == {"None"}
    assert picture.legend().count("not applied") == 1
    assert axes.get_ylim()[1] > 900


def test_a_run_that_applied_all_has_no_such_mark() -> None:
    """Without thrown away gradients, the legend does not explain their mark."""
    assert "not applied" not in draw(make_run([[1.0]] * 4)).legend()


def test_many_norms_that_were_not_applied() -> None:
    """Among 10,000 steps the highest of a group is marked, and the line stays usual."""
    norms = np.ones((10_000, 1))
    norms[4_000::500] = 300.0
    run = throw_away(make_run(norms.tolist()), *range(4_000, 10_000, 500))
    (axes,) = draw(run).norms
    marks = next(one for one in axes.lines if one.get_marker() == "X")
    steps = marks.get_xdata()[np.isfinite(marks.get_ydata())]

    assert list(steps) == [*range(4_000, 10_000, 500)]
    lines = [one for one in axes.lines if one.get_marker() == "."]
    assert all(np.nanmax(one.get_ydata()) == 1 for one in lines)


def test_the_marks_of_two_runs_name_their_run() -> None:
    """In a panel of two runs, the legend says whose gradients were thrown away."""
    run = throw_away(make_run([[1.0], [90.0], [1.0]]), 1)
    legend = draw(run, replace(make_run([[1.0]] * 3), name="other")).legend()

    assert "made: not applied" in legend
    assert "other: not applied" not in legend


def test_norms_before_clipping_are_drawn() -> None:
    """Where clipping made a norm smaller, the larger one is drawn, too."""
    run = make_run([[1.0], [1.0], [0.5]])
    raws = [np.array([raw], np.float32) for raw in (1.0, 40.0, 0.5)]
    steps = [replace(step, raw=raw) for step, raw in zip(run.steps, raws)]
    picture = draw(replace(run, steps=steps))
    before = line(picture.norms[0], "before clipping")

    np.testing.assert_allclose(before.get_ydata(), [np.nan, 40.0, np.nan])
    assert picture.norms[0].get_ylim()[1] > 40
    assert "made smaller by clipping: 1 of 3 steps" in picture.header


def test_clipping_of_a_later_band_is_in_the_legend() -> None:
    """The legend explains the mark also if clipping changed the second band only."""
    run = make_run([[1.0, 1.0], [1.0, 0.5]])
    steps = [
        replace(step, raw=np.array([1.0, raw], np.float32))
        for step, raw in zip(run.steps, (1.0, 40.0))
    ]

    assert "before clipping" in draw(replace(run, steps=steps)).legend()
