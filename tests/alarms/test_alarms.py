"""Alarms: found when they should be, told once, and told apart by ear."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webvtt
from helpers.runs import make_run
from helpers.scores import moments
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsound import PRESETS
from gradsound import render as render_run
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import KINDS, Alarm, Thresholds
from gradsound.live.conductor import Conductor
from gradsound.music.alarm_announcer import PROGRAMS, AlarmAnnouncer, tones
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment
from gradsound.runs.model import Run, Step
from gradsound.synth.mixer import render
from gradsound.synth.score import Score
from gradsound.synth.sequencer import Sequencer

RATE = 44_100
LIMITS = Thresholds()


def healthy(steps: int = 100, layers: int = 3, seed: int = 0) -> np.ndarray:
    """Norms that scatter as those of small batches do: 0.3 decades."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.3, (steps, layers))


def steps_of(norms: np.ndarray, **changes: object) -> list[Step]:
    return [replace(step, **changes) for step in make_run(norms.tolist()).steps]


def alarms(steps: list[Step], thresholds: Thresholds = LIMITS) -> list[Alarm]:
    watch = RunDetector([f"layer{k}" for k in range(len(steps[0].norms))], thresholds)
    return [alarm for found in watch.look(steps) for alarm in found]


def kinds(steps: list[Step], thresholds: Thresholds = LIMITS) -> list[tuple[str, int]]:
    return [(alarm.kind, alarm.step) for alarm in alarms(steps, thresholds)]


def at(steps: list[Step], number: int, **changes: object) -> list[Step]:
    """The same, but for one."""
    return [replace(s, **changes) if s.number == number else s for s in steps]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_nothing(seed: int) -> None:
    """2,000 steps of 20 layers that are as they are: no alarm."""
    assert not alarms(steps_of(healthy(2000, 20, seed)))


def test_a_spike_is_told_at_once_with_its_layer_and_size() -> None:
    """At the very step; of several layers that which is farthest out."""
    norms = healthy()
    norms[60] = [1, 300, 3000]
    (alarm,) = alarms(steps_of(norms))

    assert (alarm.kind, alarm.step) == ("spike", 60)
    assert alarm.text.startswith("spike in layer2, ")
    assert alarm.text.endswith(" x its median (and 1 more)")


def test_a_spike_is_one_in_what_clipping_hides() -> None:
    """Norms from before clipping count."""
    steps = steps_of(healthy())
    raw = np.array([1, 1, 5000], np.float32)

    assert kinds(at(steps, 70, raw=raw)) == [("spike", 70)]


@pytest.mark.parametrize("norm", [4.9, 20.0])
def test_few_steps_or_small_leaps_are_no_spike(norm: float) -> None:
    """Less than five times is none, however even the norms; nor is any at the beginning."""
    even = np.ones((60, 2))
    even[40 if norm < 5 else 31, 0] = norm

    assert not alarms(steps_of(even))


def test_a_spike_that_lasts_is_one_alarm_and_a_recovery() -> None:
    """Not one a step; what came to stay becomes usual."""
    norms = healthy(200)
    norms[100:115, 1] = 1e4
    found = kinds(steps_of(norms))

    assert found == [("spike", 100), ("recovery", 115)]
    norms[100:, 1] = 1e4
    assert kinds(steps_of(norms))[0] == ("spike", 100)
    assert len(kinds(steps_of(norms))) <= 2


@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_what_is_not_finite_is_told_with_the_first_layer(value: float, what: str) -> None:
    """Once, until all was finite for three steps."""
    norms = healthy()
    norms[50:55, 1:] = value
    first, second = alarms(steps_of(norms))

    assert (first.kind, first.step) == ("nonfinite", 50)
    assert first.text == f"{what} in layer1 (and 1 more)"
    assert (second.kind, second.step) == ("recovery", 57)


def test_clipping_that_spreads_nan_does_not_hide_its_layer() -> None:
    """Only the layer that had it before clipping is named."""
    raw = np.array([1, 2, np.nan], np.float32)
    steps = at(steps_of(healthy()), 50, norms=np.full(3, np.nan, np.float32), raw=raw)

    assert alarms(steps)[0].text == "NaN in layer2"


@pytest.mark.parametrize("gone", ["zero", "absent"])
def test_a_layer_that_dies_is_told_at_the_third_step(gone: str) -> None:
    """And that it has gradients again; then it must be away for longer."""
    norms: list[list[float | None]] = healthy(200).tolist()
    for step in [*range(50, 60), *range(100, 111), *range(150, 170)]:
        norms[step][1] = 0.0 if gone == "zero" else None
    steps = [*make_run(norms).steps]
    found = alarms(steps)

    assert [(a.kind, a.step) for a in found] == [
        ("dead", 52),
        ("recovery", 60),
        ("dead", 161),
        ("recovery", 170),
    ]
    assert found[0].text == (
        "dead layer: layer1, " + ("gradient 0" if gone == "zero" else "without gradient")
    )


def test_a_layer_that_never_lived_is_told_if_it_is_zero() -> None:
    """After sixteen steps; a layer without gradient may be meant so."""
    norms: list[list[float | None]] = healthy(40).tolist()
    for row in norms:
        row[0], row[2] = None, 0.0

    assert kinds([*make_run(norms).steps]) == [("dead", 15)]


@pytest.mark.parametrize("gone", [0.0, None])
@pytest.mark.parametrize("life", [1, 10, 15])
def test_a_layer_that_dies_young_is_told_at_the_sixteenth_step(
    life: int, gone: float | None
) -> None:
    """Frozen by mistake before it has lived for sixteen: it is missed that much longer."""
    norms: list[list[float | None]] = healthy(100).tolist()
    for row in norms[life:]:
        row[1] = gone

    assert kinds([*make_run(norms).steps]) == [("dead", life + 15)]


def test_layers_that_come_and_go_are_no_alarm() -> None:
    """As in a GAN, whose two halves train in turn."""
    norms: list[list[float | None]] = healthy(100, 2).tolist()
    for step, row in enumerate(norms):
        row[step // 5 % 2] = None

    assert not alarms([*make_run(norms).steps])


def test_vanishing_is_in_relation_to_the_largest() -> None:
    """A millionth of it, for twenty steps; a run that falls as a whole is none."""
    norms = healthy()
    norms[30:, 0] *= 1e-8
    falling = healthy() * np.geomspace(1, 1e-12, 100)[:, None]

    assert kinds(steps_of(norms)) == [("vanishing", 49)]
    assert not alarms(steps_of(falling))


def test_what_vanished_is_back_after_three_steps() -> None:
    """Not before, so that what flickers is one alarm; nor is it back if it is 0 or lost."""
    norms = np.ones((150, 2))
    norms[30:100, 0] = 5e-7
    norms[55:80:2, 0] = 1.5e-6
    rising, dying = norms.copy(), norms.copy()
    rising[100:, 0], dying[100:, 0] = 1.5e-6, 0.0

    found = [a for a in alarms(steps_of(norms)) if "spike" not in (a.kind, a.ends)]
    assert [(a.kind, a.step, a.ends) for a in found] == [
        ("vanishing", 49, ""),
        ("recovery", 102, "vanishing"),
    ]
    assert kinds(steps_of(rising)) == [("vanishing", 49), ("recovery", 102)]
    assert kinds(steps_of(dying)) == [("vanishing", 49), ("dead", 102)]


def test_skipped_steps_are_told_and_nothing_else_of_them() -> None:
    """At the first, the tenth, ... on end, with the layer and the scale."""
    steps = steps_of(healthy())
    lost = np.array([1, np.inf, np.nan], np.float32)
    for number in range(40, 60):
        steps = at(steps, number, skipped=True, norms=lost, scale=2.0**16)
    found = alarms(steps)

    assert [(a.kind, a.step) for a in found] == [("skipped", 40), ("skipped", 49)]
    assert found[0].text == "skipped by the scaler, not finite in layer1, scale 65536"
    assert found[1].text.startswith("10 steps on end skipped")


def test_a_plateau_is_of_the_loss() -> None:
    """Once, where its median has not fallen by a hundredth; and again after progress."""
    limits = replace(LIMITS, plateau_steps=50)
    noise = np.random.default_rng(0).normal(1, 0.02, 600)
    level = np.concatenate([np.geomspace(10, 1, 200), np.ones(200), np.full(200, 0.5)])
    steps = steps_of(healthy(600, 1))
    steps = [replace(s, values={"loss": v}) for s, v in zip(steps, level * noise)]
    found = kinds(steps, limits)

    assert [kind for kind, _ in found] == ["plateau", "recovery", "plateau"]
    assert 290 <= found[0][1] <= 320
    assert 400 < found[1][1] <= 450
    assert 490 <= found[2][1] <= 520
    assert not alarms(steps_of(healthy(600, 1)), limits)


def timed(pauses: dict[int, float], count: int = 100) -> list[Step]:
    """Ten steps a second, and longer before some."""
    intervals = np.full(count, 0.1)
    for step, seconds in pauses.items():
        intervals[step] = seconds
    times = np.cumsum(intervals)
    return [replace(s, time=t) for s, t in zip(steps_of(healthy(count)), times.tolist())]


def test_a_stall_is_told_with_its_length() -> None:
    """More than twenty intervals and two seconds; and each only if it is longer by half."""
    (alarm,) = alarms(timed({50: 3.0}))

    assert (alarm.kind, alarm.step) == ("stall", 50)
    assert alarm.text == "no step before, for 3.0 s, 30 x the usual"
    assert not alarms(timed({50: 1.9}))
    assert kinds(timed({40: 3.0, 60: 5.9, 80: 6.1})) == [("stall", 40), ("stall", 80)]
    assert not alarms([replace(s, time=9 * s.time) for s in timed({})])


def test_a_stall_that_lasts_is_told_while_it_does() -> None:
    """Once, and that it is over when the next step comes."""
    watch = RunDetector(["a", "b", "c"], LIMITS)
    steps = timed({60: 30.0})
    watch.look(steps[:60])

    assert watch.waited(1.9) is None
    assert watch.waited(2.1).text == "no step for 2.1 s, 21 x the usual"
    assert watch.waited(5.0) is None
    (found,) = watch.look(steps[60:61])
    assert [(a.kind, a.text) for a in found] == [("recovery", "steps again, after 30.0 s")]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_blocks_change_nothing(together: int, seed: int) -> None:
    """A run of all that happens, looked at step by step or many at a time."""
    rng = np.random.default_rng(seed)
    norms = 10 ** rng.normal(0, 2, (120, 3))
    norms[rng.random(norms.shape) < 0.05] = np.nan
    norms[rng.random(norms.shape) < 0.05] = np.inf
    norms[60:, rng.integers(3)] = 0
    steps = [
        replace(s, skipped=bool(rng.random() < 0.1), time=s.number * rng.uniform(0.1, 4))
        for s in steps_of(norms)
    ]
    one, other = (RunDetector(["a", "b", "c"], LIMITS) for _ in range(2))
    whole = one.look(steps)
    parts = [
        found
        for k in range(0, len(steps), together)
        for found in other.look(steps[k : k + together])
    ]

    assert whole == parts


def test_what_repeats_is_announced_ever_more_seldom() -> None:
    """After 5, 10, 20 ... seconds, and says how often it was not; calm begins anew."""
    announcer = AlarmAnnouncer(0.1)
    times = []
    for second in range(200):
        alarm = Alarm("spike", second, "spike")
        _, captions = announcer.announce([alarm], float(second))
        times += [caption.time for caption in captions]
        if len(times) == 2 and captions:
            assert captions[0].text == "step 5: spike (4 more since the last)"

    assert times == [0, 5, 15, 35, 75, 155]
    assert announcer.untold() == "44 more of spike"
    assert announcer.announce([Alarm("spike", 0, "")], 1000.0)[0]
    assert announcer.announce([Alarm("spike", 0, "")], 1005.5)[0]


def dead(layer: str, step: int = 0) -> Alarm:
    return Alarm("dead", step, f"dead layer: {layer}", (layer,), lasts=True)


def back(layer: str, step: int = 0) -> Alarm:
    text = f"gradient again in {layer}"
    return Alarm("recovery", step, text, (layer,), ends="dead")


def announced(*given: tuple[float, Alarm]) -> list[tuple[float, str, bool]]:
    """Each line, its time, and whether a figure goes with it; asked twice a second."""
    announcer, told = AlarmAnnouncer(0.1), []
    for half in range(2 * 60):
        now = [alarm for time, alarm in given if time == half / 2]
        figures, captions = announcer.announce(now, half / 2)
        begins = [begin for _, begin in figures]
        told += [(c.time, c.text.partition(": ")[2], c.time in begins) for c in captions]
    return told


def test_what_goes_on_is_heard_when_that_may_be() -> None:
    """A layer that dies while another death has just been told, and stays dead."""
    found = announced((1.0, dead("a")), (3.0, dead("b")))

    assert found == [
        (1.0, "dead layer: a", True),
        (3.0, "dead layer: b", False),
        (6.0, "dead layer: b, still so", True),
    ]


def test_what_is_over_meanwhile_is_not_heard() -> None:
    """In that layer; what goes on in another is."""
    over = (3.0, dead("b")), (4.0, back("b"))
    found = announced((1.0, dead("a")), *over)
    assert [text for _, text, figure in found if figure] == [
        "dead layer: a",
        "gradient again in b",
    ]

    found = announced((1.0, dead("a")), *over, (4.5, dead("c")), (5.0, back("a")))
    assert (6.0, "dead layer: c, still so", True) in found
    assert not [text for _, text, _ in found if "b, still" in text]


def test_what_goes_on_has_one_figure_of_a_kind() -> None:
    """Of many layers that died at once, the rest are lines: the figure is of them all."""
    found = announced((1.0, dead("a")), *((2 + k / 2, dead(f"b{k}")) for k in range(6)))

    assert [(time, text) for time, text, figure in found if figure] == [
        (1.0, "dead layer: a"),
        (6.0, "dead layer: b0, still so"),
    ]
    assert [text for _, text, figure in found if not figure] == [
        f"dead layer: b{k}" for k in range(6)
    ]


def test_several_steps_that_sound_as_one_end_as_they_did() -> None:
    """Dead, back and dead again is dead; dead and back is not."""
    again = [(3.0, dead("b", 1)), (3.0, back("b", 2)), (3.0, dead("b", 3))]
    found = announced((1.0, dead("a")), *again)
    assert [text for _, text, _ in found].count("dead layer: b, still so") == 1

    found = announced((1.0, dead("a")), *again[:2])
    assert not [text for _, text, _ in found if "still so" in text]


def test_every_layer_has_a_line_and_what_repeats_is_counted() -> None:
    """Two hundred alarms that name one of two layers: a line each between two figures."""
    announcer = AlarmAnnouncer(0.1)
    lines, figures = [], 0
    for second in range(200):
        layer = "ab"[second // 2 % 2]
        alarm = Alarm("skipped", second, f"in {layer}", (layer,))
        sounding, captions = announcer.announce([alarm], float(second))
        lines += [caption.text for caption in captions]
        figures += len(sounding)

    assert lines[:4] == [
        "step 0: in a",
        "step 2: in b (1 more since the last)",
        "step 5: in a (2 more since the last)",
        "step 6: in b",
    ]
    assert figures == 6
    assert len(lines) == 2 * figures


def test_the_end_of_something_makes_it_new_again() -> None:
    """So that "gradient again" is never the last line about a layer that is dead."""
    found = announced((1.0, dead("a")), (2.0, back("a")), (3.0, dead("a")))

    assert [(time, text) for time, text, _ in found] == [
        (1.0, "dead layer: a"),
        (2.15, "gradient again in a"),
        (3.0, "dead layer: a"),
        (6.0, "dead layer: a, still so"),
    ]


def failing() -> Run:
    """NaN for one step, and soon after for good; a spike in each of two layers besides."""
    norms = np.ones((400, 2))
    norms[100], norms[112:] = np.nan, np.nan
    norms[60], norms[62] = [1e3, 1], [1, 1e3]
    return make_run(norms.tolist(), ("enc", "dec"))


@pytest.mark.parametrize("preset", ["notes", "ambient", "alarms", "perone2019"])
@pytest.mark.parametrize("together", [1, 7])
def test_what_was_not_heard_is_composed_alike(preset: str, together: int) -> None:
    """Step by step, as it is played, or all at once: the same notes, lines and times."""
    found = []
    for each in (together, 400):
        composer, score = Composer(("enc", "dec"), PRESETS[preset]), []
        waiting, end = moments(failing(), PRESETS[preset]), 0.0
        while waiting:
            some, waiting = waiting[:each], waiting[each:]
            durations = composer.layout.duration * composer.longer(some)
            begins = np.add.accumulate([end, *durations])[:-1]
            notes = composer.compose(some, begins, durations).notes
            score += [(begins[n["step"]], *n.tolist()[1:]) for n in notes]
            end = float(np.add.accumulate([end, *durations])[-1])
        found.append((sorted(map(str, score)), composer.captions))

    assert found[0] == found[1]
    texts = [caption.text for caption in found[0][1]]
    assert "step 112: NaN in enc (and 1 more), still so" in texts
    assert [text for text in texts if text.startswith("step 62: spike in dec")]
    times = [caption.time for caption in found[0][1]]
    assert times == sorted(times)


def test_what_was_not_heard_is_played(tmp_path: Path) -> None:
    """As a figure in the sound, a line in its captions, and a line of who plays it."""
    path = tmp_path / "x.wav"
    render_run(failing(), path, preset="alarms")
    sound = soundfile.read(path)[0]
    told, conductor = [], Conductor(failing(), PRESETS["alarms"], live=False, hold=0.1)
    placer = Sequencer(RATE, 2)
    conductor.begin()
    while not conductor.done:
        for passage in conductor.next(placer):
            placer.place(passage.score)
        placer.frame += placer.left
    for caption in conductor.composer.captions:
        told.append(caption.text)
        if caption.text.endswith("still so"):
            figure = sound[round(caption.time * RATE) :][: RATE // 2]

    cues = webvtt.read(path.with_suffix(".vtt"))
    assert told == [line for cue in cues for line in cue.text.splitlines()]
    assert np.abs(figure).max() > 0.05


def test_lines_come_in_the_order_of_their_times() -> None:
    """Though figures wait for each other, and what needs none does not."""
    composer = Composer(["a", "b"], PRESETS["alarms"])
    step = moments(make_run([[1.0, 1.0]]), PRESETS["alarms"])[0].step
    for second in range(4):
        alarms = tuple(Alarm(kind, second, kind) for kind in KINDS[:5])
        moment = Moment(second, replace(step, values={"epoch": second}), alarms)
        composer.compose([moment], np.array([second / 2]), np.array([0.5]))
    times = [caption.time for caption in composer.captions]

    assert len(times) == 9
    assert times == sorted(times)


def test_figures_do_not_begin_together() -> None:
    """Each after the one before and 300 ms, the most urgent first."""
    given = [Alarm(kind, 0, kind) for kind in reversed(KINDS)]
    figures, captions = AlarmAnnouncer(0.1).announce(given, 7.0)
    begins = [begin for _, begin in figures]
    ends = [begin + ALARM_SOUNDS[kind].duration for kind, begin in figures]

    assert [kind for kind, _ in figures] == [*KINDS]
    assert begins[0] == 7.0
    np.testing.assert_allclose(np.array(begins[1:]) - ends[:-1], 0.3, atol=1e-9)
    assert [caption.time for caption in captions] == begins


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_an_alarm_sounds_after_its_step_and_the_rest_is_softer(preset) -> None:
    """Where alarms sound at all; there is a caption anyway."""
    norms = np.ones((60, 2))
    norms[40] = 1000
    run = make_run(norms.tolist())
    composer = Composer(run.header.layers, preset)
    found = RunDetector(run.header.layers, preset.thresholds).look([*run.steps])
    made = [Moment(s.number, s, a) for s, a in zip(run.steps, found)]
    durations = composer.layout.duration * composer.longer(made)
    begins = np.add.accumulate([0.0, *durations])[:-1]
    score = composer.compose(made, begins, durations)
    first_figure = len(composer.voices) - len(PROGRAMS)
    figure = score.notes[score.notes["voice"] >= first_figure]
    others = score.notes[score.notes["voice"] < first_figure]
    (caption,) = composer.captions

    assert caption.text.startswith("step 40: spike in layer0, 1e+03 x its median")
    assert begins[40] <= caption.time <= begins[41]
    assert len(figure) == (2 if preset.alarms else 0)
    if preset.alarms and len(others):
        onsets = begins[others["step"]] + others["onset"]
        during = (onsets >= caption.time) & (onsets < caption.time + 0.46)
        after = onsets > caption.time + 1.0
        softer, usual = others["level"][during, 1], others["level"][after, 1]
        assert softer.max() <= 0.31 * usual.max()


def heard(kind: str) -> np.ndarray:
    notes = tones(kind, 0.12, 0.0)
    return render(Score(PROGRAMS, notes, np.array([1.2])), RATE)[:, 0].astype(float)


def third_octaves(samples: np.ndarray) -> np.ndarray:
    """Levels in dB of thirds of an octave from 100 Hz, the loudest 0, none below -40."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    edges = 100 * 2 ** (np.arange(21) / 3)
    bands, _ = np.histogram(np.fft.rfftfreq(len(samples), 1 / RATE), edges, weights=power)
    return 10 * np.log10(bands / bands.max() + 1e-4)


def envelope(samples: np.ndarray) -> np.ndarray:
    """Loudness every 10 ms, as a vector of length 1."""
    blocks = samples[: len(samples) // 441 * 441].reshape(-1, 441)
    loudness = np.sqrt(np.mean(blocks**2, axis=1))
    return loudness / np.linalg.norm(loudness)


@pytest.mark.parametrize(("one", "other"), [*combinations(ALARM_SOUNDS, 2)])
def test_alarms_differ_in_rhythm_and_in_spectrum(one: str, other: str) -> None:
    """Any two, both: so that one is enough where the other is masked.

    10 dB between the mean levels of thirds of an octave is what tells a flute from a
    trumpet. Of rhythms, 0.15 of the energy lies elsewhere, however the two are shifted
    within 50 ms, about what one takes for simultaneous.
    """
    sounds = heard(one), heard(other)
    spectra, rhythms = map(third_octaves, sounds), [envelope(sound) for sound in sounds]
    first, second = spectra
    shifts = np.correlate(*rhythms, "full")[len(rhythms[0]) - 6 : len(rhythms[0]) + 5]

    assert np.sqrt(np.mean((first - second) ** 2)) >= 10
    assert 1 - shifts.max() >= 0.15


def test_every_kind_has_a_figure_of_a_second_at_most() -> None:
    """And a level that does not frighten: under half of full scale at the default."""
    assert {*ALARM_SOUNDS} == {*KINDS}
    for kind, figure in ALARM_SOUNDS.items():
        assert figure.duration <= 1.0
        assert 0.05 < np.abs(heard(kind)).max() < 0.5


def test_thresholds_must_be_above_0() -> None:
    """The message has them."""
    with pytest.raises(ValueError, match=r"above 0, got Thresholds\(spike=0"):
        Thresholds(spike=0)
