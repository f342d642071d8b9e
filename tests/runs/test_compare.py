"""Two runs: one in each ear, or their ratio."""

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
from gradsound.runs.compare import aligned, ratios

RATE = 44_100
NOTE, STEP = 3087, 3087 + 6174  # frames: 70 ms, and 140 ms of silence
Norms = list[list[float | None]]


def named(norms: Norms, name: str = "made", numbers: Sequence[int] = ()) -> gradsound.Run:
    """A run of that name, whose steps may have numbers of their own."""
    run = make_run(norms)
    steps = [replace(step, number=k) for step, k in zip(run.steps, numbers)]
    return replace(run, name=name, steps=steps or run.steps)


def numbered(*numbers: int) -> gradsound.Run:
    return named([[1.0]] * len(numbers), "numbered", numbers)


def render(path: Path, *runs: gradsound.Run, **options) -> np.ndarray:
    """The samples of two runs, shape (N, C)."""
    gradsound.render(runs[0], path / "x.wav", other=runs[1], **options)
    return soundfile.read(path / "x.wav", always_2d=True)[0]


def captions(path: Path) -> str:
    return (path / "x.vtt").read_text()


def peak(samples: np.ndarray) -> int:
    """The Hz of which there is most."""
    window = np.hanning(len(samples))
    return int(np.abs(np.fft.rfft(samples * window, RATE)).argmax())


SETS = st.sets(st.integers(0, 20))


@given(SETS, SETS)
def test_every_step_of_both_comes_once_in_order(one: set[int], other: set[int]) -> None:
    """Beside the other run's of the same number, or beside nothing."""
    runs = [numbered(*sorted(one)), numbered(*sorted(other))]
    found = [*aligned(runs)]

    assert [number for number, _ in found] == sorted(one | other)
    for number, steps in found:
        assert [step is not None for step in steps] == [number in one, number in other]
        assert {step.number for step in steps if step is not None} == {number}


def test_steps_are_read_as_they_are_wanted() -> None:
    """A run of any length takes no memory: no more than one step is read ahead."""
    read = []

    def steps():
        for step in named([[1.0]] * 100).steps:
            read.append(step.number)
            yield step

    run = replace(named([[1.0]]), steps=steps())
    for number, _ in aligned([run, numbered(0, 50)]):
        assert len(read) <= number + 2


def ratio(one: Norms, other: Norms) -> list[list[float]]:
    return [step.norms.tolist() for step in ratios(named(one), named(other)).steps]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (2, 3, 1.5),
        (1e-38, 1e38, np.inf),
        (0, 0, 1),
        (0, 2, np.inf),
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
def test_a_ratio_is_of_the_other_to_the_first(
    one: float, other: float, wanted: float
) -> None:
    """What is not a number is none; where both are 0 nothing differs."""
    np.testing.assert_allclose(ratio([[one, 1]], [[other, 1]]), [[wanted, 1]], rtol=1e-6)


@pytest.mark.parametrize(("one", "other"), [(None, 1), (1, None), (None, None), (None, 0)])
def test_where_one_has_no_gradient_there_is_no_ratio(one, other) -> None:
    """The layer is absent, and silent."""
    (step,) = ratios(named([[one, 4]]), named([[other, 2]])).steps

    assert step.absent.tolist() == [True, False]
    assert np.isnan(step.norms[0])
    assert step.norms[1] == 0.5


def test_a_ratio_needs_the_step_of_both() -> None:
    """Steps that one did not measure or reach have none; runs are left as they are."""
    run, other = numbered(0, 1, 4, 5), numbered(1, 2, 5, 6)
    found = ratios(run, other)

    for _ in range(2):  # as often as wanted
        assert [step.number for step in found.steps] == [1, 5]
    assert [step.norms.tolist() for step in run.steps] == [[1.0]] * 4


def test_a_ratio_of_different_layers_is_refused() -> None:
    """The message has both runs, and what is in one of them only."""
    one = replace(make_run([[1, 2]], ("in", "out")), name="a.jsonl")
    other = replace(make_run([[1, 2]], ("in", "end")), name="b.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl and b\.jsonl .*not in both: end, out"):
        ratios(one, other)
    with pytest.raises(ValueError, match=r"different layers.*order"):
        ratios(one, replace(make_run([[1, 2]], ("out", "in")), name="b.jsonl"))


def test_what_was_skipped_in_one_is_skipped_in_the_ratio() -> None:
    """A scaler throws infinities away all the time: no alarm, and no clang."""
    run = named([[1.0]])
    (step,) = run.steps
    skipped = replace(step, norms=np.array([np.inf], np.float32), skipped=True)
    (found,) = ratios(run, replace(run, steps=[skipped])).steps

    assert found.skipped


def test_values_of_the_other_run_are_kept() -> None:
    """Epochs, for one, which have captions."""
    run = named([[1.0]])
    (step,) = run.steps
    (found,) = ratios(run, replace(run, steps=[replace(step, values={"epoch": 3.0})])).steps

    assert found.values["epoch"] == 3


def test_each_run_is_in_its_ear(tmp_path: Path) -> None:
    """The first in the left one, the other in the right, each at its own norms."""
    run, other = named([[1.0], [10.0]], "a"), named([[0.1], [100.0]], "b")
    sound = render(tmp_path, run, other, preset=PLAIN)

    assert sound.shape == (2 * STEP, 2)
    wanted = [(440, 880), (220, 1760)]
    for collector, pitches in zip(sound.T, wanted):
        for k, hertz in enumerate(pitches):
            assert abs(peak(collector[k * STEP : k * STEP + NOTE]) - hertz) <= 1


@pytest.mark.parametrize("preset", ["notes", "chord", "scan", "ambient", "perone2019"])
def test_swapping_the_runs_swaps_the_ears(tmp_path: Path, preset: str) -> None:
    """To the sample, whatever the preset."""
    run, other = named([[1.0, 3.0]] * 3, "a"), named([[0.1, np.nan], [None, 9.0]], "b")
    quiet = replace(gradsound.PRESETS[preset], alarms=0.0)
    sound = render(tmp_path, run, other, preset=quiet)

    np.testing.assert_array_equal(
        sound[:, ::-1], render(tmp_path, other, run, preset=quiet)
    )
    assert np.abs(sound[:, 0] - sound[:, 1]).max() > 0.01


def test_a_run_sounds_as_it_does_alone(tmp_path: Path) -> None:
    """What is in the other ear changes nothing."""
    run = named([[1.0], [3.0], [2.0]], "a")
    gradsound.render(run, tmp_path / "x.wav", preset=PLAIN, subtype="FLOAT")
    alone = soundfile.read(tmp_path / "x.wav")[0]
    both = render(tmp_path, run, named([[5.0]] * 2, "b"), preset=PLAIN, subtype="FLOAT")

    left = both[:, 0]
    np.testing.assert_allclose(left / np.abs(left).max(), alone / np.abs(alone).max())


def test_different_layers_may_be_compared(tmp_path: Path) -> None:
    """Each has its own bands; a step lasts as long as the longer of the two."""
    wide = named([[1.0] * 3, [10.0] * 3], "wide")
    sound = render(tmp_path, wide, named([[1.0], [10.0]], "narrow"), preset=PLAIN)
    step = 3 * NOTE + 6174

    assert len(sound) == 2 * step
    for collector in sound.T:
        assert abs(peak(collector[:NOTE]) - 440) <= 1
        assert abs(peak(collector[step : step + NOTE]) - 880) <= 1


@pytest.mark.parametrize("preset", ["notes", "chord", "scan", "ambient", "perone2019"])
@pytest.mark.parametrize("longer", [0, 1])
def test_an_ear_is_silent_when_its_run_is_over(
    tmp_path: Path, preset: str, longer: int
) -> None:
    """But for the figure that ends both."""
    runs = [named([[1.0] * 2] * 3, "short")]
    runs.insert(longer, named([[1.0] * 2] * 40, "long"))
    sound = render(tmp_path, *runs, preset=preset)
    gradsound.render(runs[1 - longer], tmp_path / "y.wav", preset=preset)
    over = len(soundfile.read(tmp_path / "y.wav")[0])
    ends = len(sound) - (END if gradsound.PRESETS[preset].alarms else 0)

    if preset == "ambient":
        ends -= RATE // 2  # in which a drone falls silent
    silent, goes_on = sound[over:ends, 1 - longer], sound[over:ends, longer]
    assert len(silent) > 1000
    assert np.abs(silent).max() <= 2**-15
    assert np.abs(goes_on).max() > 0.01


def test_a_step_that_was_not_measured_is_silent_in_its_ear(tmp_path: Path) -> None:
    """The other goes on, and both are together again."""
    runs = numbered(0, 2), numbered(0, 1, 2)
    sound = render(tmp_path, *runs, preset=PLAIN).reshape(3, STEP, 2)

    heard = [[bool(step[:, collector].any()) for collector in (0, 1)] for step in sound]
    assert heard == [[True, True], [False, True], [True, True]]


def test_a_value_is_silent_when_its_run_is_over(tmp_path: Path) -> None:
    """As its norms are."""
    short = named([[1.0]] * 2, "short")
    steps = [replace(step, values={"loss": 0.5}) for step in short.steps]
    preset = replace(
        PLAIN, drives=(Drive(value="loss", drives="voice", low=0.0, high=1.0),)
    )
    sound = render(
        tmp_path, replace(short, steps=steps), named([[1.0]] * 5, "long"), preset=preset
    )

    assert not sound[2 * (NOTE + STEP) :, 0].any()


def test_captions_name_the_runs(tmp_path: Path) -> None:
    """Every one, by the name of its file."""
    rough = [[1.0]] * 3 + [[np.nan]]
    render(tmp_path, named(rough, "x/a.jsonl"), named([[1.0]] * 4, "y/b.jsonl"))
    told = captions(tmp_path)

    assert "\na.jsonl, step 3: NaN in layer0" in told
    assert "b.jsonl, step 3: NaN" not in told
    assert "\na.jsonl, step 3: end of the run: 4 steps" in told
    assert "\nb.jsonl, step 3: end of the run: 4 steps" in told


def test_captions_name_runs_of_the_same_name_apart(tmp_path: Path) -> None:
    """As one has it: a folder for each run, and the same file in each."""
    render(tmp_path, named([[1.0]], "a/run.jsonl"), named([[1.0]], "b/run.jsonl"))
    ends = [line for line in captions(tmp_path).splitlines() if "end of the run" in line]

    assert len({*ends}) == 2


def test_alarms_are_in_the_ear_of_their_run(tmp_path: Path) -> None:
    """A run that is calm is not disturbed: its ear has its end alone."""
    runs = named([[np.nan]] * 60, "a"), named([[1.0]] * 60, "b")
    sound = render(tmp_path, *runs, preset="alarms")

    before = sound[: -round(1.2 * RATE)]
    assert np.abs(before[:, 0]).max() > 0.02
    assert np.abs(before[:, 1]).max() <= 2**-15


def test_a_difference_from_itself_is_all_norm_1(tmp_path: Path) -> None:
    """Whatever the norms are, 0 as well; what has no gradient is silent."""
    norms = [[0.3, 7.0], [0.0, 1e-20], [None, 1e20]]
    sound = render(
        tmp_path, named(norms, "a"), named(norms, "b"), difference=True, preset=PLAIN
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
    """Ten times the norm of the first is an octave up."""
    run, other = named([[3.0]] * 2, "a"), named([[30.0], [0.3]], "b")
    sound = render(tmp_path, run, other, difference=True, preset=PLAIN)[:, 0]

    assert abs(peak(sound[:NOTE]) - 880) <= 1
    assert abs(peak(sound[STEP : STEP + NOTE]) - 220) <= 1


def test_a_difference_needs_two(tmp_path: Path) -> None:
    """And says so."""
    with pytest.raises(ValueError, match="needs two runs, got one"):
        gradsound.render(named([[1.0]]), tmp_path / "x.wav", difference=True)


@pytest.mark.parametrize("empty", [0, 1])
def test_a_run_without_steps_cannot_be_compared(tmp_path: Path, empty: int) -> None:
    """The message has which; no file is made."""
    runs = [named([[1.0]], "full"), named([[1.0]], "full")]
    runs[empty] = replace(make_run([]), name="empty")
    with pytest.raises(ValueError, match=r"^empty: has no steps"):
        render(tmp_path, *runs)
    assert not [*tmp_path.iterdir()]


def test_runs_without_a_step_in_common_have_no_difference(tmp_path: Path) -> None:
    """There is nothing to hear."""
    with pytest.raises(ValueError, match="has no steps"):
        render(tmp_path, numbered(0, 1), numbered(2, 3), difference=True)
    assert not [*tmp_path.iterdir()]


def test_neither_run_is_overwritten(save) -> None:
    """A file that is one of the runs is refused."""
    paths = save([[1.0]], name="a.wav"), save([[2.0]], name="b.wav")
    for path in paths:
        before = path.read_bytes()
        with pytest.raises(ValueError, match="is the run itself"):
            gradsound.render(paths[0], path, other=paths[1])
        assert path.read_bytes() == before
