"""Conducting: what of a run sounds next, every step in turn or as they come."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.live.backlog import FifoBacklog, MergingBacklog
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradsound.live.backlog import Backlog
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run, Step
    from gradsound.synth.score import Score
    from gradsound.synth.sequencer import Sequencer

FASTEST = 1 / 15  # seconds from step to step; faster ones the ear does not follow
_LEARNT = 256  # moments at a time
_AT_ONCE = 64  # steps that come live, at most


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """What sounds next.

    Attributes:
        score: Its notes.
        moment: The steps that it is of; None if it is of none.
    """

    score: Score
    moment: Moment | None = None


class Conductor:
    """Reads a run, in a thread, and says what sounds next.

    Args:
        run: What to play; its steps are read once, and may come as they are made.
        preset: How steps sound.
        live: Whether a step sounds when it comes, several that come too fast as one, or
            each in its turn. If it does, whoever reads must `take_in` before it waits.
        hold: Seconds that a drone goes on where no step comes.
        begin: Number of the first step to be heard. Those before are only known, so that
            later ones are heard against them; infinity is that of none before `catch_up`.
        knew: Called with such steps, as moments, by the thread that reads.
        came: Called when there is something to play, by the thread that reads.

    Attributes:
        composer: What composes; its captions are for whoever plays.
        number: That of the step that sounds; -1 before the first.
        failure: What ended the reading, if anything did.
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        *,
        live: bool,
        hold: float,
        begin: float = 0,
        knew: Callable[[list[Moment]], object] = lambda _: None,
        came: Callable[[], object] = lambda: None,
    ) -> None:
        self._run, self._live, self._hold = run, live, hold
        self._begin, self._knew, self._came = begin, knew, came
        self._steps: list[Step] = []  # that were read, and not yet looked at
        self._known: list[Moment] = []  # not yet learnt
        self.composer = Composer(run.header.layers, preset)
        self._watch = RunDetector(run.header.layers, preset.thresholds)
        self._waiting: Backlog = MergingBacklog() if live else FifoBacklog()
        self._begun = -FASTEST  # seconds; the moment that sounds
        self._last = np.inf  # the last step, on the clock
        self._finished = self._stopped = False
        self.number = -1
        self.failure: Exception | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        """Begins to read."""
        self._reader.start()

    def stop(self) -> None:
        """Reads no further."""
        self._stopped = True

    @property
    def read(self) -> bool:
        """Whether the run was read to its end."""
        return not self._reader.is_alive()

    @property
    def begun(self) -> bool:
        """Whether a step was read."""
        return self._last < np.inf

    @property
    def done(self) -> bool:
        """Whether nothing comes any more."""
        read = self.read  # asked first: then nothing can be put any more
        return read and self._waiting.empty() and (self._finished or self.number < 0)

    def pause(self, placer: Sequencer) -> float:
        """Seconds until the ear can follow another step."""
        return max(0.0, self._begun + FASTEST - placer.now) if self._live else 0.0

    def next(self, placer: Sequencer) -> Iterator[Passage]:
        """Yields what is to be played next, to be placed one by one.

        It is asked for when what was placed is nearly over. Nothing may come: then a step
        is waited for.
        """
        if self._finished:
            return
        read = self.read
        moment = None if self.pause(placer) else self._waiting.take()
        if moment is not None:
            self._begun, self.number = placer.now, moment.step.number
            yield Passage(self._composed(moment, placer.end), moment)
        elif self.number < 0 or not self._waiting.empty():
            pass
        elif read:
            self._finished = True
            yield Passage(self.composer.finish([self._watch.end()], placer.end))
        elif self._live:
            yield from self._wait(placer)

    def _wait(self, placer: Sequencer) -> Iterator[Passage]:
        """What sounds where no step has come."""
        alarm = self._watch.waited(time.monotonic() - self._last)
        told = self.composer.idle(alarm, placer.end)
        if told is not None:
            yield Passage(told)
        if self.composer.drones:
            silent = self._watch.stalled
            yield Passage(self.composer.hold(self._hold, silent=silent))

    def _composed(self, moment: Moment, begin: float) -> Score:
        durations = self.composer.layout.duration * self.composer.longer([moment])
        return self.composer.compose([moment], np.array([begin]), durations)

    def catch_up(self) -> None:
        """Has every step heard that is read from now on; for the thread that reads."""
        self.take_in()
        self._learn()
        self._begin = 0

    def take_in(self) -> None:
        """Hears of what was read, before more is waited for; for the thread that reads."""
        steps, self._steps = self._steps, []
        for step, alarms in zip(steps, self._watch.look(steps)):
            moment = Moment(step.number, step, alarms)
            if step.number < self._begin:
                self._known.append(moment)
                if len(self._known) == _LEARNT:
                    self._learn()
            else:
                self._learn()
                while not (self._waiting.put(moment) or self._stopped):
                    pass
                self._came()

    def _read(self) -> None:
        try:
            for step in self._run.steps:
                self._last = time.monotonic()
                self._steps.append(step)
                # Ten at a time take hardly longer than one: time that is the training's.
                if not self._live or len(self._steps) == _AT_ONCE:
                    self.take_in()
                if self._stopped:
                    return
            self.take_in()
            self._learn()
        except (OSError, ValueError) as error:
            self.failure = error
        self._came()

    def _learn(self) -> None:
        if self._known:
            self.composer.learn(self._known)
            self._knew(self._known)
            self._known = []
