"""Presets: how a run sounds, as plain data to copy and change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gradsound.music.pitch import LinearPitch, LogPitch, Pitch
from gradsound.names import unknown
from gradsound.synth.program import Program
from gradsound.synth.voices import Voice, find_voice

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTEST = 0.001  # seconds; less is a click whatever its pitch
_LONGEST = 2.0  # seconds; more is no rhythm any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How steps become sound: the layers in turn, then silence.

    ``dataclasses.replace(gradsound.PRESETS["notes"], rest=0.3)`` makes another.

    Attributes:
        name: What to call it.
        pitch: From finite norms to Hz.
        voice: What sounds them: a name that ``gradsound voices`` lists, or a function or
            module of your own (docs/voices.md), kept as its program.
        note: Seconds that a layer sounds, its fades included; 0.001 to 2.
        rest: Seconds of silence that end the step; 0 to 2.
        fade: Seconds of raised cosine at each end of a note, at most half of it.
        level: Linear peak, above 0, at most 1.
        spread: How far the layers are apart: 0, the same on one channel; up to 1, from the
            left to the right of two.

    Raises:
        ValueError: If a value is outside its range; the message names it.
        VoiceError: If the voice cannot be compiled; the message has the line.
    """

    name: str
    pitch: Pitch
    voice: Voice
    note: float
    rest: float
    fade: float
    level: float
    spread: float = 0.0

    def __post_init__(self) -> None:
        program = find_voice(self.voice)
        if not isinstance(self.voice, str):
            object.__setattr__(self, "voice", program)  # plain data, to pass on
        if not _SHORTEST <= self.note <= _LONGEST:
            raise ValueError(f"note must be {_SHORTEST} to {_LONGEST} s, got {self.note}")
        if not 0 <= self.rest <= _LONGEST:
            raise ValueError(f"rest must be 0 to {_LONGEST} s, got {self.rest}")
        if not 0 <= self.fade <= self.note / 2:
            raise ValueError(
                f"fade must be 0 to half the note ({self.note / 2} s), got {self.fade}"
            )
        if not 0 < self.level <= 1:
            raise ValueError(f"level must be above 0 and at most 1, got {self.level}")
        if not 0 <= self.spread <= 1:
            raise ValueError(f"spread must be 0 to 1, got {self.spread}")

    @property
    def channels(self) -> int:
        """1, or 2 if its layers are spread."""
        return 2 if self.spread else 1


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        # C. S. Perone, "Listening to the neural network gradient norms during training"
        # (2019). His tones began and ended abruptly; 2 ms edges take the clicks away.
        Preset(
            name="perone2019",
            pitch=LinearPitch(base=200.0, slope=100.0),
            voice="sine",
            note=0.010,
            rest=0.020,
            fade=0.002,
            level=0.1,
        ),
        # docs/design.md gives the reason for each figure.
        Preset(
            name="notes",
            pitch=LogPitch(anchor=440.0, semitones=12.0, lowest=65.4, highest=2093.0),
            voice="soft",
            note=0.070,
            rest=0.140,
            fade=0.008,
            level=0.2,
        ),
    )
}


def find_preset(preset: str | Preset, voice: Voice | None = None) -> Preset:
    """Returns a preset by its name, or as it is; with another voice if one is given.

    Raises:
        TypeError: If it is neither a name nor a preset.
        ValueError: If there is none of that name; the message has the nearest.
        VoiceError: If the voice cannot be compiled.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(unknown("preset", preset, PRESETS))
        preset = PRESETS[preset]
    if not isinstance(preset, Preset):
        raise TypeError(f"preset must be a name or a Preset, got {preset!r}")
    return preset if voice is None else replace(preset, voice=voice)


def at_speed(preset: Preset, speed: float) -> Preset:
    """Returns the preset with all its times divided by ``speed``; pitches stay.

    Raises:
        ValueError: If notes would be under 0.001 s, or notes or silence over 2 s.
    """
    least, most = max(preset.note, preset.rest) / _LONGEST, preset.note / _SHORTEST
    if not least <= speed <= most:
        raise ValueError(
            f"speed must be {least:g} to {most:g} with preset {preset.name!r}, "
            f"got {speed:g}"
        )
    note, rest, fade = preset.note / speed, preset.rest / speed, preset.fade / speed
    return replace(preset, note=note, rest=rest, fade=min(fade, note / 2))


def to_data(preset: Preset) -> dict[str, Any]:
    """The preset as plain data, fit for JSON."""
    voice = preset.voice
    return {
        **asdict(preset),
        "pitch": [type(preset.pitch).__name__, asdict(preset.pitch)],
        "voice": voice.to_data() if isinstance(voice, Program) else voice,
    }


def from_data(data: Mapping[str, Any]) -> Preset:
    """The preset that `to_data` was given."""
    kind, values = data["pitch"]
    pitches = {pitch.__name__: pitch for pitch in (LinearPitch, LogPitch)}
    voice = data["voice"]
    if not isinstance(voice, str):
        voice = Program.from_data(voice)
    return Preset(**{**data, "pitch": pitches[kind](**values), "voice": voice})
