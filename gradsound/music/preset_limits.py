"""Ranges of a preset's fields, and the error messages for values outside them."""

from __future__ import annotations

NOTE_MIN = 0.001  # seconds; a shorter note is a click at any pitch
SECONDS_MAX = 2.0  # of a note or a rest; a longer one has no rhythm
# Linear. At higher levels the limiter distorts notes, and true peaks exceed -1 dBTP. With
# equal loudness, the lowest notes are four times as loud as ``level``.
_LEVEL_MAX = {True: 0.2, False: 0.75}
_ALARM_LEVEL_MAX = 0.5  # linear; alarms sound on top of notes
_REGISTER_MAX = 24  # semitones from band to band; four bands then span six octaves


def check_durations(note_seconds: float, rest_seconds: float, fade_seconds: float) -> None:
    """Raises a ValueError for a note, rest or fade that is too short or too long."""
    if not NOTE_MIN <= note_seconds <= SECONDS_MAX:
        raise ValueError(
            f"note_seconds must be {NOTE_MIN} to {SECONDS_MAX} s, got {note_seconds}"
        )
    if not 0 <= rest_seconds <= SECONDS_MAX:
        raise ValueError(f"rest_seconds must be 0 to {SECONDS_MAX} s, got {rest_seconds}")
    if not 0 <= fade_seconds <= note_seconds / 2:
        raise ValueError(
            f"fade_seconds must be 0 to half the note ({note_seconds / 2} s), "
            f"got {fade_seconds}"
        )


def level_max(*, equal_loudness: bool) -> float:
    """Returns the highest linear level of a note."""
    return _LEVEL_MAX[equal_loudness]


def check_levels(level: float, alarms: float, *, equal_loudness: bool) -> None:
    """Raises a ValueError for a level of notes or alarms outside its range."""
    loudest = level_max(equal_loudness=equal_loudness)
    if not 0 < level <= loudest:
        equal = "with" if equal_loudness else "without"
        raise ValueError(
            f"level must be above 0 and at most {loudest} {equal} equal loudness, "
            f"got {level}"
        )
    if not 0 <= alarms <= _ALARM_LEVEL_MAX:
        raise ValueError(f"alarms must be 0 to {_ALARM_LEVEL_MAX}, got {alarms}")


def check_bands(spread: float, register: float, baseline: str, bands: object) -> None:
    """Raises a ValueError for an invalid placement, baseline or grouping of bands."""
    if not 0 <= spread <= 1:
        raise ValueError(f"spread must be 0 to 1, got {spread}")
    if not -_REGISTER_MAX <= register <= _REGISTER_MAX:
        raise ValueError(
            f"register must be -{_REGISTER_MAX} to {_REGISTER_MAX} semitones, "
            f"got {register}"
        )
    if baseline not in ("fixed", "running", "ranks"):
        raise ValueError(f"baseline must be fixed, running or ranks, got {baseline!r}")
    if isinstance(bands, str) and bands not in ("auto", "layers"):
        raise ValueError(f"bands must be 'auto', 'layers' or globs by name, got {bands!r}")


def check_speed(
    name: str, speed: float, *, note_seconds: float, rest_seconds: float
) -> None:
    """Raises a ValueError for a speed that makes a note or a rest too short or too long.

    Args:
        name: Name of the preset, for the message.
        speed: Divisor of both durations.
        note_seconds: Duration of a note at speed 1.
        rest_seconds: Duration of a rest at speed 1.
    """
    slowest = max(note_seconds, rest_seconds) / SECONDS_MAX
    fastest = note_seconds / NOTE_MIN
    if not slowest <= speed <= fastest:
        raise ValueError(
            f"speed must be {slowest:g} to {fastest:g} with preset {name!r}, got {speed:g}"
        )
