"""From moments to their score: lines become notes, alarms figures and captions.

Shapes: S moments, L layers, B lines, K notes.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.announcing import PROGRAMS, SOFTER, Announcer, tones
from gradsound.music.captions import Caption
from gradsound.music.lines import Lines
from gradsound.music.textures import lay_out
from gradsound.synth.program import CONTROLS
from gradsound.synth.score import NOTE, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.alarms import Alarm
    from gradsound.music.lines import Heard
    from gradsound.music.moments import Moment
    from gradsound.music.preset import Preset

_BESIDE = 0.7  # times the level, for a norm from before clipping
_PULSING = 1.5  # times the level, for lost norms in what is else without pauses
_MINUTE = 60.0  # seconds
_FADES = 0.5  # seconds that a drone takes to fall silent


class Composer:
    """Composes a run, moment by moment or many at a time, which gives the same.

    Args:
        names: The layers', L of them.
        preset: How it sounds.
        place: Where all of it is, -1 left to 1 right, if not where the preset has it.
        name: What to call the run in captions, if there are several.

    Attributes:
        captions: What there is to read; whoever takes it may empty it.
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
    ) -> None:
        self._lines, self._preset = Lines(names, preset), preset
        count = len(self._lines.names)
        self.layout = lay_out(preset.texture, count, preset.note, preset.rest)
        self._depth = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
        self._pan = preset.spread * (2 * self._depth - 1)
        self._place, self._name = place, f"{name}, " if name else ""
        if place is not None:
            self._pan[:] = place
        self._figures = Announcer(preset.alarms)
        self._softer: list[tuple[float, float]] = []  # from when to when, seconds
        self._held = np.zeros((2, count), NOTE)  # what a drone sounds, and from before
        self._held["hertz"] = preset.pitch.hertz(np.ones(1))
        self._epoch: float | None = None
        self._minute = 1  # the next to tell
        self.drones = preset.texture == "drone"
        self.voices = (*self._lines.programs, *PROGRAMS)
        self.captions: list[Caption] = []

    def described(self) -> list[str]:
        """What each line is: its name, and which layers it gathers if these are several."""
        return self._lines.described()

    def longer(self, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """As `Lines.longer`: times that of the layout."""
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
        longer = durations / self.layout.duration
        if self.drones:
            notes = self._glides(heard, begins, durations)
        elif self._preset.texture == "none":
            notes = np.zeros(0, NOTE)
        else:
            notes = self._notes(heard, begins, longer)
        self._lines.remember(moments)
        return Score(self.voices, np.concatenate([notes, *figures]), durations)

    def hold(self, seconds: float, *, silent: bool = False) -> Score:
        """What sounds where no moment has come: a drone goes on, all else is silent.

        Args:
            seconds: For how long.
            silent: Whether a drone falls silent meanwhile.
        """
        notes = np.zeros(0, NOTE)
        if self.drones:
            held = self._held.copy()
            held["hertz"][..., 0] = held["hertz"][..., 1]
            held["level"][..., 0] = held["level"][..., 1]
            held["controls"][..., 0] = held["controls"][..., 1]
            if silent:
                held["level"][..., 1] = 0
            held["step"], held["duration"] = 0, seconds
            self._held = held
            notes = held.ravel()
        return Score(self.voices, notes, np.array([seconds]))

    def announce(self, alarms: Sequence[Alarm], begin: float) -> Score:
        """The figures of alarms that no step brings, at a time; it takes no time itself."""
        figures = self._announced(alarms, 0, begin, begin)
        notes = np.concatenate([np.zeros(0, NOTE), *figures])
        return Score(self.voices, notes, np.zeros(1))

    def finish(self, alarms: Sequence[Alarm], begin: float) -> Score:
        """The score of the end: what still sounds falls silent, and is announced."""
        fades = _FADES if self._held["level"].any() else 0.0
        silence = self.hold(fades, silent=True).notes if fades else np.zeros(0, NOTE)
        figures = self._announced(alarms, 0, begin + fades, begin)
        if untold := self._figures.untold():
            self._captioned(begin, f"not announced: {untold}", "minute")
        over = self._figures.over if self._preset.alarms else begin
        left = max(fades, over - begin)
        notes = np.concatenate([silence, *figures])
        return Score(self.voices, notes, np.array([left]))

    def _notes(
        self, heard: Heard, begins: NDArray[np.float64], longer: NDArray[np.float64]
    ) -> NDArray[np.void]:
        """Notes of lines that sound by themselves, shape (K,)."""
        when, which = np.nonzero(heard.present)
        notes = self._made(heard, when, which)
        notes["onset"] = self.layout.onsets[which] * longer[when]
        notes["duration"] = self.layout.note * longer[when]
        notes["fade"] = np.minimum(self._preset.fade, notes["duration"] / 2)
        self._soften(notes, begins)
        beside = heard.beside[when, which]
        also = notes[~np.isnan(beside)]
        also["hertz"] = beside[~np.isnan(beside), None]
        also["level"] *= _BESIDE
        also["slot"] += len(self._pan)
        return np.concatenate([notes, also])

    def _glides(
        self, heard: Heard, begins: NDArray[np.float64], durations: NDArray[np.float64]
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
        self._soften(both, begins)
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
        lost["duration"] = durations[lost["step"]]
        lost["level"] *= _PULSING
        lost["fade"] = np.minimum(self._preset.fade, lost["duration"] / 2)
        return np.concatenate([known[:, 1:].ravel(), lost])

    def _made(
        self, heard: Heard, when: NDArray[np.intp], which: NDArray[np.intp]
    ) -> NDArray[np.void]:
        """Notes of some lines at some moments, shape (K,), without times."""
        notes = np.zeros(len(when), NOTE)
        at = when, which
        notes["step"], notes["pan"] = when, self._pan[which]
        notes["slot"] = which if self.layout.together > 1 else 0
        notes["voice"] = np.where(heard.lost[at], len(self._pan), which)
        notes["hertz"] = heard.hertz[at][:, None]
        notes["level"] = heard.level[at][:, None] / np.sqrt(self.layout.together)
        controls = {**heard.controls, "depth": self._depth[None]}
        for name, values in controls.items():
            each = np.broadcast_to(values, heard.hertz.shape)[at]
            notes["controls"][:, CONTROLS.index(name)] = each[:, None]
        return notes

    def _soften(self, notes: NDArray[np.void], begins: NDArray[np.float64]) -> None:
        """Makes room for figures: what begins while one sounds is softer."""
        onsets = begins[notes["step"]] + notes["onset"]
        for first, last in self._softer:
            notes["level"][(onsets >= first) & (onsets < last)] *= SOFTER
        self._softer = [(a, b) for a, b in self._softer if b > begins[-1]]

    def _tell(
        self,
        moments: Sequence[Moment],
        begins: NDArray[np.float64],
        durations: NDArray[np.float64],
    ) -> list[NDArray[np.void]]:
        """Writes captions, and returns figures."""
        figures = []
        for k, moment in enumerate(moments):
            begin = float(begins[k])
            epoch = moment.step.values.get("epoch", self._epoch)
            if epoch is not None and epoch != self._epoch and isfinite(epoch):
                self._epoch = epoch
                self._captioned(begin, f"step {moment.first:,}: epoch {epoch:g}", "epoch")
            if begin >= self._minute * _MINUTE:
                self._minute = int(begin // _MINUTE) + 1
                self._captioned(begin, self._lines.state(moment), "minute")
            if moment.alarms:
                share = self.layout.sounding / self.layout.duration
                after = begin + share * float(durations[k])
                figures += self._announced(moment.alarms, k, after, begin)
        return figures

    def _announced(
        self, alarms: Sequence[Alarm], step: int, time: float, begin: float
    ) -> list[NDArray[np.void]]:
        """Figures of alarms, from a time on, of a step that begins before it."""
        made = []
        figures, captions = self._figures.announce(alarms, time)
        for kind, when in figures if self._preset.alarms else ():
            notes = tones(kind, self._figures.level, self._place or 0.0)
            self._softer.append(
                (when, when + float(np.max(notes["onset"] + notes["duration"])))
            )
            notes["voice"] += len(self._lines.programs)
            notes["step"], notes["slot"] = step, 2 * len(self._pan)
            notes["onset"] += when - begin
            made.append(notes)
        for caption in captions:
            self._captioned(caption.time, caption.text, caption.kind)
        return made

    def _captioned(self, time: float, text: str, kind: str) -> None:
        self.captions.append(Caption(time, self._name + text, kind))
