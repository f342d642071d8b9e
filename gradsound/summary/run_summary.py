"""Summary of a run: its steps, norms, values and alarms, from one reading of its steps.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from gradsound.alarms.rank_centers import median_ranks
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import OBSERVATIONS, Thresholds
from gradsound.music.anchor import AnchorFit
from gradsound.music.layer_groups import Band, band_norms
from gradsound.music.pitch_sentence import pitch_sentence
from gradsound.music.presets import find_preset
from gradsound.music.rank_sound import rank_preset
from gradsound.runs.rank_layers import are_ranks
from gradsound.summary.norm_statistics import NormStatistics
from gradsound.summary.rank_facts import find_rank_facts
from gradsound.summary.signal_statistics import SignalStatistics
from gradsound.summary.step_counts import StepCounts
from gradsound.summary.value_statistics import ValueStatistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gradsound.alarms.thresholds import Alarm
    from gradsound.runs.model import Header, Run
    from gradsound.runs.step_block import StepBlock
    from gradsound.summary.norm_statistics import NormRange
    from gradsound.summary.rank_facts import RankFacts
    from gradsound.summary.signal_statistics import SignalRange
    from gradsound.summary.step_counts import LoggedSteps
    from gradsound.summary.value_statistics import ValueRange


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Statistics and alarms of a run.

    Attributes:
        steps: How many steps the run has.
        logged: Which steps of the training these are.
        seconds: Time of the last step; 0 if the run has no clock.
        layers: The norms of each layer, in the order of the run.
        bands: The norms of the bands into which gradsound groups the layers.
        total: The norms of all layers, as one vector.
        values: The numbers of each value by its name.
        first_nonfinite: The first step with a NaN or infinite norm that the GradScaler did
            not skip; None if there is none.
        skipped: Number of the first skipped step, of the last, and how many were skipped;
            None if none was.
        discarded: The same for steps whose gradients the training clipped and threw away.
        clipped: How many steps clipping made smaller, how many steps were clipped, and the
            largest factor by which clipping reduced the norm; None if no clipping was seen.
        left_out: How many steps were not measured because of the budget.
        pitch: Which norm has which pitch with the preset "notes", in one sentence.
        alarms: The alarms in the order of their steps, without that of the end: the same
            that sound and that captions tell.
        ranks: The ranks that had alarms, if the layers are the ranks of a training; None
            for another run. The total is then the median rank, and there are no bands.
        observations: What a healthy run may have, too, in the order of the steps: spikes
            now and then, a drift of the norm.
        signals: The numbers of each layer, in the order of the run, by the name of the
            signal; empty if only norms were measured.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> header = gradsound.Header(layers=("fc",), parameters=(10,), start="")
        >>> norms = np.array([[1.0], [4.0], [np.nan]], np.float32)
        >>> steps = [gradsound.Step(k, k / 2, norms[k], norms[k] < 0) for k in range(3)]
        >>> summary = gradsound.summarize(gradsound.Run(header, steps))
        >>> summary.steps, summary.seconds, summary.first_nonfinite
        (3, 1.0, 2)
        >>> summary.layers[0].typical
        2.5
    """

    steps: int
    logged: LoggedSteps
    seconds: float
    layers: tuple[NormRange, ...]
    bands: tuple[NormRange, ...]
    total: NormRange
    values: Mapping[str, ValueRange]
    first_nonfinite: int | None
    skipped: tuple[int, int, int] | None
    discarded: tuple[int, int, int] | None
    clipped: tuple[int, int, float] | None
    left_out: int
    pitch: str
    alarms: tuple[Alarm, ...]
    observations: tuple[Alarm, ...]
    ranks: RankFacts | None = None
    signals: Mapping[str, tuple[SignalRange, ...]] = field(default_factory=dict)


def summarize(run: Run) -> Summary:
    """Reads a run once, in bounded memory, and summarizes it.

    Norms of skipped steps do not count, because the weights do not contain them.

    Raises:
        RunFormatError: If a line of the run is not a step.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> header = gradsound.Header(layers=("conv", "fc"), parameters=(52, 510), start="")
        >>> norms, absent = np.array([0.5, np.inf], np.float32), np.zeros(2, bool)
        >>> run = gradsound.Run(header, [gradsound.Step(3, 1.5, norms, absent)])
        >>> [(alarm.step, alarm.kind) for alarm in gradsound.summarize(run).alarms]
        [(3, 'nonfinite')]
    """
    return summarize_with(run, Thresholds())


def summarize_with(run: Run, thresholds: Thresholds) -> Summary:
    """Returns a summary with the alarms of some thresholds, as `summarize` does."""
    reading, names = _Reading(run.header, thresholds), run.header.layers
    for block in run.blocks():
        reading.add(block)
    logged = reading.counts.logged()
    # A line at the end of the run file counts the steps that were left out after the last.
    end = max(run.total_steps or 0, 0 if logged.last is None else logged.last + 1)
    missing = max(0, end - run.header.first_step - logged.count)
    if run.total_steps is not None:
        logged = replace(logged, total=end - run.header.first_step)
    layers = reading.layers.ranges()
    *bands, total = reading.band_ranges(layers)
    return Summary(
        steps=logged.count,
        logged=logged,
        seconds=reading.counts.seconds,
        layers=layers,
        bands=tuple(bands),
        total=total,
        values=reading.values.ranges,
        first_nonfinite=reading.first_nonfinite,
        skipped=reading.counts.skipped,
        discarded=reading.counts.discarded,
        clipped=reading.counts.clipped,
        left_out=0 if run.header.budget is None else missing,
        pitch=pitch_sentence(reading.anchor.preset(), len(bands)),
        alarms=tuple(reading.alarms),
        observations=tuple(reading.observations),
        ranks=find_rank_facts(names, reading.alarms) if are_ranks(names) else None,
        signals=reading.signals.ranges(),
    )


class _Reading:
    """What is known of a run after the steps that were added.

    Args:
        header: Header of the run, with L layers.
        thresholds: Limits of the alarms.

    Attributes:
        counts, values, layers, signals: Statistics of the steps, the values, the norms of
            the layers and their signals.
        groups: Statistics of the bands of several layers; all layers are the last one.
        anchor: The anchor of the pitches that fits the steps.
        alarms, observations: As in `Summary`, so far.
        first_nonfinite: As in `Summary`.
    """

    def __init__(self, header: Header, thresholds: Thresholds) -> None:
        names = header.layers
        preset = rank_preset(find_preset("notes"), [names])
        self._bands = preset.bands_of(names)
        self._all_bands = (*self._bands, Band("all layers", tuple(range(len(names)))))
        self._are_ranks = are_ranks(names)
        if self._are_ranks:  # the norm of all ranks as one vector means nothing
            self._all_bands = (Band("median rank", tuple(range(len(names)))),)
        self._groups = [band for band in self._all_bands if len(band.layers) > 1]
        self._detector = RunDetector(header, thresholds)
        self.counts, self.values = StepCounts(), ValueStatistics()
        self.layers = NormStatistics(names)
        self.signals = SignalStatistics(names, [*header.signals])
        self.groups = NormStatistics([band.name for band in self._groups])
        self.anchor = AnchorFit(preset)
        self.alarms: list[Alarm] = []
        self.observations: list[Alarm] = []
        self.first_nonfinite: int | None = None

    def add(self, steps: StepBlock) -> None:
        """Adds the next steps."""
        for alarm in chain.from_iterable(self._detector.detect(steps)):
            is_observation = alarm.kind in OBSERVATIONS
            (self.observations if is_observation else self.alarms).append(alarm)
        self.anchor.add(steps, self._bands)
        self.counts.add(steps)
        self.values.add(steps)
        applied = steps.take(~steps.skipped) if steps.skipped.any() else steps
        self.signals.add(applied)
        if len(applied):
            norms, absent, numbers = applied.norms, applied.absent, applied.numbers
            nonfinite = numbers[applied.nonfinite.any(axis=1)]
            if self.first_nonfinite is None and len(nonfinite):
                self.first_nonfinite = int(nonfinite[0])
            self.layers.add(norms, absent, numbers)
            if self._are_ranks:
                self.groups.add(*median_ranks(norms, absent), numbers)
            elif self._groups:
                self.groups.add(*band_norms(norms, absent, self._groups), numbers)

    def band_ranges(self, layers: Sequence[NormRange]) -> Iterator[NormRange]:
        """Yields the statistics of the bands, and of all layers as the last one.

        Args:
            layers: The statistics of the layers.
        """
        groups = iter(self.groups.ranges())
        for band in self._all_bands:
            is_group = len(band.layers) > 1
            norms = next(groups) if is_group else layers[band.layers[0]]
            yield replace(norms, name=band.name)
