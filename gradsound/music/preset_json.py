"""Presets as JSON data, for the worker processes that play or render a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gradsound.alarms.thresholds import Thresholds
from gradsound.music.pitch import LinearPitch, LogPitch
from gradsound.music.presets import Preset
from gradsound.music.value_mapping import Drive
from gradsound.synth.voices.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping


def to_data(preset: Preset) -> dict[str, Any]:
    """Returns the preset as JSON data."""
    voices = preset.voice if isinstance(preset.voice, tuple) else (preset.voice,)
    return {
        **asdict(preset),
        "pitch": [type(preset.pitch).__name__, asdict(preset.pitch)],
        "voice": [v.to_data() if isinstance(v, Program) else v for v in voices],
    }


def from_data(data: Mapping[str, Any]) -> Preset:
    """Returns a preset from the data that `to_data` returned."""
    class_name, fields = data["pitch"]
    classes = {pitch.__name__: pitch for pitch in (LinearPitch, LogPitch)}
    voices = (v if isinstance(v, str) else Program.from_data(v) for v in data["voice"])
    objects = {
        "pitch": classes[class_name](**fields),
        "voice": tuple(voices),
        "thresholds": Thresholds(**data["thresholds"]),
        "drives": tuple(Drive(**drive) for drive in data["drives"]),
    }
    return Preset(**{**data, **objects})
