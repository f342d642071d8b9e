"""From what lines sound to notes: each by itself, or gliding into the next.

Shapes: S moments, B lines, K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.score import NOTE
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.music.tracks import TrackStates

_BESIDE = 0.7  # times the level, for a norm from before clipping
_PULSING = 1.5  # times the level, for lost norms in what is else without pauses


class NoteWriter:
    """Gives lines their places in time and stereo.

    Args:
        preset: How they sound.
        lines: How many, B.
        place: Where all are, -1 left to 1 right, if not where the preset has them.

    Attributes:
        layout: Of a step of usual length.
        drones: Whether they sound between moments too.
    """

    def __init__(self, preset: Preset, lines: int, place: float | None) -> None:
        self.layout = preset.layout(lines)
        self.drones = preset.texture == "drone"
        self._preset = preset
        self._depth = np.linspace(0, 1, lines) if lines > 1 else np.zeros(1)
        self._pan = preset.spread * (2 * self._depth - 1)
        if place is not None:
            self._pan[:] = place
        self._held = np.zeros((2, lines), NOTE)  # what a drone sounds, and from before
        self._held["line"] = np.arange(lines)
        self._held["hertz"] = preset.pitch.hertz(np.ones(1))

    @property
    def sounding(self) -> bool:
        """Whether a drone is to be heard."""
        return bool(self._held["level"].any())

    def notes(self, heard: TrackStates, durations: NDArray[np.float64]) -> NDArray[np.void]:
        """The notes of moments that follow each other, shape (K,).

        Voices are counted as `Tracks.programs` are, slots up to 2 B.

        Args:
            heard: What lines sound.
            durations: How many seconds each moment takes, shape (S,).
        """
        if self._preset.texture == "none":
            return np.zeros(0, NOTE)
        if self.drones:
            return self._glides(heard, durations)
        when, which = np.nonzero(heard.present)
        notes = self._made(heard, when, which)
        longer = durations[when] / self.layout.duration
        notes["onset"] = self.layout.onsets[which] * longer
        self._lasting(notes, self.layout.note_seconds * longer)
        beside = heard.beside[when, which]
        also = notes[~np.isnan(beside)]
        also["hertz"] = beside[~np.isnan(beside), None]
        also["level"] *= _BESIDE
        also["slot"] += len(self._pan)
        return np.concatenate([notes, also])

    def hold(self, seconds: float, *, silent: bool = False) -> NDArray[np.void]:
        """A drone that goes on for so long, or falls silent meanwhile; else no notes."""
        if not self.drones:
            return np.zeros(0, NOTE)
        held = self._held.copy()
        for name in ("hertz", "level", "controls"):
            held[name][..., 0] = held[name][..., 1]
        if silent:
            held["level"][..., 1] = 0
        held["step"], held["duration"] = 0, seconds
        self._held = held
        return held.ravel()

    def _glides(
        self, heard: TrackStates, durations: NDArray[np.float64]
    ) -> NDArray[np.void]:
        """Notes that go on from one moment to the next, shape (K,)."""
        count, lines = heard.present.shape
        when, which = np.indices((count, lines)).reshape(2, -1)
        sounds = (heard.present & ~heard.lost).ravel()
        notes = self._made(heard, when, which)
        notes["voice"] = which
        notes["duration"] = durations[when]
        notes["level"][~sounds] = 0
        also = notes.copy()
        beside = heard.beside.ravel()
        also["slot"] += lines
        also["hertz"] = np.where(np.isnan(beside), notes["hertz"][:, 0], beside)[:, None]
        also["level"][np.isnan(beside)] = 0
        also["level"] *= _BESIDE
        both = np.stack([notes, also]).reshape(2, count, lines)
        both["continues"] = True
        # What is silent stays at its pitch, so that nothing glides that was not there.
        known = np.concatenate([self._held[:, None], both], axis=1)
        sounding = np.where(known["level"][..., 1] > 0, np.arange(count + 1)[:, None], 0)
        last = np.maximum.accumulate(sounding, axis=1)
        ends = np.take_along_axis(known["hertz"][..., 1], last, axis=1)
        known["hertz"][..., 1] = ends
        for name in ("hertz", "level", "controls"):
            known[name][:, 1:, ..., 0] = known[name][:, :-1, ..., 1]
        self._held = known[:, -1].copy()
        lost = self._made(heard, *np.nonzero(heard.lost))
        lost["level"] *= _PULSING
        self._lasting(lost, durations[lost["step"]])
        return np.concatenate([known[:, 1:].ravel(), lost])

    def _made(
        self, heard: TrackStates, when: NDArray[np.intp], which: NDArray[np.intp]
    ) -> NDArray[np.void]:
        """Notes of some lines at some moments, shape (K,), without times."""
        notes = np.zeros(len(when), NOTE)
        at = when, which
        notes["step"], notes["line"], notes["pan"] = when, which, self._pan[which]
        notes["slot"] = which if self.layout.together > 1 else 0
        notes["voice"] = np.where(heard.lost[at], len(self._pan), which)
        notes["hertz"] = heard.hertz[at][:, None]
        notes["level"] = heard.level[at][:, None] / np.sqrt(self.layout.together)
        controls = {**heard.controls, "depth": self._depth[None]}
        for name, values in controls.items():
            each = np.broadcast_to(values, heard.hertz.shape)[at]
            notes["controls"][:, CONTROLS.index(name)] = each[:, None]
        return notes

    def _lasting(self, notes: NDArray[np.void], durations: NDArray[np.float64]) -> None:
        notes["duration"] = durations
        notes["fade"] = np.minimum(self._preset.fade_seconds, durations / 2)
