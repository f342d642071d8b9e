"""Presets: how a run sounds, as plain data to copy and change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import Thresholds
from gradsound.errors import renamed
from gradsound.music.layer_groups import Band, each_layer, find_bands
from gradsound.music.pitch import LinearPitch, LogPitch, Pitch
from gradsound.music.textures import TEXTURES, lay_out
from gradsound.name_matching import unknown
from gradsound.synth.voices.builtin import Voice, find_voice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradsound.music.textures import Layout
    from gradsound.music.value_mapping import Drive
    from gradsound.synth.voices.program import Program

_SHORTEST = 0.001  # seconds; less is a click whatever its pitch
_LONGEST = 2.0  # seconds; more is no rhythm any more
# Linear; above, the limiter bends notes, and true peaks pass -1 dBTP. Where loudness is
# made equal, the lowest pitches have four times as much.
_LOUDEST = {True: 0.2, False: 0.75}
_LOUDEST_ALARM = 0.5  # over the notes that sound meanwhile
_FARTHEST = 24  # semitones from band to band; four of them are then six octaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How steps become sound.

    ``dataclasses.replace(gradsound.PRESETS["notes"], rest_seconds=0.3)`` makes another.
    Layers are gathered into a few bands, and these laid out in time by the texture: "turn" (one after
    the other), "chord" (at once), "drone" (at once, without end, gliding from step to
    step), "scan" (every layer, in one sweep), or "none" (nothing but alarms is heard).

    Attributes:
        name: What to call it.
        texture: As said above.
        pitch: From finite norms to Hz, of the first band.
        voice: What sounds the bands: a name that ``gradsound voices`` lists, or a function
            or module of your own (docs/voices.md), kept as its program; or several, of
            which each band has its own.
        note_seconds: Seconds that a band sounds, its fades included; 0.001 to 2.
        rest_seconds: Seconds of silence that end the step; 0 to 2.
        fade_seconds: Seconds of raised cosine at each end of a note, at most half of it.
        level: Linear peak, above 0, at most 0.75; if loudness is equal, that of a sine of
            1000 Hz which is as loud, at most 0.2. True peaks are under -1 dBTP then, but of
            a voice that is noise, which has them between its samples.
        spread: How far the bands are apart: 0, the same on one channel; up to 1, from the
            left to the right of two.
        bands: "auto" gathers layers by what they are or how deep; "layers" leaves each by
            itself; globs by the name of a band gather as you like.
        register: Semitones that each band is above the one before.
        baseline: What norms are measured by: "fixed", itself, so that runs compare; or
            "running", the median of the same band's last 32, so that surprise is heard.
        equal_loudness: Whether all pitches of all voices are as loud as each other.
        clipping: Whether norms from before clipping sound with those after, as an interval;
            clipping that changes nothing is unison.
        alarms: Linear level of alarms, as ``level``, at most 0.5; 0 if none is to sound;
            they have captions anyway.
        thresholds: When there is an alarm.
        drives: What values beside norms drive.

    Raises:
        ValueError: If a value is outside its range; the message names it.
        VoiceError: If the voice cannot be compiled; the message has the line.
    """

    name: str
    texture: str = "turn"
    pitch: Pitch
    voice: Voice | tuple[Voice, ...]
    note_seconds: float
    rest_seconds: float
    fade_seconds: float
    level: float
    spread: float = 0.0
    bands: str | Mapping[str, tuple[str, ...]] = "auto"
    register: float = 0.0
    baseline: str = "fixed"
    equal_loudness: bool = True
    clipping: bool = True
    alarms: float = 0.12
    thresholds: Thresholds = field(default_factory=Thresholds)
    drives: tuple[Drive, ...] = ()

    def __post_init__(self) -> None:
        given = self.voice if isinstance(self.voice, tuple) else (self.voice,)
        kept = tuple(v if isinstance(v, str) else find_voice(v) for v in given)
        if not kept:
            raise ValueError("voice must be one or several, got none")
        # Plain data, to pass on.
        object.__setattr__(self, "voice", kept if len(kept) > 1 else kept[0])
        _ = self.programs
        if self.texture not in TEXTURES:
            raise ValueError(unknown("texture", self.texture, TEXTURES))
        if not _SHORTEST <= self.note_seconds <= _LONGEST:
            raise ValueError(
                f"note_seconds must be {_SHORTEST} to {_LONGEST} s, got {self.note_seconds}"
            )
        if not 0 <= self.rest_seconds <= _LONGEST:
            raise ValueError(
                f"rest_seconds must be 0 to {_LONGEST} s, got {self.rest_seconds}"
            )
        if not 0 <= self.fade_seconds <= self.note_seconds / 2:
            raise ValueError(
                f"fade_seconds must be 0 to half the note ({self.note_seconds / 2} s), got {self.fade_seconds}"
            )
        loudest = _LOUDEST[self.equal_loudness]
        if not 0 < self.level <= loudest:
            equal = "" if self.equal_loudness else "out"
            raise ValueError(
                f"level must be above 0 and at most {loudest} with{equal} equal loudness, "
                f"got {self.level}"
            )
        if not 0 <= self.alarms <= _LOUDEST_ALARM:
            raise ValueError(f"alarms must be 0 to {_LOUDEST_ALARM}, got {self.alarms}")
        if not 0 <= self.spread <= 1:
            raise ValueError(f"spread must be 0 to 1, got {self.spread}")
        if not -_FARTHEST <= self.register <= _FARTHEST:
            raise ValueError(
                f"register must be -{_FARTHEST} to {_FARTHEST} semitones, "
                f"got {self.register}"
            )
        if self.baseline not in ("fixed", "running"):
            raise ValueError(f"baseline must be fixed or running, got {self.baseline!r}")
        if isinstance(self.bands, str):
            if self.bands not in ("auto", "layers"):
                raise ValueError(
                    f"bands must be 'auto', 'layers' or globs by name, got {self.bands!r}"
                )
        else:
            globs = {
                name: (glob,) if isinstance(glob, str) else tuple(glob)
                for name, glob in self.bands.items()
            }
            object.__setattr__(self, "bands", globs)

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs of its voices."""
        voices = self.voice if isinstance(self.voice, tuple) else (self.voice,)
        return tuple(map(find_voice, voices))

    @property
    def channels(self) -> int:
        """1, or 2 if its bands are spread."""
        return 2 if self.spread else 1

    def bands_of(self, names: Sequence[str]) -> tuple[Band, ...]:
        """The bands of a model, by the names of its layers.

        Raises:
            ValueError: If there are more than four, or a glob matches no layer.
        """
        if self.bands == "layers" or self.texture == "scan":
            return each_layer(names)
        return find_bands(names, None if isinstance(self.bands, str) else self.bands)

    def layout(self, tracks: int) -> Layout:
        """When tracks sound in a step of usual length."""
        return lay_out(self.texture, tracks, self.note_seconds, self.rest_seconds)


Preset.__init__ = renamed(  # type: ignore[method-assign]
    note="note_seconds", rest="rest_seconds", fade="fade_seconds"
)(Preset.__init__)

# docs/design.md and docs/listening.md give the reason for each figure.
_PITCH = LogPitch(anchor=261.6, semitones=12.0, lowest=61.7, highest=2637.0)  # C4, B1, E7
_VOICES = ("soft", "square", "bell", "organ")
_NOTES = Preset(
    name="notes",
    pitch=_PITCH,
    voice=_VOICES,
    note_seconds=0.070,
    rest_seconds=0.140,
    fade_seconds=0.008,
    level=0.1,
    spread=0.7,
    register=5.0,
)
PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        _NOTES,
        replace(
            _NOTES,
            name="chord",
            texture="chord",
            note_seconds=0.25,
            rest_seconds=0.1,
            fade_seconds=0.02,
        ),
        replace(
            _NOTES,
            name="scan",
            texture="scan",
            voice="soft",
            note_seconds=0.06,
            rest_seconds=0.2,
            register=0.0,
            clipping=False,
        ),
        replace(
            _NOTES,
            name="ambient",
            texture="drone",
            pitch=replace(_PITCH, anchor=130.8),
            voice=("soft", "sine", "soft", "sine"),
            note_seconds=0.1,
            rest_seconds=0.0,
            level=0.025,
            register=7.0,
        ),
        replace(_NOTES, name="alarms", texture="none", rest_seconds=0.0),
        # C. S. Perone, "Listening to the neural network gradient norms during training"
        # (2019). His tones began and ended abruptly; 2 ms edges take the clicks away.
        Preset(
            name="perone2019",
            pitch=LinearPitch(base=200.0, slope=100.0),
            voice="sine",
            note_seconds=0.010,
            rest_seconds=0.020,
            fade_seconds=0.002,
            level=0.1,
            bands="layers",
            equal_loudness=False,
            clipping=False,
            alarms=0.0,
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
    least, most = (
        max(preset.note_seconds, preset.rest_seconds) / _LONGEST,
        preset.note_seconds / _SHORTEST,
    )
    if not least <= speed <= most:
        raise ValueError(
            f"speed must be {least:g} to {most:g} with preset {preset.name!r}, "
            f"got {speed:g}"
        )
    note, rest, fade = (
        preset.note_seconds / speed,
        preset.rest_seconds / speed,
        preset.fade_seconds / speed,
    )
    return replace(
        preset,
        note_seconds=note,
        rest_seconds=rest,
        fade_seconds=min(fade, note / 2),
    )
