"""Lines about alarms: grouped by kind, with their recovery."""

from __future__ import annotations

import pytest

from gradsound.alarms.thresholds import Alarm
from gradsound.summary.alarm_lines import alarm_lines, count_alarms


def spike(step: int, layer: str = "a") -> Alarm:
    """Returns a spike of a layer."""
    return Alarm("spike", step, f"spike in {layer}", (layer,))


def lines_of(alarms: list[Alarm], listed: int | None = 3) -> list[str]:
    """Returns the lines as text."""
    return [str(line) for line in alarm_lines(alarms, listed)]


def test_fifty_spikes_are_four_lines() -> None:
    """Three have a line, and one line counts the rest; other kinds keep their place."""
    alarms = [spike(10 * k) for k in range(50)]
    alarms.insert(40, Alarm("dead", 395, "dead layer: b", ("b",), persists=True))

    assert lines_of(alarms) == [
        "step 0: spike in a",
        "step 10: spike in a",
        "step 20: spike in a",
        "step 30: 47 more of kind spike, the last at step 490",
        "step 395: dead layer: b, not over at the end",
    ]
    assert len(lines_of(alarms, None)) == 51
    assert count_alarms(alarms) == "50 spike, 1 dead"


def test_a_single_further_alarm_has_its_line() -> None:
    """A line that counts one alarm would say less than the alarm."""
    assert lines_of([spike(k) for k in range(4)])[-1] == "step 3: spike in a"


def test_a_recovery_is_on_the_line_of_its_alarm() -> None:
    """It ends all open alarms of its kind and layer; it is neither counted nor a line."""
    alarms = [
        Alarm("nonfinite", 1, "NaN in a", ("a",), persists=True),
        Alarm("plateau", 5, "plateau", persists=True),
        Alarm("recovery", 9, "finite again: a", ("a",), resolves="nonfinite"),
        Alarm("nonfinite", 12, "NaN in a", ("a",), persists=True),
        Alarm("recovery", 1000, "the loss falls", resolves="plateau"),
    ]

    assert lines_of(alarms) == [
        "step 1: NaN in a, over at step 9",
        "step 5: plateau, over at step 1,000",
        "step 12: NaN in a, not over at the end",
    ]
    assert count_alarms(alarms) == "2 nonfinite, 1 plateau"


def test_a_recovery_of_some_layers_has_its_own_line() -> None:
    """The alarm is over when its last layer has recovered, and lasts before in some."""
    alarms = [
        Alarm("dead", 1, "dead layer: a (and 1 more)", ("a", "b"), persists=True),
        Alarm("recovery", 4, "gradient again in b", ("b",), resolves="dead"),
        Alarm("recovery", 7, "gradient again in a", ("a",), resolves="dead"),
    ]

    assert lines_of(alarms) == [
        "step 1: dead layer: a (and b), over at step 7",
        "step 4: gradient again in b",
    ]
    assert lines_of(alarms[:2])[0] == "step 1: dead layer: a (and b)"


@pytest.mark.parametrize(
    ("names", "text", "line"),
    [
        ("ab", "spike in a, 9 x its median (and 1 more)", "9 x its median (and b)"),
        ("abcde", "NaN in a (and 4 more)", "NaN in a (and b, c, d, e)"),
        ("fabcdeg", "NaN in f (and 6 more)", "NaN in f (and 6 more, a to g)"),
        ("ab", "not finite in a (and 1 more), scale 2", "finite in a (and b), scale 2"),
        ("a", "spike in a (and 1 more)", "spike in a (and 1 more)"),
        ("ab", "NaN from b down to a", "NaN from b down to a"),
        ("", "the loss is NaN", "the loss is NaN"),
    ],
)
def test_counted_layers_are_named(names: str, text: str, line: str) -> None:
    """The names take the place of their number; of many, the first and the last."""
    (only,) = lines_of([Alarm("skipped", 3, text, (*names,))])
    assert only.endswith(f" {line}")
    assert only.startswith("step 3: ")


def test_an_alarm_that_does_not_last_has_no_end() -> None:
    """A spike is over at once, whether or not the run goes on."""
    assert lines_of([spike(1)]) == ["step 1: spike in a"]


def test_a_recovery_ends_only_alarms_of_its_layers() -> None:
    """The alarm of another layer goes on."""
    alarms = [
        Alarm("dead", 1, "dead layer: a", ("a",), persists=True),
        Alarm("dead", 2, "dead layer: b", ("b",), persists=True),
        Alarm("recovery", 9, "gradient again in b", ("b",), resolves="dead"),
    ]
    assert lines_of(alarms) == [
        "step 1: dead layer: a, not over at the end",
        "step 2: dead layer: b, over at step 9",
    ]
