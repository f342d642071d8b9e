"""From moments to their score: lines become notes, alarms figures and captions.

Shapes: S moments, L layers, B lines, K notes.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import replace
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.alarm_announcer import PROGRAMS, SOFTER, AlarmAnnouncer, tones
from gradsound.music.captions import Caption
from gradsound.music.notes import NoteWriter
from gradsound.music.tracks import Tracks
from gradsound.synth.score import NOTE, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.music.tracks import TrackStates

_MINUTE = 60.0  # seconds
_FADES = 0.5  # seconds that a drone takes to fall silent


class Composer:
    """Composes a run, moment by moment or many at a time, which gives the same.

    Args:
        names: The layers', L of them.
        preset: How it sounds.
        place: Where all of it is, -1 left to 1 right, if not where the preset has it.
        name: What to call the run in captions, if there are several.
        until: Seconds at which the sound is over at the latest.

    Attributes:
        captions: What there is to read, in order of time; whoever takes it may empty it.
        layout: Of a step of usual length.
        drones: Whether it sounds between moments too.
        voices: What its scores are played by.
    """

    def __init__(
        self,
        names: Sequence[str],
        preset: Preset,
        place: float | None = None,
        name: str = "",
        until: float = inf,
    ) -> None:
        self._lines, self._preset = Tracks(names, preset), preset
        self._voicing = NoteWriter(preset, len(self._lines.names), place)
        self._place, self._name = place or 0.0, f"{name}, " if name else ""
        self._figures = AlarmAnnouncer(preset.alarms, until)
        self._softer: list[tuple[float, float]] = []  # from when to when, seconds
        self._epoch: float | None = None
        self._minute = 1  # the next to tell
        self._number = -1  # of the last step
        self.layout, self.drones = self._voicing.layout, self._voicing.drones
        self.voices = (*self._lines.programs, *PROGRAMS)
        self.captions: list[Caption] = []

    def described(self) -> list[str]:
        """What each line is: its name, and which layers it gathers if these are several."""
        return self._lines.described()

    def layers_by_track(self) -> list[tuple[str, tuple[int, ...]]]:
        """The name of each line, and the layers that it gathers."""
        return self._lines.layers_by_track()

    def longer(self, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """As `Tracks.longer`: times that of the layout."""
        return self._lines.longer(moments)

    def learn(self, moments: Sequence[Moment]) -> None:
        """Takes moments for known, so that later ones are heard against these."""
        self._lines.hear(moments)
        self._lines.remember(moments)

    def compose(
        self,
        moments: Sequence[Moment],
        begins: NDArray[np.float64],
        durations: NDArray[np.float64],
    ) -> Score:
        """Returns the score of moments that follow each other.

        Every line has its place in time, so that it is known by when it sounds: a finite
        norm is a note, NaN and infinity are a clang, and a band without gradient is silent.

        Args:
            moments: At least one, of the same layers.
            begins: Seconds at which each begins, shape (S,).
            durations: How many seconds each takes, shape (S,).
        """
        heard = self._lines.hear(moments)
        figures = self._tell(moments, begins, durations)
        self._soften(heard, begins, durations)
        notes = self._voicing.notes(heard, durations)
        self._lines.remember(moments)
        self._number = moments[-1].step.number
        return Score(self.voices, np.concatenate([notes, *figures]), durations)

    def hold(self, seconds: float, *, silent: bool = False) -> Score:
        """What sounds where no moment has come: a drone goes on, all else is silent.

        Args:
            seconds: For how long.
            silent: Whether a drone falls silent meanwhile.
        """
        notes = self._voicing.hold(seconds, silent=silent)
        return Score(self.voices, notes, np.array([seconds]))

    def idle(self, alarm: Alarm | None, begin: float) -> Score | None:
        """The figures of what no step brings, at a time; they take no time of their own.

        Args:
            alarm: What was found meanwhile, if anything.
            begin: When, in seconds.
        """
        if self._is_minute(begin):
            text = f"no step since step {self._number:,}"
            self._captioned(Caption(begin, text, "minute", self._number))
        alarms = [] if alarm is None else [alarm]
        if not (alarms or self._figures.due(begin)):
            return None
        figures = self._announced(alarms, 0, begin, begin)
        return Score(
            self.voices, np.concatenate([np.zeros(0, NOTE), *figures]), np.zeros(1)
        )

    def finish(self, alarms: Sequence[Alarm], begin: float) -> Score:
        """The score of the end: what still sounds falls silent, and is announced."""
        fades = _FADES if self._voicing.sounding else 0.0
        silence = self._voicing.hold(fades, silent=True) if fades else np.zeros(0, NOTE)
        figures = self._announced(alarms, 0, begin + fades, begin)
        if untold := self._figures.untold():
            self._captioned(Caption(begin, f"not announced: {untold}", "minute"))
        over = self._figures.over if self._preset.alarms else begin
        left = max(fades, over - begin)
        notes = np.concatenate([silence, *figures])
        return Score(self.voices, notes, np.array([left]))

    def _soften(
        self,
        heard: TrackStates,
        begins: NDArray[np.float64],
        durations: NDArray[np.float64],
    ) -> None:
        """Makes room for figures: what begins while one sounds is softer."""
        longer = durations / self.layout.duration
        onsets = begins[:, None] + self.layout.onsets * longer[:, None]
        for first, last in self._softer:
            heard.level[(onsets >= first) & (onsets < last)] *= SOFTER
        self._softer = [(a, b) for a, b in self._softer if b > begins[-1]]

    def _tell(
        self,
        moments: Sequence[Moment],
        begins: NDArray[np.float64],
        durations: NDArray[np.float64],
    ) -> list[NDArray[np.void]]:
        """Writes captions, and returns figures."""
        figures, share = [], self.layout.sounding / self.layout.duration
        for k, moment in enumerate(moments):
            begin = float(begins[k])
            epoch = moment.step.values.get("epoch", self._epoch)
            if epoch is not None and epoch != self._epoch and isfinite(epoch):
                self._epoch = epoch
                text = f"step {moment.first:,}: epoch {epoch:g}"
                self._captioned(Caption(begin, text, "epoch", moment.first))
            if self._is_minute(begin):
                text, number = self._lines.state(moment), moment.step.number
                self._captioned(Caption(begin, text, "minute", number))
            after = begin + share * float(durations[k])
            if moment.alarms or self._figures.due(after):
                figures += self._announced(moment.alarms, k, after, begin)
        return figures

    def _is_minute(self, time: float) -> bool:
        """Whether a minute is over that none has told of; then it is told."""
        over = time >= self._minute * _MINUTE
        if over:
            self._minute = int(time // _MINUTE) + 1
        return over

    def _announced(
        self, alarms: Sequence[Alarm], step: int, time: float, begin: float
    ) -> list[NDArray[np.void]]:
        """Figures of alarms, from a time on, of a step that begins before it."""
        made = []
        figures, captions = self._figures.announce(alarms, time)
        for kind, when in figures if self._preset.alarms else ():
            notes = tones(kind, self._figures.level, self._place)
            self._softer.append(
                (when, when + float(np.max(notes["onset"] + notes["duration"])))
            )
            notes["voice"] += len(self._lines.programs)
            notes["step"], notes["slot"] = step, 2 * len(self._lines.names)
            notes["onset"] += when - begin
            made.append(notes)
        for caption in captions:
            self._captioned(caption)
        return made

    def _captioned(self, caption: Caption) -> None:
        told = replace(caption, text=self._name + caption.text)
        insort(self.captions, told, key=lambda one: one.time)
