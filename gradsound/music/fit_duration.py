"""Time-lapse: the speed, and the number of merged steps, that fit a run into a duration."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.presets import at_speed
from gradsound.music.run_layout import lay_out_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset

_NOTE_MIN = 0.03  # seconds; a shorter note has hardly a pitch
_STEP_MIN = 1 / 15  # seconds; the ear does not follow faster steps
_END_SECONDS = 0.5 + ALARM_SOUNDS["end"].duration  # of a drone's fade and the end alarm
_DURATION_MIN = 5.0  # seconds; a listener cannot follow a run in less


def fit_duration(
    preset: Preset, runs: Sequence[Sequence[str]], steps: int, seconds: float
) -> tuple[Preset, int]:
    """Returns a faster preset, and how many steps to merge, so that a run fits.

    Args:
        preset: The preset at its own speed. It stays if the run fits.
        runs: Names of the layers of each run; several runs share the time of a step.
        steps: Number of steps.
        seconds: Longest duration of the sound, 5 or more.

    Returns:
        The preset, and the number of steps that are merged into one moment.

    Raises:
        ValueError: If ``seconds`` is below 5.
    """
    if not seconds >= _DURATION_MIN:
        raise ValueError(f"duration must be {_DURATION_MIN:g} s or more, got {seconds:g}")
    tempos = [drive for drive in preset.drives if drive.drives == "tempo"]
    slowest = prod(drive.duration_factor_max for drive in tempos)
    usual = slowest * max(layout.duration for layout in lay_out_runs(preset, runs))
    available = seconds - _END_SECONDS
    if steps * usual <= available:
        return preset, 1
    fastest = min(usual, max(_STEP_MIN, usual * min(1.0, _NOTE_MIN / preset.note_seconds)))
    merged = ceil(steps * fastest / available)
    return at_speed(preset, usual / (available / ceil(steps / merged))), merged
