"""Texts of a picture: broken lines, shortened names, ticks; and the lanes of alarms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gradsound.alarms.thresholds import KINDS, Alarm
from gradsound.rendering.alarm_lanes import AlarmLanes
from gradsound.rendering.axis_ticks import format_hertz, format_tick, log_ticks
from gradsound.rendering.text_fitting import break_lines, shorten_middle, text_width

LETTERS = st.text("aW.i_ ", min_size=1, max_size=200)


@given(LETTERS, st.floats(30, 300))
def test_lines_fit(text: str, width: float) -> None:
    """No line is wider than asked for, and only a cut text ends in an ellipsis."""
    lines = break_lines(text, width, 9.0, lines_max=2)

    assert len(lines) <= 2
    assert all(text_width(one, 9.0) <= width for one in lines)
    if not (lines and lines[-1].endswith("…")):
        assert "".join(lines).replace(" ", "") == "".join(text.split())


@given(LETTERS, st.floats(30, 300))
def test_names_keep_both_ends(text: str, width: float) -> None:
    """A name fits; a shortened one has its first and its last letters."""
    name = " ".join(text.split())
    short = shorten_middle(text, width, 8.0)

    assert text_width(short, 8.0) <= width
    if short != name:
        begin, end = short.split("…")
        assert name.startswith(begin)
        assert name.endswith(end)


@given(st.floats(-35, 35), st.floats(0.1, 60))
def test_ticks_are_round_and_few(low: float, decades: float) -> None:
    """A logarithmic axis has two to nine ticks, all on it, with different texts."""
    ends = 10.0**low, 10.0 ** (low + decades)
    ticks = log_ticks(*ends)

    assert 1 <= len(ticks) <= 9
    assert ticks == sorted(ticks)
    assert ends[0] * (1 - 1e-9) <= ticks[0] <= ticks[-1] <= ends[1] * (1 + 1e-9)
    assert len({format_tick(tick) for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (0.05, "0.05"), (1.25, "1.25"), (1e4, "10,000"), (2e-5, "2e-5")],
)
def test_ticks_are_short(number: float, text: str) -> None:
    """Numbers are written as people write them."""
    assert format_tick(number) == text


def test_pitches_are_short() -> None:
    """Pitches have three digits or whole Hz."""
    assert [format_hertz(one) for one in (61.73, 261.63, 2637.02)] == [
        *("61.7", "262", "2,637")
    ]


def test_all_kinds_have_lanes_in_order_of_urgency() -> None:
    """The lanes follow the order of the kinds; a new kind has a lane as well."""
    kinds = ("novel", *reversed(KINDS))
    lanes = AlarmLanes([Alarm(kind, 3, kind) for kind in kinds], 9)
    axes = Figure().subplots()

    assert lanes.kinds() == [*KINDS, "novel"]
    for height, kind in enumerate(lanes.kinds()):
        lanes.draw(axes, kind, float(height), "red")
        assert list(axes.lines[-1].get_xdata()) == [3]


def test_a_bar_lasts_until_all_layers_have_recovered() -> None:
    """A persisting alarm has a bar up to its recovery, or to the last step of the run."""
    alarms = [
        Alarm("dead", 2, "a", ("x", "y"), persists=True),
        Alarm("recovery", 4, "b", ("x",), resolves="dead"),
        Alarm("recovery", 6, "c", ("y",), resolves="dead"),
        Alarm("dead", 8, "d", ("x",), persists=True),
    ]
    axes = Figure().subplots()
    AlarmLanes(alarms, 9).draw(axes, "dead", 1.0, "red")
    bars = [list(one.get_xdata()) for one in axes.lines[:-1]]

    assert bars == [[2, 6], [8, 9]]
