"""The alarms of a step: one layer is named and the others are counted."""

from __future__ import annotations

import numpy as np
import pytest

from gradsound.alarms.step_report import StepReport
from gradsound.alarms.thresholds import Alarm

ONE, TWO = np.array([False, True, False]), np.array([False, True, True])


def make_report() -> StepReport:
    """Returns the report of step 7 of a model with three layers."""
    return StepReport([], 7, ["embed", "body", "head"])


def test_an_alarm_names_one_layer_and_counts_the_others() -> None:
    """It is the first affected layer or the given one, and it comes first in the alarm."""
    report = make_report()
    report.add("spike", "spike in", ONE)
    report.add("spike", "spike in", TWO, detail=", 9 x")
    report.add("often", "spikes in", TWO, 2, ", 9 x")
    report.add("recovery", "usual again:", TWO, resolves="spike")

    assert report.alarms == [
        Alarm("spike", 7, "spike in body", ("body",)),
        Alarm("spike", 7, "spike in body, 9 x (and 1 more)", ("body", "head")),
        Alarm("often", 7, "spikes in head, 9 x (and 1 more)", ("head", "body")),
        Alarm(
            "recovery",
            7,
            "usual again: body (and 1 more)",
            ("body", "head"),
            False,
            "spike",
        ),
    ]


def test_an_alarm_may_have_a_text_of_its_own() -> None:
    """That of layers has their names, that of the whole model has none."""
    report = make_report()
    report.add_text("nonfinite", "NaN from head down to body", TWO, 2)
    report.add_text("recovery", "finite", TWO, 1, "nonfinite")
    report.add_whole("drift", "the norm has drifted")
    report.add_whole("recovery", "the norm is usual again", resolves="rise")
    report.add_recovery("dead", "gradient again in", ONE)

    assert report.alarms == [
        Alarm(
            "nonfinite", 7, "NaN from head down to body", ("head", "body"), persists=True
        ),
        Alarm("recovery", 7, "finite", ("body", "head"), resolves="nonfinite"),
        Alarm("drift", 7, "the norm has drifted"),
        Alarm("recovery", 7, "the norm is usual again", resolves="rise"),
        Alarm("recovery", 7, "gradient again in body", ("body",), resolves="dead"),
    ]


@pytest.mark.parametrize(
    ("kind", "persists"),
    [
        *((kind, True) for kind in ("nonfinite", "vanishing", "dead", "rise")),
        *((kind, False) for kind in ("spike", "recovery", "often", "drift")),
    ],
)
def test_a_spike_does_not_persist(kind: str, persists: bool) -> None:
    """The running median follows it; the other faults last until they are resolved."""
    report = make_report()
    report.add(kind, "in", ONE)
    report.add_text(kind, "in body", ONE, 1)
    report.add_whole(kind, "in all")

    assert [alarm.persists for alarm in report.alarms] == [persists] * 3
