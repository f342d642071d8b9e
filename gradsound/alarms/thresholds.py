"""Thresholds of alarms, the kinds of alarms, and the `Alarm` that a detector returns."""

from __future__ import annotations

from dataclasses import dataclass

# In order of urgency: the announcer plays the first of several simultaneous alarms first.
KINDS = (
    "nonfinite",
    "loss",
    "stall",
    "dead",
    "rank",
    "straggler",
    "still",
    "spike",
    "leap",
    "rise",
    "vanishing",
    "collapsed",
    "echo",
    "coarse",
    "skipped",
    "slow",
    "overfit",
    "plateau",
    "recovery",
    "often",
    "drift",
    "end",
)
OBSERVATIONS = frozenset(("often", "drift"))  # kinds that a healthy run may have, too

# What the detectors take for usual.
MAD_TO_STD = 1.4826  # standard deviation / median absolute deviation, if normal
WINDOW_STEPS = 32  # steps; two seconds or more, about as long as a listener remembers
MIN_STEPS = 16  # finite norms in a window; a median of fewer is too uncertain
# Norms.
DEVIATION_MIN = 0.05  # decades; else near-constant norms spike at any change
PEAK_STEPS = 2  # successive steps; a lower spike of a single step harms no training
CALM_STEPS = 10  # successive steps of a spike under which the loss stays usual
PEAK_RATIO = 20.0  # times the median; a spike of a single step is at least as high
HARD_PEAK_RATIO = 10.0  # the same if the loss of the step leaps, too
EARLY_STEPS = 8  # steps whose median and highest norm a peak among the first exceeds
EARLY_MIN = 4  # norms before a peak among the first steps can be one
EARLY_RATIO = 30.0  # times their median; runs begin with peaks
RECORD_RATIO = 3.0  # times a height; a spike of less is as high, or as an earlier norm
FEW_SPIKES = 3  # spikes; more of the same height are usual
OFTEN_SPIKES, OFTEN_RATIO = 5, 10.0  # spikes of at least this ratio make an observation
MEMORY_STEPS = 1000  # steps for which a detector remembers heights and pauses
SPIKE_SHARE = 0.01  # of the largest norm; a lower spike does not change the update
SPIKE_END = 0.5  # of log10(spike_ratio); hysteresis, as norms flicker around the limit
LONG_SPIKE_STEPS = 10  # steps; only the end of a longer spike is worth an alarm
FINITE_STEPS = 3  # finite steps that end a nonfinite or a vanishing alarm
LIFE_STEPS = 16  # steps with gradients after which a loss of them is unusual
ZERO_CHANCE = 2e-4  # probability of the first streak of zeros; a death is less probable
SPARSE_CHANCE = 1e-6  # the same after earlier zeros, because these come in groups
ZERO_PATIENCE = 2  # times the longest earlier streak of zeros
TREND_STEPS = 128  # steps in which a norm of the model rises or collapses
WARMUP_STEPS = 200  # steps; in a warm-up of the learning rate, norms rise ten-fold
WARMUP_PATIENCE = 5  # times vanishing_steps, of a layer that is small from the beginning
RISE_RATIO = 8.0  # times in TREND_STEPS; norms of healthy runs double at most
COLLAPSE_RATIO = 1000.0  # times in TREND_STEPS; norms of healthy runs fall 100-fold
EARLY_RISE_RATIO = 50.0  # times the median of the first norms; a warm-up reaches 20
FIRST_NORMS, LAST_NORMS = 6, 3  # norms in these medians
RISE_END = 1.5  # times the norm before; the end of a rise or of a collapse
DRIFT_RATIO = 30.0  # times since the warm-up; an observation
# Signals.
STILL_RATIO = 1e-9  # of the weights, which a layer that never moved stays below
STILL_SHARE = 1e-4  # of a layer's usual update ratio
STILL_STEPS = 8  # from the first step with so small a ratio; ratios come every 4th
STILL_FIRST_STEPS = 64  # the same, of a layer that never moved; rates begin at 0
STILL_SUDDEN = 0.1  # of the usual ratio; the end of a schedule comes after smaller ones
MOMENTUM_STEPS = 16  # steps for which a momentum keeps the gradient of a spike
UPDATE_LEAP, UNRATED_LEAP = 3.0, 10.0  # times the usual; if no learning rate is known
RECORD_UPDATE = 2.0  # times the highest ratio so far, if no learning rate is known
UPDATE_LEAP_END = 0.5  # of the log of that; hysteresis
MOMENT_DECAY = 0.9  # b1 of Adam, or the momentum of SGD; most trainings have it
ECHO_WINDOW = 64  # steps, whose cosines are usual
ECHO_SPREAD_MIN = 0.13  # of cosines; where they hardly scatter, half of the layers is few
ECHO_EXCESS = 1.0  # robust standard deviations; less does not add to the sum
ECHO_STEP = 5.0  # the most that one step counts; a batch may resemble that before it
ECHO_SUM = 6.5  # the sum of healthy runs reaches 5.9
ECHO_LAYERS = 4  # most of fewer is one or two, whose gradients have few directions
ECHO_RATE = 0.25  # of the highest of ECHO_WINDOW steps; slow weights repeat gradients
ECHO_OUTSIDE = 0.01  # of cosines beyond 1: they are none, as the decay is another
ECHO_SCATTER = 0.3  # decades of the norm; more where a few hard samples are left
COARSE_SHARE = 0.2  # of a layer's numbers, more zeros than ever; 0.05 is scatter
COARSE_END = 0.5  # of that; hysteresis
COARSE_NORM = 0.1  # of the median norm; a smaller gradient underflows by itself
COARSE_WINDOW, COARSE_MIN = 16, 6  # counts of zeros, one every 10th step
# Losses.
LOSS_WINDOW = 64  # losses
OUTLIER_LOSSES = 3  # the highest of a window, of which two are outliers
LOSS_SPREADS = 8.0  # robust standard deviations above the median
LOSS_OUTLIERS = 1.5  # times the distance from the median to the outliers of a window
LOSS_STREAK = 3  # successive losses; a loss that is high once is a hard batch
LOSS_SHARE = 0.25  # of the fall since the start
LOSS_GAIN = 1.0  # of the median: twice the loss
PLATEAU_FALL = 0.02  # of the loss, per doubling of the steps; GPT-2 falls by more
SURE_ERRORS = 4.0  # standard errors; a fall of more is sure, and no plateau
PLATEAU_RISE = 0.06  # of the loss, per doubling of the steps
PLATEAU_RATE = 0.05  # of the highest learning rate; below, a schedule ends
PLATEAU_PAUSE = 1.5  # times the losses up to the end of a plateau; no other before
PLATEAU_WARMUP = 2  # times the losses up to the highest learning rate; no plateau before
PLATEAU_GROWTH = 1.05  # times the losses of the last check
EVALUATION_FALL = 0.005  # of the lowest evaluation loss; no plateau while it falls so much
OVERFIT_EVALUATIONS = 12  # evaluations since the lowest loss
OVERFIT_RISE = 0.03  # of the lowest loss
OVERFIT_SHARE = 0.8  # of the highest rise since then; less is a bump that falls again
# Experts in use.
COLLAPSE_WINDOW = 16  # numbers, whose median counts; one batch may choose few experts
COLLAPSE_FIRST = 32  # numbers before an alarm; at first, one expert may be chosen
COLLAPSE_SHARE = 0.5  # of the most experts that the run had in use
COLLAPSE_POSSIBLE = 0.99  # experts; fewer are another number, such as a share of experts
COLLAPSE_END = 1.2  # times the limit; hysteresis
# Pauses and skipped steps.
STALL_GROWTH = 2.0  # times the longest reported pause; regular evaluation pauses alike
LONG_STALL_SECONDS = 10.0  # seconds; longer pauses do not come from other processes
LONG_STALL = 3.0  # times the median of the intervals
KNOWN_PAUSES = 2  # pauses; the first are evaluations, unless two follow each other
PAUSE_RATIO = 1.5  # times the longest pause of the last MEMORY_STEPS steps
SLOW_STEPS = 64  # steps; several pauses for evaluations fall into so many
SLOW_RATIO = 1.4  # times the usual duration of so many steps
SLOW_END = 1.15  # times the same
SLOW_SECONDS = 300.0  # seconds; other processes take the machine for a minute, too
# Ranks of one training, compared at the same step.
RANK_STEPS, RANK_LONG_STEPS = 5, 32  # whose median counts: of far and of near deviations
RANK_RATIOS = 20.0, 2.0, 1.5  # times the median rank: of one step, of 5 and of 32
RANK_SPREADS = 8.0, 5.5, 2.0  # robust standard deviations, the same
RANK_OUTLIER = 0.5  # decades above the outliers of all ranks; for one step alone
RANK_OUTLIERS = 1.5  # times the outliers; for 5 steps
RANK_SHARE = 0.99  # of all deviations; those above are outliers
RANK_GROUP = 5.0  # robust standard deviations of the ranks, if each has a level of its own
FEW_RANKS = 4  # whose median may itself be far from the usual norm
RANK_END = 0.5  # of the limit; hysteresis
ZERO_RANK = -3.0  # decades; the deviation of a norm of 0
LATE_SECONDS = 0.025, 0.01  # that a straggler is late in 5 steps, and in 32
LATE_SHARE = 0.2  # of a step, the same
STOPPED_STEPS, STOPPED_SECONDS = 16, 0.5  # without a step; a kill costs a tenth of a second
SKIP_COUNTS = (1, 10, 100, 1000, 10_000)  # consecutive skipped steps that raise an alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The limits at which a detector raises an alarm; docs/listening.md gives the reasons.

    Attributes:
        spike: A spike is more than this many robust standard deviations above the median
            of the layer's last 32 norms, in log10. The deviation is that of the layer or
            the median of all layers, whichever is larger.
        spike_ratio: A spike is also more than this many times the same median. If it
            lasts a single step, it is more than 20 times the median, or 10 times if the
            loss of the step is far above the usual.
        vanishing: A vanishing layer's norm is below this ratio to the largest norm of the
            same step.
        vanishing_steps: Consecutive steps below that ratio before the alarm.
        dead_steps: Consecutive steps without gradient, or with a norm of exactly 0, before
            the alarm.
        plateau_steps: Losses (`Attachment.log_values`) before the first plateau alarm. A
            plateau is a loss that would certainly fall by less than 2 % if the run were
            twice as long.
        collapsed: A mixture of experts has collapsed if its experts in use (`in_use`) are
            fewer than this, or than half of the most that the run had. With k experts for
            each token, k is the least possible: then set it to 1.5 k.
        stall: A stall is longer than this many times the median of the last 32 intervals
            between steps.
        stall_seconds: A stall also lasts at least this many seconds. From 10 s on, it is
            longer than 3 times the median, and than all pauses that the run has had.

    Raises:
        ValueError: If a threshold is not above 0.

    Example:
        >>> from dataclasses import replace
        >>> import gradsound
        >>> patient = gradsound.Thresholds(dead_steps=50)
        >>> preset = replace(gradsound.PRESETS["notes"], thresholds=patient)
        >>> preset.thresholds.dead_steps
        50
    """

    spike: float = 6.0
    spike_ratio: float = 5.0
    vanishing: float = 1e-6
    vanishing_steps: int = 20
    dead_steps: int = 3
    plateau_steps: int = 64
    collapsed: float = 1.5
    stall: float = 20.0
    stall_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not min(getattr(self, name) for name in self.__slots__) > 0:
            raise ValueError(f"every threshold must be above 0, got {self}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """An event in a run that a user should know at once.

    Attributes:
        kind: Such as "nonfinite" or "spike"; docs/listening.md lists the kinds.
        step: Number of the step at which the detector found it.
        text: The event in a few words.
        layers: Names of the affected layers, the one in ``text`` first. Empty if the event
            concerns the whole run.
        persists: Whether the condition lasts until a later alarm resolves it.
        resolves: The kind of alarm that this one ends in its layers; "" if none.

    Example:
        >>> import gradsound
        >>> gradsound.Alarm("nonfinite", 9, "NaN in fc", ("fc",), persists=True).step
        9
    """

    kind: str
    step: int
    text: str
    layers: tuple[str, ...] = ()
    persists: bool = False
    resolves: str = ""
