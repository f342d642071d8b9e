"""gradsound voices: what there is to play with, and how each sounds."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np

from gradsound.output.sound_file import write_sound
from gradsound.synth.mixer import SAMPLE_RATE, render
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.synth.voices.builtin import Voice
    from gradsound.synth.voices.program import Program

_LOWEST, _HIGHEST = 65.4, 2093.0  # Hz, C2 to C7: what the preset `notes` reaches
_STEPS, _STEP = 11, 0.25  # notes half an octave apart, and seconds of each
_SWEEP = 5.0  # seconds
_LEVEL, _FADE = 0.25, 0.008  # linear; seconds


def listed() -> Iterator[tuple[str, str]]:
    """Yields the name of every voice of ours, and what it is."""
    for name, voice in VOICES.items():
        yield name, (inspect.getdoc(voice) or "").split("\n")[0]


def described(voice: Voice) -> str:
    """A line about a voice: what it is made of."""
    program = find_voice(voice)
    what = dict(listed()).get(program.name, "a voice of your own")
    inputs = ", ".join(program.inputs)
    return f"{program.name}: {what}\n{len(program.operations)} operations on {inputs}"


def audition(voice: Voice, path: Path) -> None:
    """Writes how a voice sounds: notes from C2 to C7, then a sweep over the same.

    From the first note to the last its controls go from their lowest to their highest.

    Raises:
        As `gradsound.render`.
    """
    score = sweep(find_voice(voice))
    write_sound(path, [render(score, SAMPLE_RATE)], SAMPLE_RATE)


def sweep(voice: Program) -> Score:
    """What is played to hear a voice."""
    notes = np.zeros(_STEPS + 1, NOTE)
    ends = np.linspace(0, 1, _STEPS)
    hertz = _LOWEST * (_HIGHEST / _LOWEST) ** ends
    notes["onset"] = np.arange(_STEPS + 1) * _STEP
    notes["duration"], notes["fade"], notes["level"] = 0.8 * _STEP, _FADE, _LEVEL
    notes["duration"][-1] = _SWEEP
    notes["hertz"][:-1], notes["hertz"][-1] = hertz[:, None], (_LOWEST, _HIGHEST)
    least = np.array([-1.0 if name == "deviation" else 0.0 for name in CONTROLS])
    for share, controls in zip(ends, notes["controls"]):
        controls[:] = (least + (1 - least) * share)[:, None]
    notes["controls"][-1] = np.stack([least, np.ones(len(CONTROLS))], axis=1)
    return Score((voice,), notes, np.array([_STEPS * _STEP + _SWEEP]))
