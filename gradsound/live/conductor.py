"""The conductor: reads a run and chooses the score to play next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.live.backlog import MIN_STEP_SECONDS, FifoBacklog, MergingBacklog
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment, merge_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradsound.alarms.thresholds import Alarm
    from gradsound.live.backlog import Backlog
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock
    from gradsound.synth.score import Score
    from gradsound.synth.sequencer import Sequencer

_LEARN_AT_ONCE = 256  # moments; one call of the composer costs more than one moment


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A score to play next.

    Attributes:
        score: The notes.
        moment: The steps that the notes sonify; None for silence, drones and alarms
            between steps.
    """

    score: Score
    moment: Moment | None = None


class Conductor:
    """Reads a run in a thread and composes the next passage when the player asks for it.

    A conductor that is not live plays every step in order. A live conductor plays a step
    as soon as it arrives; steps that arrive within 1/15 s of the last one are merged.

    Args:
        run: The run to play. The thread iterates its steps once; they may still grow.
        preset: How steps sound. The anchor of its pitches follows the norms if the run is
            live or can be iterated only once; otherwise the caller fits it.
        live: Whether to merge steps that arrive too fast.
        hold: Seconds that a drone goes on while no step arrives.
        first_step: Number of the first step to play. Earlier steps only update the
            running statistics; math.inf plays no step until `catch_up`.
        on_learned: Called by the reader thread with the moments of earlier steps.
        on_ready: Called by the reader thread when a moment is ready to play.

    Attributes:
        composer: Composes the scores; the player takes its captions.
        step_number: Number of the step that sounds; -1 before the first.
        failure: The exception that ended the reading, if any.

    Example:
        >>> import gradsound
        >>> import numpy as np
        >>> from gradsound.runs.model import Header, Run
        >>> from gradsound.runs.step import Step
        >>> from gradsound.synth.sequencer import Sequencer
        >>> step = Step(0, 0.0, np.ones(1, np.float32), np.zeros(1, bool))
        >>> run = Run(Header(layers=("head",), parameters=(1,), start=""), [step])
        >>> conductor = Conductor(run, gradsound.PRESETS["notes"], live=False, hold=0.1)
        >>> sequencer = Sequencer(44_100, channels=2)
        >>> conductor.start()
        >>> while not conductor.finished:
        ...     for passage in conductor.next_passages(sequencer):
        ...         _ = sequencer.schedule(passage.score)
        ...     sequencer.frame += sequencer.frames_left
        >>> conductor.step_number
        0
        >>> [caption.text for caption in conductor.composer.captions]
        ['step 0: end of the run: 1 step']
    """

    def __init__(
        self,
        run: Run,
        preset: Preset,
        *,
        live: bool,
        hold: float,
        first_step: float = 0,
        on_learned: Callable[[list[Moment]], object] = lambda _: None,
        on_ready: Callable[[], object] = lambda: None,
    ) -> None:
        self._run, self._live, self._hold = run, live, hold
        self._first_step = first_step
        self._on_learned, self._on_ready = on_learned, on_ready
        self._unlearned: list[Moment] = []  # before first_step, not yet in the statistics
        follow = live or isinstance(run.steps, Iterator)
        self.composer = Composer(run.header.layers, preset, follow=follow)
        self._detector = RunDetector(run.header, preset.thresholds)
        self._backlog: Backlog = MergingBacklog() if live else FifoBacklog()
        self._onset = -MIN_STEP_SECONDS  # seconds; of the step that sounds
        self._read_time = np.inf  # seconds of the clock; when the last step was read
        self._end_composed = self._stopped = False
        self.step_number = -1
        self.failure: Exception | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Starts the thread that reads the run."""
        self._reader.start()

    def stop(self) -> None:
        """Ends the thread after the step that it reads now."""
        self._stopped = True

    @property
    def exhausted(self) -> bool:
        """Whether the thread has read the whole run, or failed."""
        return not self._reader.is_alive()

    @property
    def has_steps(self) -> bool:
        """Whether the thread has read a step."""
        return self._read_time < np.inf

    @property
    def has_next(self) -> bool:
        """Whether a moment waits to be played."""
        return not self._backlog.empty()

    @property
    def finished(self) -> bool:
        """Whether no passage follows."""
        # Read before the backlog: afterwards the thread can put no moment any more.
        exhausted = self.exhausted
        over = self._end_composed or self.step_number < 0
        return exhausted and self._backlog.empty() and over

    def pause(self, sequencer: Sequencer) -> float:
        """Returns the seconds until the ear can follow another step."""
        if not self._live:
            return 0.0
        return max(0.0, self._onset + MIN_STEP_SECONDS - sequencer.time)

    def due_passages(self, sequencer: Sequencer, ahead: int) -> Iterator[Passage]:
        """Yields the passages that a player with a clock needs, as `next_passages` does.

        Args:
            sequencer: At the frame of the clock.
            ahead: Frames that are to be composed before the clock reaches them.
        """
        before = -1.0
        # A passage of no duration (an alarm) or none at all ends the loop.
        while sequencer.frames_left < ahead and sequencer.next_start > before:
            before = sequencer.next_start
            yield from self.next_passages(sequencer)

    def next_passages(self, sequencer: Sequencer) -> Iterator[Passage]:
        """Yields the passages to play next.

        The caller asks when the placed scores are nearly over, and places each passage
        before it takes the next one. Yields no passage while a step is awaited.
        """
        if self._end_composed:
            return
        exhausted = self.exhausted
        moment = None if self.pause(sequencer) else self._backlog.pop()
        if moment is not None:
            self._onset, self.step_number = sequencer.time, moment.step.number
            yield Passage(self._compose(moment, sequencer.next_start), moment)
        elif self.step_number < 0 or not self._backlog.empty():
            pass
        elif exhausted:
            self._end_composed = True
            yield Passage(
                self.composer.finish([self._detector.end_alarm()], sequencer.next_start)
            )
        elif self._live:
            yield from self._idle_passages(sequencer)

    def _idle_passages(self, sequencer: Sequencer) -> Iterator[Passage]:
        alarm = self._detector.detect_stall(time.monotonic() - self._read_time)
        announcement = self.composer.idle(alarm, sequencer.next_start)
        if announcement is not None:
            yield Passage(announcement)
        if self.composer.drones:
            silent = self._detector.stalled
            yield Passage(self.composer.hold(self._hold, silent=silent))

    def _compose(self, moment: Moment, begin: float) -> Score:
        durations = self.composer.layout.duration * self.composer.duration_factors([moment])
        return self.composer.compose([moment], np.array([begin]), durations)

    def catch_up(self) -> None:
        """Plays every step that is read from now on; for the reader thread."""
        self._learn()
        self._first_step = 0

    def _read(self) -> None:
        try:
            for block in self._run.blocks():
                self._read_time = time.monotonic()
                for moment in self._moments(block, self._detector.detect(block)):
                    self._add(moment)
                    if self._stopped:
                        return
            self._learn()
        except (OSError, ValueError) as error:
            self.failure = error
        self._on_ready()

    def _moments(
        self, steps: StepBlock, alarms: Sequence[tuple[Alarm, ...]]
    ) -> Sequence[Moment]:
        """Returns the moments of steps; merged already if they arrived together live."""
        if self._live and len(steps) and steps.numbers.min() >= self._first_step:
            return merge_groups(steps, alarms, np.zeros(1, np.intp))
        return [Moment(step.number, step, own) for step, own in zip(steps, alarms)]

    def _add(self, moment: Moment) -> None:
        """Moves a moment to the backlog, or keeps it for the statistics."""
        if moment.step.number < self._first_step:
            self._unlearned.append(moment)
            if len(self._unlearned) == _LEARN_AT_ONCE:
                self._learn()
            return
        self._learn()
        while not (self._backlog.put(moment) or self._stopped):
            pass
        self._on_ready()

    def _learn(self) -> None:
        if self._unlearned:
            self.composer.update_statistics(self._unlearned)
            self._on_learned(self._unlearned)
            self._unlearned = []
