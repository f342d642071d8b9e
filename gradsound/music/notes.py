"""Notes of tracks: separate notes, or drones that glide from moment to moment.

Shapes: S moments, B tracks, K notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.held_notes import hold_notes
from gradsound.synth.score import NOTE
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.music.textures import Layout
    from gradsound.music.track_states import TrackStates

_UNCLIPPED_LEVEL = 0.7  # times the level, so that the norm after clipping stands out
_CLANG_LEVEL = 1.5  # times the level, so that a clang stands out of a drone
_GLIDING = ("hertz", "level", "controls")  # fields in which a drone note follows the last


def pan_tracks(tracks: int, spread: float) -> NDArray[np.float64]:
    """Returns the pan of each track, from left to right, shape (B,).

    Args:
        tracks: Number of tracks, B.
        spread: Pan of the last track, 0 to 1; the first has the opposite. A single track
            is in the middle.
    """
    places = 2 * _depths(tracks) - 1 if tracks > 1 else np.zeros(1)
    return np.asarray(spread * places)


def _depths(tracks: int) -> NDArray[np.float64]:
    """Returns the control "depth" of each track, from 0 to 1, shape (B,)."""
    return np.linspace(0, 1, tracks) if tracks > 1 else np.zeros(1)


def _without_silent_breaths(drone: NDArray[np.void]) -> NDArray[np.void]:
    """Returns the notes of a drone in one row; noise needs no note to keep its phase.

    Args:
        drone: Of the norms, of norms before clipping, and breaths, shape (3, ...).
    """
    breaths = drone[2].ravel()
    return np.concatenate([drone[:2].ravel(), breaths[breaths["level"].any(axis=1)]])


class NoteWriter:
    """Writes the notes of successive track states.

    Args:
        layout: When each track sounds in a step of usual duration.
        pans: Pan of each track, -1 left to 1 right, shape (B,).
        texture: One of `TEXTURES`; "drone" glides, "none" writes no note.
        fade_seconds: Fade at each end of a note.
        start_hertz: Pitch from which the tracks of a drone first glide.

    Attributes:
        layout: As given.
        drones: Whether notes sound between moments too.
    """

    def __init__(
        self,
        layout: Layout,
        pans: NDArray[np.float64],
        *,
        texture: str,
        fade_seconds: float,
        start_hertz: float,
    ) -> None:
        self.layout, self.drones = layout, texture == "drone"
        self._silent, self._fade_seconds = texture == "none", fade_seconds
        self._pans, self._depths = pans, _depths(len(pans))
        # The last notes of the drone: of the norms, of the norms before clipping, and
        # breaths.
        self._drone = np.zeros((3, len(pans)), NOTE)
        self._drone["track"] = np.arange(len(pans))
        self._drone["hertz"] = start_hertz

    @property
    def drone_is_audible(self) -> bool:
        """Whether a track of the drone has a level above 0."""
        return bool(self._drone["level"].any())

    def notes(
        self, states: TrackStates, durations: NDArray[np.float64]
    ) -> NDArray[np.void]:
        """Returns the notes of successive moments, shape (K,).

        The field "voice" is an index into `Tracks.programs`; slots are below 2 B, and from
        2 B + 1 to 3 B for breaths.

        Args:
            states: States of the tracks.
            durations: Duration of each moment in seconds, shape (S,).
        """
        if self._silent:
            return np.zeros(0, NOTE)
        if self.drones:
            return self._glides(states, durations)
        moments, tracks = np.nonzero(states.present)
        notes = self._make_notes(states, moments, tracks)
        factors = durations[moments] / self.layout.duration
        notes["onset"] = self.layout.onsets[tracks] * factors
        self._set_durations(notes, self.layout.note_seconds * factors)
        if (states.lengths != 1).any():  # most runs have no signals
            longest = durations[moments] - notes["onset"]
            lengths = states.lengths[moments, tracks]
            hold_notes(notes, lengths, longest, self.layout.headroom)
        unclipped_hertz = states.unclipped_hertz[moments, tracks]
        clipped = ~np.isnan(unclipped_hertz)
        unclipped = notes[clipped]
        unclipped["hertz"] = unclipped_hertz[clipped, None]
        unclipped["level"] *= _UNCLIPPED_LEVEL
        unclipped["slot"] += len(self._pans)
        return np.concatenate([notes, unclipped, self._breaths(states, notes)])

    def hold(self, seconds: float, *, silent: bool = False) -> NDArray[np.void]:
        """Returns notes that continue the drone; no notes if the texture is no drone.

        Args:
            seconds: Duration of the notes.
            silent: Whether the notes fade to silence.
        """
        if not self.drones:
            return np.zeros(0, NOTE)
        drone = self._drone.copy()
        for name in _GLIDING:
            drone[name][..., 0] = drone[name][..., 1]
        if silent:
            drone["level"][..., 1] = 0
        drone["step"], drone["duration"] = 0, seconds
        self._drone = drone
        return _without_silent_breaths(drone)

    def _glides(
        self, states: TrackStates, durations: NDArray[np.float64]
    ) -> NDArray[np.void]:
        """Returns the notes of a drone and of clangs, shape (K,).

        Each note of the drone continues the last note of its track.
        """
        count, width = states.present.shape
        moments, tracks = np.indices((count, width)).reshape(2, -1)
        zero = states.zero.ravel()
        audible = (states.present & ~states.nonfinite).ravel()
        notes = self._make_notes(states, moments, tracks)
        notes["voice"] = tracks
        notes["duration"] = durations[moments]
        breaths = notes.copy()  # a norm of 0 is nothing else
        breaths["voice"], breaths["slot"] = width + 1, breaths["slot"] + 2 * width + 1
        breaths["hertz"] = states.breath_hertz[tracks, None]
        breaths["level"][~zero] = self._peaks(states.breath_level.ravel())[~zero]
        notes["level"][~audible | zero] = 0
        unclipped = notes.copy()
        hertz = states.unclipped_hertz.ravel()
        idle = np.isnan(hertz)
        unclipped["slot"] += width
        unclipped["hertz"] = np.where(idle, notes["hertz"][:, 0], hertz)[:, None]
        unclipped["level"][idle] = 0
        unclipped["level"] *= _UNCLIPPED_LEVEL
        drone = np.stack([notes, unclipped, breaths]).reshape(3, count, width)
        drone["continues"] = True
        # A silent track keeps its last audible pitch. Otherwise a track that fades out
        # would glide to the placeholder pitch of a missing norm.
        drone = np.concatenate([self._drone[:, None], drone], axis=1)
        numbers = np.arange(count + 1)[:, None]
        last = np.where(drone["level"][..., 1] > 0, numbers, 0)
        last = np.maximum.accumulate(last, axis=1)
        drone["hertz"][..., 1] = np.take_along_axis(drone["hertz"][..., 1], last, axis=1)
        for name in _GLIDING:
            drone[name][:, 1:, ..., 0] = drone[name][:, :-1, ..., 1]
        self._drone = drone[:, -1].copy()
        clangs = self._make_notes(states, *np.nonzero(states.nonfinite))
        clangs["level"] *= _CLANG_LEVEL
        self._set_durations(clangs, durations[clangs["step"]])
        return np.concatenate([_without_silent_breaths(drone[:, 1:]), clangs])

    def _make_notes(
        self, states: TrackStates, moments: NDArray[np.intp], tracks: NDArray[np.intp]
    ) -> NDArray[np.void]:
        """Returns notes without onsets and durations, shape (K,).

        Args:
            states: States of the tracks.
            moments: Index of each note's moment, shape (K,).
            tracks: Index of each note's track, shape (K,).
        """
        notes = np.zeros(len(moments), NOTE)
        at = moments, tracks
        notes["step"], notes["track"], notes["pan"] = moments, tracks, self._pans[tracks]
        notes["slot"] = tracks if self.layout.polyphony > 1 else 0
        notes["voice"] = np.where(states.nonfinite[at], len(self._pans), tracks)
        notes["voice"][states.zero[at]] = len(self._pans) + 1
        notes["hertz"] = states.hertz[at][:, None]
        notes["level"] = self._peaks(states.level[at])
        controls = {**states.controls, "depth": self._depths[None]}
        for name, values in controls.items():
            control = np.broadcast_to(values, states.hertz.shape)[at]
            notes["controls"][:, CONTROLS.index(name)] = control[:, None]
        return notes

    def _peaks(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the peaks of notes at both ends, of which several sound at once."""
        peaks = levels[:, None] * self.layout.gain / np.sqrt(self.layout.polyphony)
        return np.asarray(peaks)

    def _breaths(self, states: TrackStates, notes: NDArray[np.void]) -> NDArray[np.void]:
        """Returns the breath in each of the notes that has one, shape (K,)."""
        if not states.breath_level.any():
            return notes[:0]
        at = notes["step"], notes["track"]
        shares = (states.breath_level / states.level)[at]
        breaths: NDArray[np.void] = notes[shares > 0]
        breaths["voice"] = len(self._pans) + 1
        breaths["slot"] += 2 * len(self._pans) + 1
        breaths["hertz"] = states.breath_hertz[breaths["track"], None]
        breaths["level"] *= shares[shares > 0, None]
        return breaths

    def _set_durations(
        self, notes: NDArray[np.void], durations: NDArray[np.float64]
    ) -> None:
        notes["duration"] = durations
        notes["fade"] = np.minimum(self._fade_seconds, durations / 2)
