"""Presets are plain data: a user can copy, change, speed up and store them."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import compose_run

from gradsound import PRESETS, Preset
from gradsound.music.preset_json import from_data, to_data
from gradsound.music.presets import at_speed, find_preset

EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


@EACH
@pytest.mark.parametrize("speed", [1 / 3, 1.0, 7 / 3])
def test_speed_divides_only_durations(preset: Preset, speed: float) -> None:
    """Pitches and the order of notes stay."""
    run = make_run([[1 / 3, 2 / 3]])
    slow, fast = compose_run(run, preset), compose_run(run, at_speed(preset, speed))

    np.testing.assert_allclose(fast.durations * speed, slow.durations, rtol=1e-12)
    np.testing.assert_array_equal(fast.notes["hertz"], slow.notes["hertz"])


@EACH
@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_impossible_speeds_are_refused(preset: Preset, speed: float) -> None:
    """The message has the range and the value."""
    with pytest.raises(ValueError, match=r"speed must be 0.\d+ to \d+ with preset .*, got"):
        at_speed(preset, speed)


@EACH
def test_json_data_give_the_same_preset(preset: Preset) -> None:
    """`from_data` inverts `to_data`."""
    assert from_data(to_data(preset)) == preset


def test_a_changed_copy_leaves_the_original() -> None:
    """`find_preset` returns the copy as it is."""
    own = replace(PRESETS["notes"], name="slow", rest_seconds=1.0)

    assert find_preset(own) is own
    assert find_preset("notes").rest_seconds != 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voice": "sinus"}, "no voice 'sinus'; did you mean 'sine'"),
        ({"note_seconds": 0.0}, "note_seconds must be 0.001 to 2.0 s, got 0.0"),
        ({"rest_seconds": -0.1}, "rest_seconds must be 0 to 2.0 s, got -0.1"),
        ({"fade_seconds": 0.05}, "fade_seconds must be 0 to half the note"),
        ({"level": 0.3}, "level must be above 0 and at most 0.2 with equal loudness, got"),
        ({"level": 0.9, "equal_loudness": False}, "0.75 without equal loudness, got 0.9"),
        ({"level": float("nan")}, "got nan"),
        ({"spread": -0.5}, "spread must be 0 to 1, got -0.5"),
        ({"texture": "chords"}, "no texture 'chords'; did you mean 'chord'"),
        ({"voice": ()}, "voice must be one or several, got none"),
        ({"voice": ("sine", "sinus")}, "no voice 'sinus'; did you mean 'sine'"),
        ({"register": 25.0}, "register must be -24 to 24 semitones, got 25.0"),
        ({"baseline": "median"}, "baseline must be fixed, running or ranks, got 'median'"),
        ({"bands": "depth"}, "bands must be 'auto', 'layers' or globs by name"),
        ({"alarms": 2.0}, "alarms must be 0 to 0.5, got 2.0"),
    ],
)
def test_invalid_presets_are_refused(change: dict[str, object], message: str) -> None:
    """The message has the field, its range and the value."""
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["notes"], **change)


def test_no_preset_is_refused() -> None:
    """The message has the value that is neither a name nor a preset."""
    with pytest.raises(TypeError, match="preset must be a name or a Preset, got None"):
        find_preset(None)


def test_an_unknown_preset_is_refused() -> None:
    """The message suggests the nearest name."""
    with pytest.raises(ValueError, match="no preset 'note'; did you mean 'notes'"):
        find_preset("note")
