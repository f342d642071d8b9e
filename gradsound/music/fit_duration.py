"""Time-lapse: a run of any length in a given time."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.presets import at_speed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset

_NOTE = 0.03  # seconds; shorter notes have hardly a pitch
_STEP = 1 / 15  # seconds; faster ones the ear does not follow
_END = 0.5 + ALARM_SOUNDS["end"].duration  # seconds that the end takes
_LEAST = 5.0  # seconds; in less there is nothing to follow


def fitting(
    preset: Preset, runs: Sequence[Sequence[str]], steps: int, seconds: float
) -> tuple[Preset, int]:
    """What it takes to fit a run into a time: a faster preset, and several steps as one.

    Args:
        preset: How it sounds if there is time enough; then it stays so.
        runs: The names of the layers of the run, or of several that sound at once.
        steps: How many there are.
        seconds: At most; 5 at least.

    Returns:
        The preset, and how many steps sound as one.

    Raises:
        ValueError: If there is too little time.
    """
    if not seconds >= _LEAST:
        raise ValueError(f"duration must be {_LEAST:g} s or more, got {seconds:g}")
    counts = [len(preset.bands_of(names)) for names in runs]
    values = sum(drive.drives == "voice" for drive in preset.drives)
    longest = prod(drive.longest for drive in preset.drives if drive.drives == "tempo")
    usual = longest * max(preset.layout(count + values).duration for count in counts)
    room = seconds - _END
    if steps * usual <= room:
        return preset, 1
    fastest = min(usual, max(_STEP, usual * min(1.0, _NOTE / preset.note_seconds)))
    together = ceil(steps * fastest / room)
    return at_speed(preset, usual / (room / ceil(steps / together))), together
