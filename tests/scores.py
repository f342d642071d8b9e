"""Scores for tests: notes by the names of what is not usual of them."""

import numpy as np

from gradsound.synth.program import CONTROLS
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices import Voice, find_voice


def note(hertz: float | tuple[float, float], **changes: object) -> np.ndarray:
    """One note: a second at level 1/3 with edges of 2 ms, but for what is given."""
    made = np.zeros(1, NOTE)
    given = {"duration": 1.0, "level": 1 / 3, "fade": 0.002, "hertz": hertz} | changes
    for name, value in given.items():
        field = (
            made["controls"][:, CONTROLS.index(name)] if name in CONTROLS else made[name]
        )
        field[:] = value
    return made


def score(
    *notes: np.ndarray,
    duration: float = 1.0,
    voice: Voice = "sine",
    others: tuple[Voice, ...] = (),
    polyphony: int = 1,
) -> Score:
    """A step of some notes."""
    voices = tuple(map(find_voice, (voice, *others)))
    together = np.concatenate([np.zeros(0, NOTE), *notes])
    return Score(voices, together, np.array([duration]), polyphony)
