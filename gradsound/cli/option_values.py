"""Values of options that change the sound: preset, voice, duration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradsound.cli.load_voice import load_voice
from gradsound.durations import parse_time
from gradsound.music.pitch import LogPitch
from gradsound.music.presets import Preset, find_preset
from gradsound.name_matching import describe_unknown
from gradsound.synth.voices.builtin import VOICES

if TYPE_CHECKING:
    import argparse

    from gradsound.synth.voices.builtin import Voice


def get_preset(options: argparse.Namespace) -> Preset:
    """Returns the preset, changed by --voice, --scale, --invert, --baseline and --band.

    Raises:
        ValueError: If the name is unknown, or the preset lacks a setting to change.
        VoiceError: If the voice cannot be imported or compiled.
    """
    preset = find_preset(options.preset, get_voice(options))
    changes: dict[str, Any] = {}
    if options.scale is not None or options.invert:
        if not isinstance(preset.pitch, LogPitch):
            raise ValueError(f"preset {preset.name!r} has neither scale nor invert")
        scale = options.scale or preset.pitch.scale
        changes["pitch"] = replace(preset.pitch, scale=scale, invert=options.invert)
    if options.baseline is not None:
        changes["baseline"] = options.baseline
    if options.band is not None:
        bands: dict[str, tuple[str, ...]] = {}
        for name, glob in options.band:
            bands[name] = (*bands.get(name, ()), glob)
        if preset.texture == "scan":
            raise ValueError(f"preset {preset.name!r} sounds every layer, and has no bands")
        changes["bands"] = bands
    return replace(preset, **changes) if changes else preset


def get_voice(options: argparse.Namespace) -> Voice | None:
    """Returns the voice of --voice; None without that option.

    Raises:
        ValueError: If the name is unknown.
        VoiceError: If a user's own voice cannot be imported.
    """
    voice = options.voice
    if voice is not None and ":" not in voice and voice not in VOICES:
        raise ValueError(f"{describe_unknown('voice', voice, VOICES)}; or module:function")
    return None if voice is None else load_voice(voice)


def get_duration(options: argparse.Namespace) -> float | None:
    """Returns the seconds of --duration; None without that option.

    Raises:
        ValueError: If it is not a time.
    """
    return None if options.duration is None else parse_time(options.duration)
