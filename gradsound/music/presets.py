"""Presets: how a run sounds, as plain data that a user can copy and change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import Thresholds
from gradsound.errors import refuse_old_keywords
from gradsound.music.layer_groups import Band, each_layer, find_bands
from gradsound.music.pitch import LinearPitch, LogPitch, Pitch
from gradsound.music.preset_limits import (
    check_bands,
    check_durations,
    check_levels,
    check_speed,
    level_max,
)
from gradsound.music.textures import TEXTURES, lay_out
from gradsound.name_matching import describe_unknown
from gradsound.synth.voices.builtin import Voice, find_voice, known_voice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradsound.music.textures import Layout
    from gradsound.music.value_mapping import Drive
    from gradsound.synth.voices.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How a run sounds.

    A preset groups the layers of a model into bands. The texture arranges the bands in the
    time of a step: "turn" (one after another), "chord" (at once), "drone" (at once, without
    end, gliding from step to step), "scan" (every layer, in one sweep) or "none" (only
    alarms sound).

    Attributes:
        name: Name of the preset, in titles and messages.
        texture: One of the five textures.
        pitch: The pitch of the first band's finite norms above 0.
        voice: The voice of the bands: a name that ``gradsound voices`` lists, or your own
            function or module (docs/voices.md), which the preset keeps as its program. With
            several voices, each band has its own.
        note_seconds: Duration of a note with both fades; 0.001 to 2 s.
        rest_seconds: Silence at the end of a step; 0 to 2 s.
        fade_seconds: Raised cosine at each end of a note; 0 to half of ``note_seconds``.
        level: Linear peak of a note, above 0 and at most 0.75. With equal loudness, the
            peak of a sine of 1000 Hz that is as loud, at most 0.2. Within these limits,
            true peaks stay below -1 dBTP, except those of noise, which peaks between its
            samples.
        spread: Stereo width of the bands: 0 (mono) to 1 (from far left to far right). A
            single band is in the middle.
        bands: "auto" groups layers by function or by depth; "layers" makes each layer a
            band; a mapping has globs of layer names by the name of the band.
        register: Semitones from each band to the next; -24 to 24.
        baseline: "fixed" maps the norm itself, so that runs are comparable. "running" maps
            the ratio to the median of the band's last 32 norms, so that only changes are
            audible. "ranks" maps the ratio to the median of all layers at the same step;
            of a band, that of the layer farthest from it. A run of ranks sounds so.
        equal_loudness: Whether all pitches of all voices are equally loud.
        clipping: Whether the norm before clipping sounds with the norm after it, as an
            interval. An idle clipping sounds as one note.
        signals: Whether the signals of a run sound: ``update_ratio`` as how long a note is
            held, and ``snr`` as how pure it is.
        alarms: Linear level of the alarm sounds, as ``level``; 0 (captions only) to 0.5.
        thresholds: Limits at which an alarm is raised.
        drives: Mappings of logged values to the sound.

    Raises:
        ValueError: If a value is outside its range; the message names it.
        VoiceError: If the voice cannot be compiled; the message has the line.

    Example:
        >>> from dataclasses import replace
        >>> import gradsound
        >>> calm = replace(gradsound.PRESETS["notes"], name="calm", rest_seconds=0.3)
        >>> calm.note_seconds, calm.rest_seconds
        (0.07, 0.3)
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
    signals: bool = True
    alarms: float = 0.12
    thresholds: Thresholds = field(default_factory=Thresholds)
    drives: tuple[Drive, ...] = ()

    def __post_init__(self) -> None:
        given = self.voice if isinstance(self.voice, tuple) else (self.voice,)
        voices = tuple(map(known_voice, given))
        if not voices:
            raise ValueError("voice must be one or several, got none")
        # A preset is sent to worker processes as JSON, which takes programs, not functions.
        object.__setattr__(self, "voice", voices if len(voices) > 1 else voices[0])
        if self.texture not in TEXTURES:
            raise ValueError(describe_unknown("texture", self.texture, TEXTURES))
        check_durations(self.note_seconds, self.rest_seconds, self.fade_seconds)
        check_levels(self.level, self.alarms, equal_loudness=self.equal_loudness)
        check_bands(self.spread, self.register, self.baseline, self.bands)
        if not isinstance(self.bands, str):
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
        """Number of channels, which is 2 if the bands are spread, else 1."""
        return 2 if self.spread else 1

    def bands_of(self, names: Sequence[str]) -> tuple[Band, ...]:
        """Returns the bands of a model.

        Args:
            names: Names of its layers.

        Raises:
            ValueError: If there are more than four bands, or a glob matches no layer.
        """
        if self.bands == "layers" or self.texture == "scan":
            return each_layer(names)
        return find_bands(names, None if isinstance(self.bands, str) else self.bands)

    def layout(self, tracks: int) -> Layout:
        """Returns when each of so many tracks sounds in a step of usual duration."""
        layout = lay_out(self.texture, tracks, self.note_seconds, self.rest_seconds)
        loudest = level_max(equal_loudness=self.equal_loudness) / self.level
        gain = min(layout.gain, loudest)
        return replace(layout, gain=gain, headroom=loudest / gain)


Preset.__init__ = refuse_old_keywords(  # type: ignore[method-assign]
    note="note_seconds", rest="rest_seconds", fade="fade_seconds"
)(Preset.__init__)

# docs/design.md and docs/listening.md give the reason for each number.
_PITCH = LogPitch(anchor=261.6, semitones=12.0, lowest=61.7, highest=2637.0)  # C4, B1, E7
_NOTES = Preset(
    name="notes",
    pitch=_PITCH,
    voice=("soft", "square", "bell", "organ"),
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
        # (2019). His tones began and ended abruptly; edges of 2 ms remove the clicks.
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
            signals=False,
            alarms=0.0,
        ),
    )
}


def find_preset(preset: str | Preset, voice: Voice | None = None) -> Preset:
    """Returns a preset by its name, or as given; another voice replaces its own.

    Raises:
        TypeError: If ``preset`` is neither a name nor a preset.
        ValueError: If the name is unknown; the message suggests the nearest.
        VoiceError: If the voice cannot be compiled.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(describe_unknown("preset", preset, PRESETS))
        preset = PRESETS[preset]
    if not isinstance(preset, Preset):
        raise TypeError(f"preset must be a name or a Preset, got {preset!r}")
    return preset if voice is None else replace(preset, voice=voice)


def at_speed(preset: Preset, speed: float) -> Preset:
    """Returns the preset with all durations divided by ``speed``; pitches stay.

    Raises:
        ValueError: If a note would be under 0.001 s, or a note or a rest over 2 s.
    """
    note, rest = preset.note_seconds, preset.rest_seconds
    check_speed(preset.name, speed, note_seconds=note, rest_seconds=rest)
    return replace(
        preset,
        note_seconds=note / speed,
        rest_seconds=rest / speed,
        fade_seconds=min(preset.fade_seconds / speed, note / speed / 2),
    )
