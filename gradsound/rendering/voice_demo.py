"""gradsound voices: lists voices, describes one, and writes a demo of its sound."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np

from gradsound.output.formats import default_rate
from gradsound.output.sound_file import write_sound
from gradsound.synth.mixer import render
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.synth.voices.builtin import Voice
    from gradsound.synth.voices.program import Program

_LOWEST, _HIGHEST = 65.4, 2093.0  # Hz, C2 to C7; the range of the preset `notes`
_NOTES = 11  # half an octave apart
_NOTE_SECONDS = 0.25  # from note to note; the note sounds for 80 % of it
_SWEEP_SECONDS = 5.0  # duration of the glide over the whole range
_LEVEL = 0.25  # linear peak; 12 dB of headroom
_FADE_SECONDS = 0.008  # edges, as in the preset `notes`; no click


def list_voices() -> Iterator[tuple[str, str]]:
    """Yields name and description of every built-in voice."""
    for name, voice in VOICES.items():
        yield name, (inspect.getdoc(voice) or "").split("\n")[0]


def describe_voice(voice: Voice) -> str:
    """Returns a voice's description, and on a second line its operations and inputs."""
    program = find_voice(voice)
    description = dict(list_voices()).get(program.name, "a voice of your own")
    inputs = ", ".join(program.inputs)
    return (
        f"{program.name}: {description}\n{len(program.operations)} operations on {inputs}"
    )


def write_demo(voice: Voice, path: Path) -> None:
    """Writes a demo of a voice: 11 notes from C2 to C7, then a glide over the same range.

    From the first note to the last, the voice's controls rise from their lowest to their
    highest number.

    Raises:
        ValueError: If the path does not end as a sound file does.
        VoiceError: If the voice cannot be compiled.
        OSError: If the file cannot be written.
    """
    score = demo_score(find_voice(voice))
    sample_rate = default_rate(path)
    write_sound(path, [render(score, sample_rate)], sample_rate)


def demo_score(voice: Program) -> Score:
    """Returns the score of a voice's demo: 11 notes and a glide."""
    notes = np.zeros(_NOTES + 1, NOTE)
    shares = np.linspace(0, 1, _NOTES)
    hertz = _LOWEST * (_HIGHEST / _LOWEST) ** shares
    notes["onset"] = np.arange(_NOTES + 1) * _NOTE_SECONDS
    notes["duration"], notes["level"] = 0.8 * _NOTE_SECONDS, _LEVEL
    notes["fade"] = _FADE_SECONDS
    notes["duration"][-1] = _SWEEP_SECONDS
    notes["hertz"][:-1], notes["hertz"][-1] = hertz[:, None], (_LOWEST, _HIGHEST)
    lowest = np.array([-1.0 if name == "deviation" else 0.0 for name in CONTROLS])
    for share, controls in zip(shares, notes["controls"]):
        controls[:] = (lowest + (1 - lowest) * share)[:, None]
    notes["controls"][-1] = np.stack([lowest, np.ones(len(CONTROLS))], axis=1)
    return Score((voice,), notes, np.array([_NOTES * _NOTE_SECONDS + _SWEEP_SECONDS]))
