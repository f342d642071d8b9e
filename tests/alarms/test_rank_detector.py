"""A rank that deviates, is late or stops is named; ranks of a healthy training are not."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds
from gradsound.runs.model import Header
from gradsound.runs.rank_layers import RankTimes, rank_name
from gradsound.runs.step_block import StepBlock

BEGIN = 100  # the step from which something is wrong


def make_block(
    norms: NDArray[np.floating],
    waits: NDArray[np.float64] | None = None,
    times: NDArray[np.float64] | None = None,
    absent: NDArray[np.bool_] | None = None,
) -> StepBlock:
    """Returns the block of a run of ranks, with 10 steps a second unless times are given.

    Args:
        norms: Shape (S, R).
        waits: As in `RankTimes`; unknown if None.
        times: As in `RankTimes`.
        absent: Steps that a rank does not have, shape (S, R).
    """
    steps = len(norms)
    lacks = np.zeros(norms.shape, bool) if absent is None else absent
    clock = np.arange(steps)[:, None] / 10 + np.zeros(norms.shape)
    clock = np.where(lacks, np.nan, clock if times is None else times)
    unknown = np.full(norms.shape, np.nan)
    no = np.zeros(steps, bool)
    return StepBlock(
        np.arange(steps),
        np.nanmedian(clock, axis=1),
        np.where(lacks, np.nan, norms).astype(np.float32),
        lacks,
        np.full(steps, np.nan),
        no,
        no,
        None,
        no,
        {},
        RankTimes(clock, unknown if waits is None else np.where(lacks, np.nan, waits)),
    )


def detect(block: StepBlock, cuts: tuple[int, ...] = ()) -> list[Alarm]:
    """Returns the alarms of a run of ranks, given in pieces between some cuts."""
    ranks = block.norms.shape[1]
    names = tuple(map(rank_name, range(ranks)))
    header = Header(layers=names, parameters=(1,) * ranks, start="")
    detector = RunDetector(header, Thresholds())
    edges = [0, *sorted({*cuts}), len(block)]
    parts = [block.take(slice(a, b)) for a, b in pairwise(edges) if a < b]
    return [
        alarm
        for part in parts
        for alarm in chain.from_iterable(detector.detect(part))
        if alarm.kind in ("rank", "straggler", "dead", "recovery", "nonfinite", "spike")
    ]


def healthy_norms(
    ranks: int, spread: float, steps: int = 400, seed: int = 0
) -> NDArray[np.float64]:
    """Returns log-normal norms that fall slowly, with a spread in natural logarithms."""
    random = np.random.default_rng(seed)
    level = 3 / (1 + np.arange(steps) / 200)
    return level[:, None] * random.lognormal(0.0, spread, (steps, ranks))


@pytest.mark.parametrize("ranks", [2, 3, 8, 64])
@pytest.mark.parametrize(
    ("ratio", "spread", "steps"),
    [(30.0, 0.05, 1), (30.0, 0.4, 5), (8.0, 0.3, 5), (3.0, 0.05, 5), (1 / 8, 0.1, 5)],
)
def test_a_rank_that_begins_to_deviate_is_named(
    ranks: int, ratio: float, spread: float, steps: int
) -> None:
    """It is named within five steps, or at once if it is far enough; and no other rank."""
    norms = healthy_norms(ranks, spread)
    norms[BEGIN:, 1] *= ratio
    (alarm,) = (one for one in detect(make_block(norms)) if one.kind == "rank")
    assert BEGIN <= alarm.step < BEGIN + steps
    assert alarm.layers == ("rank 1",)
    assert alarm.persists
    if ranks > 2:
        assert f"the median of {ranks} ranks" in alarm.text
    else:
        assert "that of rank 0" in alarm.text


@pytest.mark.parametrize("ranks", [3, 8])
def test_a_rank_that_deviates_from_the_first_step_is_named_at_the_fifth(
    ranks: int,
) -> None:
    """No history is needed, because the other ranks are there."""
    norms = healthy_norms(ranks, 0.2)
    norms[:, 2] *= 30
    (alarm,) = (one for one in detect(make_block(norms)) if one.kind == "rank")
    assert (alarm.step, alarm.layers) == (4, ("rank 2",))


@pytest.mark.parametrize(("ranks", "others"), [(2, "rank 0"), (4, "the median of 4 ranks")])
def test_a_deviation_from_the_first_step_on_has_its_whole_size(
    ranks: int, others: str
) -> None:
    """The text has the ratio to the others, though few ranks are judged with caution."""
    norms = np.ones((40, ranks))
    norms[:, 1] = 5.0
    (alarm,) = detect(make_block(norms))
    others = others if ranks > 2 else f"that of {others}"
    assert alarm.text == f"rank 1: norm 5 x {others}, in 5 steps"


def test_a_rank_that_lacks_single_steps_is_judged_by_the_others() -> None:
    """Three of five steps are enough for a deviation; two are not."""
    norms = healthy_norms(8, 0.05)
    norms[BEGIN:, 1] *= 3
    absent = np.zeros(norms.shape, bool)
    absent[::5, 1] = absent[2::5, 1] = True
    (alarm,) = detect(make_block(norms, absent=absent))
    assert (alarm.kind, alarm.layers) == ("rank", ("rank 1",))
    assert BEGIN < alarm.step < BEGIN + 5
    absent[4::5, 1] = True
    assert detect(make_block(norms, absent=absent)) == []


def test_bad_batches_of_the_first_steps_count_from_the_sixteenth_on() -> None:
    """Where two batches had 10 x the norm, 25 x is usual; elsewhere it is not."""
    norms = healthy_norms(8, 0.02)
    norms[16, 6] *= 25
    alarm, _ = detect(make_block(norms))
    assert (alarm.step, alarm.layers) == (16, ("rank 6",))
    norms[[2, 3], 5] *= 10
    assert detect(make_block(norms)) == []


def test_of_three_ranks_that_all_differ_none_is_named() -> None:
    """No rank is far from two others that are far from each other; else it is."""
    norms = healthy_norms(3, 0.02)
    norms[BEGIN] *= [1 / 60, 1, 60]
    assert detect(make_block(norms)) == []
    norms[BEGIN, 0] *= 60
    alarm, _ = detect(make_block(norms))
    assert (alarm.step, alarm.layers) == (BEGIN, ("rank 2",))


def test_a_small_deviation_counts_if_it_lasts() -> None:
    """A norm of 1.6 x is nothing in five steps, and is named within 48."""
    norms = healthy_norms(8, 0.1)
    norms[BEGIN:, 4] *= 1.6
    (alarm,) = detect(make_block(norms))
    assert BEGIN + 5 < alarm.step < BEGIN + 48
    assert alarm.text.startswith("rank 4: norm 1.5 x the median of 8 ranks, in 32 steps")
    short = healthy_norms(8, 0.1)
    short[BEGIN : BEGIN + 8, 4] *= 1.6
    assert detect(make_block(short)) == []


@pytest.mark.parametrize(("ratio", "is_alarm"), [(1.6, False), (2.7, True)])
def test_a_deviation_that_lasts_is_larger_than_the_scatter(
    ratio: float, is_alarm: bool
) -> None:
    """Ranks that scatter by two fifths have a limit of two deviations: 2.2 x."""
    norms = healthy_norms(8, 0.4)
    norms[BEGIN:, 4] *= ratio
    found = detect(make_block(norms))
    assert [(one.kind, one.layers) for one in found] == [("rank", ("rank 4",))] * is_alarm
    assert all(BEGIN < one.step < BEGIN + 48 for one in found)


def test_a_deviation_ends_when_the_rank_is_with_the_others_again() -> None:
    """One alarm and one recovery, not before half of the limit."""
    norms = healthy_norms(8, 0.1)
    norms[BEGIN : BEGIN + 50, 4] *= 10
    begin, end = detect(make_block(norms))
    assert (begin.kind, end.kind, end.resolves) == ("rank", "recovery", "rank")
    assert BEGIN + 50 <= end.step < BEGIN + 55
    assert end.text == "with the other ranks again: rank 4"


def test_a_single_bad_batch_is_named_with_its_norm() -> None:
    """A norm of 20 x at one step is an alarm, of 10 x none."""
    norms = healthy_norms(8, 0.1)
    norms[BEGIN, 6] = 41 * norms[BEGIN].mean()
    alarm, end = detect(make_block(norms))
    assert (alarm.step, alarm.layers) == (BEGIN, ("rank 6",))
    assert alarm.text.startswith(f"rank 6: norm {norms[BEGIN, 6]:.3g}, 4")
    assert end.step == BEGIN + 5
    norms[BEGIN, 6] /= 4
    assert detect(make_block(norms)) == []


def test_a_norm_of_zero_deviates_if_the_others_have_one() -> None:
    """Five steps of 0 name the rank; zeros of all ranks, or single ones, name none."""
    norms = healthy_norms(8, 0.3)
    norms[::70, 5] = 0
    norms[BEGIN:, 3] = 0
    (alarm,) = (one for one in detect(make_block(norms)) if one.kind == "rank")
    assert (alarm.step, alarm.text) == (BEGIN + 4, "rank 3: norm 0, in 5 steps")
    norms[BEGIN:] = 0
    assert not [one for one in detect(make_block(norms)) if one.kind == "rank"]


@pytest.mark.parametrize(("number", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_rank_that_alone_is_not_finite_is_named_at_once(number: float, word: str) -> None:
    """It stays so while the reduced gradients spoil all ranks, which names no rank."""
    norms = healthy_norms(4, 0.1)
    norms[BEGIN, 2] = number
    norms[BEGIN + 1 : BEGIN + 9] = np.nan
    alarms = detect(make_block(norms))
    assert [(one.step, one.kind, one.resolves) for one in alarms] == [
        (BEGIN, "rank", ""),
        (BEGIN + 1, "nonfinite", ""),
        (BEGIN + 11, "recovery", "nonfinite"),
        (BEGIN + 11, "recovery", "rank"),
    ]
    assert alarms[0].text == f"rank 2: {word}, while the other 3 ranks have none"


def test_what_happens_to_all_ranks_is_one_alarm_of_their_median() -> None:
    """No rank is named, because none deviates."""
    norms = healthy_norms(8, 0.1)
    norms[BEGIN : BEGIN + 4] *= 60
    assert [(one.kind, one.layers) for one in detect(make_block(norms))] == [
        ("spike", ("the median of 8 ranks",))
    ]


@pytest.mark.parametrize("ranks", [2, 3, 4, 8, 64])
@pytest.mark.parametrize("spread", [0.02, 0.3, 1.0])
def test_healthy_ranks_have_no_alarm(ranks: int, spread: float) -> None:
    """Neither large batches, whose norms are alike, nor small ones, which scatter."""
    for seed in range(3):
        norms = healthy_norms(ranks, spread, 2000, seed)
        alarms = detect(make_block(norms))
        assert not [one for one in alarms if one.layers[0].startswith("rank")]


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_single_samples_of_a_fitted_model_have_no_alarm(ranks: int) -> None:
    """The norm of one sample is its error: the absolute value of a normal number."""
    for seed in range(3):
        norms = np.abs(np.random.default_rng(seed).standard_normal((2000, ranks)))
        alarms = detect(make_block(norms))
        assert not [one for one in alarms if one.layers[0].startswith("rank")]


def test_ranks_with_a_level_of_their_own_have_no_alarm() -> None:
    """Each rank may have data of its own kind, so that all differ a little, always."""
    levels = np.exp(0.3 * np.random.default_rng(2).standard_normal(16))
    norms = healthy_norms(16, 0.03, 1000) * levels
    assert detect(make_block(norms)) == []


def jitter(ranks: int, steps: int = 400, seed: int = 0) -> NDArray[np.float64]:
    """Returns waits of a healthy training: another rank is the last at each step."""
    work = np.random.default_rng(seed).exponential(0.02, (steps, ranks))
    return np.max(work, axis=1, keepdims=True) - work


@pytest.mark.parametrize("ranks", [2, 3, 8, 64])
@pytest.mark.parametrize("begin", [0, BEGIN])
def test_the_rank_that_waits_least_is_the_straggler(ranks: int, begin: int) -> None:
    """It is named within five steps, also if it has been slow from the first step on."""
    waits = 0.005 + jitter(ranks) / 4
    waits[begin:, np.arange(ranks) != 1] += 0.15
    (alarm,) = detect(make_block(healthy_norms(ranks, 0.1), waits))
    assert (alarm.kind, alarm.layers, alarm.persists) == ("straggler", ("rank 1",), True)
    assert begin <= alarm.step < begin + 5
    assert alarm.text.startswith("rank 1 is 0.")
    assert alarm.text.endswith("s later than the others at each step")


def test_a_straggler_that_keeps_up_again_gives_a_recovery() -> None:
    """The others no longer wait for it."""
    waits = np.full((400, 4), 0.01)
    waits[BEGIN : BEGIN + 50, 1:] += 0.2
    alarm, end = detect(make_block(healthy_norms(4, 0.1), waits))
    assert (alarm.layers, end.resolves) == (("rank 0",), "straggler")
    assert BEGIN + 50 <= end.step < BEGIN + 55


@pytest.mark.parametrize("ranks", [2, 8])
def test_ranks_that_are_late_in_turn_are_no_stragglers(ranks: int) -> None:
    """Batches take differently long, so at each step some rank is the last."""
    for seed in range(5):
        waits = jitter(ranks, 2000, seed)
        assert detect(make_block(healthy_norms(ranks, 0.1, 2000), waits)) == []


def test_one_pause_of_a_rank_is_no_straggler() -> None:
    """One rank may write a checkpoint now and then, while the others wait."""
    waits = np.full((400, 4), 0.01)
    waits[::50, 1:] += 30
    kinds = {one.kind for one in detect(make_block(healthy_norms(4, 0.1), waits))}
    assert "straggler" not in kinds


@pytest.mark.parametrize("cuts", [(), tuple(range(1, 200))])
def test_steps_without_waits_stay_between_the_others(cuts: tuple[int, ...]) -> None:
    """Two late steps before them and one after them are not three of five."""
    waits = np.full((200, 4), 0.01)
    waits[[96, 99, 120], 1:] += 0.2
    waits[100:120] = np.nan
    assert detect(make_block(healthy_norms(4, 0.1, 200), waits), cuts) == []


@pytest.mark.parametrize("ranks", [2, 3, 8])
@pytest.mark.parametrize("grows", [False, True])
def test_without_waits_the_times_tell_a_straggler(ranks: int, grows: bool) -> None:
    """A rank is later than its usual time by a constant, or by more at each step."""
    times = np.arange(400)[:, None] / 10 + np.arange(ranks) * 1000.0  # other clocks
    times += 0.003 * np.random.default_rng(1).standard_normal(times.shape)
    late = 0.1 * np.arange(1, 301) if grows else 0.4
    times[BEGIN:, 1] += late
    (alarm,) = detect(make_block(healthy_norms(ranks, 0.1), times=times))
    assert (alarm.kind, alarm.layers) == ("straggler", ("rank 1",))
    assert BEGIN <= alarm.step < BEGIN + 5


@pytest.mark.parametrize("ranks", [2, 8])
def test_clocks_that_differ_or_drift_make_no_straggler(ranks: int) -> None:
    """Clocks of machines differ by hours, and drift by a part in ten thousand."""
    drifts = 1 + 1e-4 * np.arange(ranks)
    times = np.arange(2000)[:, None] / 10 * drifts + 3600 * np.arange(ranks)
    times += 0.004 * np.random.default_rng(1).standard_normal(times.shape)
    assert detect(make_block(healthy_norms(ranks, 0.1, 2000), times=times)) == []


def test_a_clock_that_drifts_hides_no_straggler() -> None:
    """What the clocks differ by now is usual, so that 0.3 s remain 0.3 s."""
    times = np.arange(2000)[:, None] / 10 + 3600.0 * np.arange(8)
    times += 0.004 * np.random.default_rng(1).standard_normal(times.shape)
    times[:, 1] += np.arange(2000) / 5000
    times[1800:, 2] += 0.3
    (alarm,) = detect(make_block(healthy_norms(8, 0.1, 2000), times=times))
    assert 1800 <= alarm.step < 1805
    assert alarm.text == "rank 2 is 0.3 s later than the others at each step"


def test_ranks_that_run_freely_make_no_straggler() -> None:
    """Without a reduction at each step, the times of the ranks wander apart."""
    durations = np.random.default_rng(1).normal(0.1, 0.02, (3000, 8))
    times = np.cumsum(durations, axis=0)
    assert detect(make_block(healthy_norms(8, 0.1, 3000), times=times)) == []


def test_a_rank_without_steps_has_stopped() -> None:
    """It is named after 16 steps of the others, and again when it goes on."""
    absent = np.zeros((400, 4), bool)
    absent[BEGIN : BEGIN + 60, 2] = True
    alarm, end = detect(make_block(healthy_norms(4, 0.1), absent=absent))
    assert (alarm.step, alarm.kind, alarm.layers) == (BEGIN + 15, "dead", ("rank 2",))
    assert alarm.text == f"rank 2 has stopped after step {BEGIN - 1}; others go on"
    assert (end.step, end.text) == (BEGIN + 60, "steps again of rank 2")
    absent[:, 2] = True
    (alarm,) = detect(make_block(healthy_norms(4, 0.1), absent=absent))
    assert (alarm.step, alarm.text) == (15, "rank 2 has no step; others go on")


def test_files_that_a_kill_ends_at_other_steps_are_no_stop() -> None:
    """A kill costs the steps of a tenth of a second, which may be a hundred steps."""
    absent = np.zeros((400, 4), bool)
    absent[300:, 2] = True
    times = 100 + np.arange(400)[:, None] / 1000 + np.zeros((400, 4))
    assert detect(make_block(healthy_norms(4, 0.1), times=times, absent=absent)) == []


@pytest.mark.parametrize("begin", [17, 50, 90])
def test_a_rank_that_begins_late_may_come_in_any_blocks(begin: int) -> None:
    """The usual difference of its clock is that of its first step."""
    times = np.arange(200)[:, None] / 10 + np.arange(4) * 1000.0
    times += 0.003 * np.random.default_rng(1).standard_normal(times.shape)
    times[begin + 6 :, 1] += 0.4
    absent = np.zeros(times.shape, bool)
    absent[:begin, 1] = True
    block = make_block(healthy_norms(4, 0.1, 200), times=times, absent=absent)
    whole = detect(block)
    assert [one.kind for one in whole] == ["dead", "recovery", "straggler"]
    assert whole[-1].layers == ("rank 1",)
    assert begin + 6 <= whole[-1].step <= begin + 15
    assert detect(block, tuple(range(1, 200))) == whole


@pytest.mark.parametrize("seed", range(5))
def test_the_size_of_blocks_changes_no_alarm(seed: int) -> None:
    """A run cut at random places, or into single steps, has the same alarms."""
    random = np.random.default_rng(seed)
    ranks = int(random.choice([2, 3, 8]))
    norms = healthy_norms(ranks, 0.3, seed=seed)
    norms[60:130, 1] *= 40
    norms[200:260, 0] = 0
    norms[300, 1] = np.nan
    waits = jitter(ranks, seed=seed)
    waits[150:250, 1:] += 0.2
    waits[350:] = np.nan
    absent = random.random(norms.shape) < 0.01
    absent[270:320, 1] = True
    block = make_block(norms, waits, absent=absent)
    whole = detect(block)
    assert len(whole) > 5
    assert detect(block, tuple(range(1, 400))) == whole
    for _ in range(3):
        cuts = tuple(random.integers(1, 400, 6).tolist())
        assert detect(block, cuts) == whole
