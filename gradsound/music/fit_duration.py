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
_LAPSE_SECONDS = 600.0  # of a run that has too many notes, at most


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
    usual, fastest = _step_seconds(preset, runs)
    available = seconds - _END_SECONDS
    if steps * usual <= available:
        return preset, 1
    merged = ceil(steps * fastest / available)
    return at_speed(preset, usual / (available / ceil(steps / merged))), merged


def limit_notes(
    preset: Preset, runs: Sequence[Sequence[str]], steps: int, notes: int
) -> float | None:
    """Returns the longest duration with so many notes; None if all steps have fewer.

    A time-lapse has ten minutes at most, and five seconds at least.

    Args:
        preset: The preset at its own speed.
        runs: Names of the layers of each run.
        steps: Number of steps.
        notes: The greatest number of notes, about: a breath is a second note.
    """
    tracks = sum(len(layout.onsets) for layout in lay_out_runs(preset, runs))
    if steps * max(1, tracks) <= notes:
        return None
    _, fastest = _step_seconds(preset, runs)
    return max(_DURATION_MIN, min(_LAPSE_SECONDS, fastest * notes / max(1, tracks)))


def _step_seconds(preset: Preset, runs: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Returns the duration of the slowest step, and of a step that is fast enough."""
    tempos = [drive for drive in preset.drives if drive.drives == "tempo"]
    slowest = prod(drive.duration_factor_max for drive in tempos)
    usual = slowest * max(layout.duration for layout in lay_out_runs(preset, runs))
    fast = max(_STEP_MIN, usual * min(1.0, _NOTE_MIN / preset.note_seconds))
    return usual, min(usual, fast)
