"""The composer: makes the score of a run's moments, with notes, alarm sounds and captions.

Shapes: S moments, L layers, B tracks, K notes.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.alarm_announcer import (
    PROGRAMS,
    AlarmAnnouncer,
    alarm_notes,
)
from gradsound.music.anchor_captions import AnchorCaptions
from gradsound.music.captions import Caption, unannounced_text
from gradsound.music.ducking import Ducking
from gradsound.music.notes import NoteWriter, pan_tracks
from gradsound.music.run_captions import RunCaptions
from gradsound.music.tracks import Tracks
from gradsound.synth.score import NOTE, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.music.textures import Layout

_DRONE_FADE = 0.5  # seconds in which a drone falls silent at the end of the run


class Composer:
    """Composes the scores of a run's successive moments.

    The number of moments in a call does not change the notes.

    Args:
        names: Names of the layers, L of them.
        preset: How the run sounds.
        pan: Pan of all notes, -1 left to 1 right; by default the preset spreads the tracks.
        run_name: Name of the run in captions, if there are several runs.
        time_limit: As for `AlarmAnnouncer`.
        layout: When each track sounds in a step; None for the layout of the preset.
        follow: As for `Tracks`.

    Attributes:
        captions: Captions in order of time. A player may remove those that it has shown.
        layout: The layout of a step of usual duration.
        drones: Whether notes sound between moments too.
        voices: The programs of the scores' voices.
    """

    def __init__(
        self,
        names: Sequence[str],
        preset: Preset,
        pan: float | None = None,
        run_name: str = "",
        time_limit: float = inf,
        *,
        layout: Layout | None = None,
        follow: bool = False,
    ) -> None:
        self._tracks = Tracks(names, preset, follow=follow)
        count = len(self._tracks.names)
        self._writer = NoteWriter(
            preset.layout(count) if layout is None else layout,
            pan_tracks(count, preset.spread) if pan is None else np.full(count, pan),
            texture=preset.texture,
            fade_seconds=preset.fade_seconds,
            start_hertz=float(preset.pitch.hertz(np.full(1, preset.pitch.norm))[0]),
        )
        self._alarm_pan = pan or 0.0
        self._run_captions = RunCaptions(self._tracks.bands, run_name)
        self._announcer = AlarmAnnouncer(preset.alarms, time_limit)
        self._anchor_captions = AnchorCaptions(preset, len(self._tracks.bands))
        self._ducking = Ducking()
        self.layout, self.drones = self._writer.layout, self._writer.drones
        self.voices = (*self._tracks.programs, *PROGRAMS)
        self.captions = self._run_captions.captions

    def track_descriptions(self) -> list[str]:
        """Returns `Tracks.descriptions`."""
        return self._tracks.descriptions()

    def layers_by_track(self) -> list[tuple[str, tuple[int, ...]]]:
        """Returns `Tracks.layers_by_track`."""
        return self._tracks.layers_by_track()

    def duration_factors(self, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """Returns `Tracks.duration_factors`; the usual duration is that of the layout."""
        return self._tracks.duration_factors(moments)

    def update_statistics(self, moments: Sequence[Moment]) -> None:
        """Adds moments to the running medians and values without composing them."""
        self._tracks.states(moments)
        self._tracks.update_values(moments)

    def compose(
        self,
        moments: Sequence[Moment],
        begins: NDArray[np.float64],
        durations: NDArray[np.float64],
    ) -> Score:
        """Returns the score of successive moments.

        Each track has a fixed place in the time of a step, so that a listener knows it by
        its onset. A finite norm is a note, and NaN or infinity is a clang. A band without
        gradient is silent.

        Args:
            moments: One or more, of the same layers.
            begins: Begin of each moment in seconds, shape (S,).
            durations: Duration of each moment in seconds, shape (S,).
        """
        states = self._tracks.states(moments)
        for caption in self._anchor_captions.make(states.anchor_norms, begins, moments):
            self._run_captions.add_shared(caption)
        alarm_sounds = self._announce_moments(moments, begins, durations)
        factors = durations / self.layout.duration
        onsets = begins[:, None] + self.layout.onsets * factors[:, None]
        for levels in (states.level, states.breath_level):
            self._ducking.attenuate(levels, onsets)
        self._ducking.forget(begins[-1])
        notes = self._writer.notes(states, durations)
        self._tracks.update_values(moments)
        return Score(self.voices, np.concatenate([notes, *alarm_sounds]), durations)

    def hold(self, seconds: float, *, silent: bool = False) -> Score:
        """Returns the score of a time without moments: the drone goes on.

        Args:
            seconds: Duration.
            silent: Whether the drone fades to silence.
        """
        notes = self._writer.hold(seconds, silent=silent)
        return Score(self.voices, notes, np.array([seconds]))

    def idle(self, alarm: Alarm | None, begin: float) -> Score | None:
        """Returns the alarm sounds of a time without moments; None if none is due.

        The score has the duration 0, so the next moment does not wait for the sounds.

        Args:
            alarm: A new alarm, if any.
            begin: Time in seconds.
        """
        self._run_captions.add_pause(begin)
        alarms = [] if alarm is None else [alarm]
        if not (alarms or self._announcer.due(begin)):
            return None
        alarm_sounds = self._announce(alarms, 0, begin, begin)
        notes = np.concatenate([np.zeros(0, NOTE), *alarm_sounds])
        return Score(self.voices, notes, np.zeros(1))

    def finish(self, alarms: Sequence[Alarm], begin: float) -> Score:
        """Returns the score of the end: the drone fades to silence, then alarms sound.

        Args:
            alarms: The end alarm, or none.
            begin: Time in seconds.
        """
        fade = _DRONE_FADE if self._writer.drone_is_audible else 0.0
        silence = self._writer.hold(fade, silent=True) if fade else np.zeros(0, NOTE)
        alarm_sounds = self._announce(alarms, 0, begin + fade, begin)
        if counts := self._announcer.uncaptioned_counts():
            self._run_captions.add(Caption(begin, unannounced_text(counts), "minute"))
        sounds_end = self._announcer.sounds_end if self._announcer.level else begin
        duration = max(fade, sounds_end - begin)
        notes = np.concatenate([silence, *alarm_sounds])
        return Score(self.voices, notes, np.array([duration]))

    def _announce_moments(
        self,
        moments: Sequence[Moment],
        begins: NDArray[np.float64],
        durations: NDArray[np.float64],
    ) -> list[NDArray[np.void]]:
        """Adds the captions of moments, and returns the notes of their alarm sounds."""
        alarm_sounds, share = [], self.layout.notes_end / self.layout.duration
        for k, moment in enumerate(moments):
            begin = float(begins[k])
            self._run_captions.add_moment(moment, begin)
            notes_end = begin + share * float(durations[k])
            if moment.alarms or self._announcer.due(notes_end):
                alarm_sounds += self._announce(moment.alarms, k, notes_end, begin)
        return alarm_sounds

    def _announce(
        self, alarms: Sequence[Alarm], step: int, time: float, step_begin: float
    ) -> list[NDArray[np.void]]:
        """Adds the captions of alarms, and returns the notes of their sounds.

        Args:
            alarms: New alarms.
            step: Index of the step in the score.
            time: Earliest begin of an alarm sound in seconds.
            step_begin: Begin of the step in seconds.
        """
        alarm_sounds = []
        sounds, captions = self._announcer.announce(alarms, time)
        for kind, begin in sounds if self._announcer.level else ():
            notes = alarm_notes(kind, self._announcer.level, self._alarm_pan)
            end = begin + float(np.max(notes["onset"] + notes["duration"]))
            self._ducking.add(begin, end)
            notes["voice"] += len(self._tracks.programs)
            notes["step"], notes["slot"] = step, 2 * len(self._tracks.names)
            notes["onset"] += begin - step_begin
            alarm_sounds.append(notes)
        for caption in captions:
            self._run_captions.add(caption)
        return alarm_sounds
