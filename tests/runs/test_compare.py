"""Two runs compared: one in each ear, or the ratio of their norms."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.scores import END, PLAIN
from hypothesis import given
from hypothesis import strategies as st

import gradsound
from gradsound.music.value_mapping import Drive
from gradsound.runs.compare import align_steps, divide_norms

RATE = 44_100
NOTE, STEP = 3087, 3087 + 6174  # frames: a note of 70 ms, then 140 ms of silence
Norms = list[list[float | None]]


def run_named(
    norms: Norms, name: str = "made", numbers: Sequence[int] = ()
) -> gradsound.Run:
    """Returns a run with this name, and with these step numbers if given."""
    run = make_run(norms)
    steps = [replace(step, number=k) for step, k in zip(run.steps, numbers)]
    return replace(run, name=name, steps=steps or run.steps)


def run_numbered(*numbers: int) -> gradsound.Run:
    """Returns a run of norms 1 with these step numbers."""
    return run_named([[1.0]] * len(numbers), "numbered", numbers)


def render(path: Path, *runs: gradsound.Run, **options) -> np.ndarray:
    """Renders two runs; returns the samples, shape (N, C)."""
    gradsound.render(runs[0], path / "x.wav", other=runs[1], **options)
    return soundfile.read(path / "x.wav", always_2d=True)[0]


def read_captions(path: Path) -> str:
    return (path / "x.vtt").read_text()


def peak(samples: np.ndarray) -> int:
    """Returns the loudest frequency, Hz."""
    window = np.hanning(len(samples))
    return int(np.abs(np.fft.rfft(samples * window, RATE)).argmax())


SETS = st.sets(st.integers(0, 20))


@given(SETS, SETS)
def test_every_step_of_both_is_yielded_once_in_order(
    one: set[int], other: set[int]
) -> None:
    """A step is paired with the other run's step of the same number, or with None."""
    runs = [run_numbered(*sorted(one)), run_numbered(*sorted(other))]
    rows = [*align_steps(runs)]

    assert [number for number, _ in rows] == sorted(one | other)
    for number, steps in rows:
        assert [step is not None for step in steps] == [number in one, number in other]
        assert {step.number for step in steps if step is not None} == {number}


def test_steps_are_read_lazily() -> None:
    """At most one step of a run is read ahead, so memory does not grow with its length."""
    read = []

    def steps():
        for step in run_named([[1.0]] * 100).steps:
            read.append(step.number)
            yield step

    run = replace(run_named([[1.0]]), steps=steps())
    for number, _ in align_steps([run, run_numbered(0, 50)]):
        assert len(read) <= number + 2


def ratio(one: Norms, other: Norms) -> list[list[float]]:
    return [
        step.norms.tolist() for step in divide_norms(run_named(one), run_named(other)).steps
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (2, 3, 1.5),
        (1e-38, 1e38, np.inf),
        (0, 0, 1),
        (0, 2, np.nan),
        (2, 0, 0),
        (np.nan, 1, np.nan),
        (1, np.nan, np.nan),
        (0, np.nan, np.nan),
        (1, np.inf, np.inf),
        (np.inf, 1, 0),
        (np.inf, np.inf, np.nan),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_ratio_divides_the_other_norm_by_the_first(
    one: float, other: float, expected: float
) -> None:
    """NaN stays NaN, 0 / 0 is 1 because the norms are equal, and 2 / 0 is absent."""
    np.testing.assert_allclose(ratio([[one, 1]], [[other, 1]]), [[expected, 1]], rtol=1e-6)


@pytest.mark.parametrize(("one", "other"), [(None, 1), (1, None), (None, None), (None, 0)])
def test_a_ratio_is_absent_where_one_norm_is(one, other) -> None:
    """A layer without a gradient in one of the two runs is absent in the ratio."""
    (step,) = divide_norms(run_named([[one, 4]]), run_named([[other, 2]])).steps

    assert step.absent.tolist() == [True, False]
    assert np.isnan(step.norms[0])
    assert step.norms[1] == 0.5


def test_a_ratio_needs_the_step_of_both() -> None:
    """The ratio has the steps that both runs have, repeatably, and changes neither run."""
    run, other = run_numbered(0, 1, 4, 5), run_numbered(1, 2, 5, 6)
    quotient = divide_norms(run, other)

    for _ in range(2):  # repeatable
        assert [step.number for step in quotient.steps] == [1, 5]
    assert [step.norms.tolist() for step in run.steps] == [[1.0]] * 4


def test_a_ratio_of_different_layers_is_refused() -> None:
    """The message names both runs, and the layers that one of them lacks."""
    one = replace(make_run([[1, 2]], ("in", "out")), name="a.jsonl")
    other = replace(make_run([[1, 2]], ("in", "end")), name="b.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl and b\.jsonl .*not in both: end, out"):
        divide_norms(one, other)
    many = replace(make_run([[1] * 9], (*"abcdefghi",)), name="b.jsonl")
    with pytest.raises(ValueError, match=r"not in both: a, b, c, d and 7 more"):
        divide_norms(one, many)
    with pytest.raises(ValueError, match=r"different layers.*order"):
        divide_norms(one, replace(make_run([[1, 2]], ("out", "in")), name="b.jsonl"))


def test_a_step_skipped_in_one_run_is_skipped_in_the_ratio() -> None:
    """A GradScaler skips infinities regularly, so they must cause no alarm."""
    run = run_named([[1.0]])
    (step,) = run.steps
    skipped = replace(step, norms=np.array([np.inf], np.float32), skipped=True)
    (quotient,) = divide_norms(run, replace(run, steps=[skipped])).steps

    assert quotient.skipped


def test_values_of_the_other_run_are_kept() -> None:
    """The ratio keeps the epochs, which have captions."""
    run = run_named([[1.0]])
    (step,) = run.steps
    other = replace(run, steps=[replace(step, values={"epoch": 3.0})])
    (quotient,) = divide_norms(run, other).steps

    assert quotient.values["epoch"] == 3


def test_each_run_is_in_its_ear(tmp_path: Path) -> None:
    """The first run is in the left ear, the other in the right, each with its pitches."""
    run, other = run_named([[1.0], [10.0]], "a"), run_named([[0.1], [100.0]], "b")
    sound = render(tmp_path, run, other, preset=PLAIN)

    assert sound.shape == (2 * STEP, 2)
    expected = [(440, 880), (220, 1760)]
    for ear, pitches in zip(sound.T, expected):
        for k, hertz in enumerate(pitches):
            assert abs(peak(ear[k * STEP : k * STEP + NOTE]) - hertz) <= 1


@pytest.mark.parametrize("preset", ["notes", "chord", "scan", "ambient", "perone2019"])
def test_swapping_the_runs_swaps_the_ears(tmp_path: Path, preset: str) -> None:
    """With every preset, each sample of one ear moves to the other."""
    run, other = (
        run_named([[1.0, 3.0]] * 3, "a"),
        run_named([[0.1, np.nan], [None, 9.0]], "b"),
    )
    quiet = replace(gradsound.PRESETS[preset], alarms=0.0)
    sound = render(tmp_path, run, other, preset=quiet)

    np.testing.assert_array_equal(
        sound[:, ::-1], render(tmp_path, other, run, preset=quiet)
    )
    assert np.abs(sound[:, 0] - sound[:, 1]).max() > 0.01


def test_a_run_sounds_as_it_does_alone(tmp_path: Path) -> None:
    """The run in the other ear changes only the level."""
    run = run_named([[1.0], [3.0], [2.0]], "a")
    gradsound.render(run, tmp_path / "x.wav", preset=PLAIN, subtype="FLOAT")
    alone = soundfile.read(tmp_path / "x.wav")[0]
    both = render(tmp_path, run, run_named([[5.0]] * 2, "b"), preset=PLAIN, subtype="FLOAT")

    left = both[:, 0]
    np.testing.assert_allclose(left / np.abs(left).max(), alone / np.abs(alone).max())


def test_different_layers_may_be_compared(tmp_path: Path) -> None:
    """Each run has its own bands; a step lasts as long as the longer of the two."""
    wide = run_named([[1.0] * 3, [10.0] * 3], "wide")
    sound = render(tmp_path, wide, run_named([[1.0], [10.0]], "narrow"), preset=PLAIN)
    step = 3 * NOTE + 6174

    assert len(sound) == 2 * step
    for ear in sound.T:
        assert abs(peak(ear[:NOTE]) - 440) <= 1
        assert abs(peak(ear[step : step + NOTE]) - 880) <= 1


@pytest.mark.parametrize("preset", ["notes", "chord", "scan", "ambient", "perone2019"])
@pytest.mark.parametrize("longer", [0, 1])
def test_an_ear_is_silent_when_its_run_is_over(
    tmp_path: Path, preset: str, longer: int
) -> None:
    """The ear of the shorter run is silent after its end, except for the closing sound."""
    runs = [run_named([[1.0] * 2] * 3, "short")]
    runs.insert(longer, run_named([[1.0] * 2] * 40, "long"))
    sound = render(tmp_path, *runs, preset=preset)
    gradsound.render(runs[1 - longer], tmp_path / "y.wav", preset=preset)
    begin = len(soundfile.read(tmp_path / "y.wav")[0])
    end = len(sound) - (END if gradsound.PRESETS[preset].alarms else 0)

    if preset == "ambient":
        end -= RATE // 2  # frames, in which the drone fades out
    silent, sounding = sound[begin:end, 1 - longer], sound[begin:end, longer]
    assert len(silent) > 1000
    assert np.abs(silent).max() <= 2**-15
    assert np.abs(sounding).max() > 0.01


def test_a_step_that_was_not_measured_is_silent_in_its_ear(tmp_path: Path) -> None:
    """The other run plays that step, and both play the next step together."""
    runs = run_numbered(0, 2), run_numbered(0, 1, 2)
    sound = render(tmp_path, *runs, preset=PLAIN).reshape(3, STEP, 2)

    audible = [[bool(step[:, ear].any()) for ear in (0, 1)] for step in sound]
    assert audible == [[True, True], [False, True], [True, True]]


def test_a_value_is_silent_when_its_run_is_over(tmp_path: Path) -> None:
    """The voice of a value ends with its run, as the norms do."""
    short = run_named([[1.0]] * 2, "short")
    steps = [replace(step, values={"loss": 0.5}) for step in short.steps]
    preset = replace(
        PLAIN, drives=(Drive(value="loss", drives="voice", low=0.0, high=1.0),)
    )
    sound = render(
        tmp_path, replace(short, steps=steps), run_named([[1.0]] * 5, "long"), preset=preset
    )

    assert not sound[2 * (NOTE + STEP) :, 0].any()


def test_captions_name_the_runs(tmp_path: Path) -> None:
    """Every caption begins with the file name of its run."""
    rough = [[1.0]] * 3 + [[np.nan]]
    render(tmp_path, run_named(rough, "x/a.jsonl"), run_named([[1.0]] * 4, "y/b.jsonl"))
    captions = read_captions(tmp_path)

    assert "\na.jsonl, step 3: NaN in layer0" in captions
    assert "b.jsonl, step 3: NaN" not in captions
    assert "\na.jsonl, step 3: end of the run: 4 steps" in captions
    assert "\nb.jsonl, step 3: end of the run: 4 steps" in captions


def test_captions_name_runs_of_the_same_name_apart(tmp_path: Path) -> None:
    """Runs in two folders, with one file name, have captions with different names."""
    render(tmp_path, run_named([[1.0]], "a/run.jsonl"), run_named([[1.0]], "b/run.jsonl"))
    closings = [
        line for line in read_captions(tmp_path).splitlines() if "end of the run" in line
    ]

    assert len({*closings}) == 2


def test_alarms_are_in_the_ear_of_their_run(tmp_path: Path) -> None:
    """The ear of a run without alarms has its closing sound alone."""
    runs = run_named([[np.nan]] * 60, "a"), run_named([[1.0]] * 60, "b")
    sound = render(tmp_path, *runs, preset="alarms")

    before = sound[: -round(1.2 * RATE)]
    assert np.abs(before[:, 0]).max() > 0.02
    assert np.abs(before[:, 1]).max() <= 2**-15


def test_a_difference_from_itself_is_all_norm_1(tmp_path: Path) -> None:
    """That holds for any norm, also 0; a layer without a gradient is silent."""
    norms = [[0.3, 7.0], [0.0, 1e-20], [None, 1e20]]
    sound = render(
        tmp_path,
        run_named(norms, "a"),
        run_named(norms, "b"),
        difference=True,
        preset=PLAIN,
    )
    steps = sound.reshape(3, -1)

    for k, step in enumerate(steps):
        for layer in (0, 1):
            note = step[layer * NOTE : (layer + 1) * NOTE]
            if norms[k][layer] is None:
                assert not note.any()
            else:
                assert abs(peak(note) - 440) <= 1


def test_a_difference_is_heard_as_an_interval(tmp_path: Path) -> None:
    """Ten times the norm of the first run sounds an octave higher."""
    run, other = run_named([[3.0]] * 2, "a"), run_named([[30.0], [0.3]], "b")
    sound = render(tmp_path, run, other, difference=True, preset=PLAIN)[:, 0]

    assert abs(peak(sound[:NOTE]) - 880) <= 1
    assert abs(peak(sound[STEP : STEP + NOTE]) - 220) <= 1


def test_a_difference_needs_two_runs(tmp_path: Path) -> None:
    """With one run, the message names the rule and the number given."""
    with pytest.raises(ValueError, match="needs two runs, got 1"):
        gradsound.render(run_named([[1.0]]), tmp_path / "x.wav", difference=True)


@pytest.mark.parametrize("empty", [0, 1])
def test_a_run_without_steps_cannot_be_compared(tmp_path: Path, empty: int) -> None:
    """The message names the empty run, and no file is made."""
    runs = [run_named([[1.0]], "full"), run_named([[1.0]], "full")]
    runs[empty] = replace(make_run([]), name="empty")
    with pytest.raises(ValueError, match=r"^empty: has no steps"):
        render(tmp_path, *runs)
    assert not [*tmp_path.iterdir()]


def test_runs_without_a_step_in_common_have_no_difference(tmp_path: Path) -> None:
    """The ratio has no steps, so rendering refuses it and makes no file."""
    with pytest.raises(ValueError, match="has no steps"):
        render(tmp_path, run_numbered(0, 1), run_numbered(2, 3), difference=True)
    assert not [*tmp_path.iterdir()]


def test_neither_run_is_overwritten(save) -> None:
    """An output that is one of the run files is refused, and the file stays unchanged."""
    paths = save([[1.0]], name="a.wav"), save([[2.0]], name="b.wav")
    for path in paths:
        before = path.read_bytes()
        with pytest.raises(ValueError, match="is the run itself"):
            gradsound.render(paths[0], path, other=paths[1])
        assert path.read_bytes() == before


def test_a_ratio_says_what_it_is_made_of() -> None:
    """Its comment and name are both names; budget and raw norms are of neither run."""
    run, other = make_run([[1.0, 4.0]] * 3), make_run([[2.0, 1.0]] * 3)
    first = replace(run, name="first", header=replace(run.header, budget=0.5))
    ratio = divide_norms(first, replace(other, name="second"))

    assert (ratio.name, ratio.header.comment) == ("second / first", "second / first")
    assert ratio.header.budget is None
    assert [step.norms.tolist() for step in ratio.steps] == [[2.0, 0.25]] * 3


def test_a_ratio_has_values_and_skipped_steps_of_both() -> None:
    """A step is skipped if either run skipped it; the second run's values win."""
    run, other = make_run([[1.0]] * 3), make_run([[2.0]] * 3)
    raw = np.ones(1, np.float32)
    one = [replace(step, values={"loss": 1.0, "lr": 0.5}, raw=raw) for step in run.steps]
    two = [replace(step, values={"loss": 2.0}) for step in other.steps]
    one[0], two[1] = replace(one[0], skipped=True), replace(two[1], skipped=True)
    steps = [*divide_norms(replace(run, steps=one), replace(other, steps=two)).steps]

    assert [step.skipped for step in steps] == [True, True, False]
    assert [dict(step.values) for step in steps] == [{"loss": 2.0, "lr": 0.5}] * 3
    assert [step.raw for step in steps] == [None] * 3


def test_different_layers_have_no_ratio() -> None:
    """The error names a layer that only one run has, or the order, and the remedy."""
    run = make_run([[1.0, 2.0]], layers=("a", "b"))
    for layers, reason in ((("a", "c"), "c"), (("b", "a"), r"\(the order\)")):
        with pytest.raises(ValueError, match=reason) as refused:
            divide_norms(run, make_run([[1.0, 2.0]], layers=layers))
        assert str(refused.value).endswith("the same ones, --layers chooses some")
