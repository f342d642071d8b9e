"""The demo of Benford's law: what the model learns, against controls, and its sound."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from helpers.demos import DEMOS, read_tables, run_demo

FOURTHS = 130.8 * 2 ** (5 * np.arange(9) / 12)  # Hz


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Runs the demo with one seed; returns its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder / "out", run_demo("benford", "--seeds", 1, folder=folder).stdout


@pytest.fixture
def laws() -> SimpleNamespace:
    """The demo's functions of digits."""
    return SimpleNamespace(**runpy.run_path(str(DEMOS / "digit_laws.py")))


def test_the_model_learns_the_digits_of_its_data_not_the_law(demo) -> None:
    """It is near to the data, which are far from Benford's law, and so is the control."""
    rows, _ = read_tables(demo[1])
    trained, control = rows["the model, trained"], rows["the model, control: latitudes"]
    data, untrained = rows["the data"], rows["the model, untrained"]

    assert trained["KL from its data"] <= 0.03
    assert trained["KL from its data"] < untrained["KL from its data"] / 5
    assert trained["KL from its data"] < data["from Benford"] / 4
    assert trained["KL from its data"] < trained["from Benford"] / 4
    assert control["from Benford"] > 0.5
    assert control["KL from its data"] < 0.1


def test_the_correlation_moves_with_mere_scale(demo) -> None:
    """Of normal numbers by .948, .989 and .916; of weights more than by training."""
    _, rows = read_tables(demo[1])
    normal = [rows["normal"][f"MLH, x {factor}"] for factor in (1, 2, 4)]

    assert normal == pytest.approx([0.948, 0.988, 0.916], abs=0.002)
    trained, untrained = rows["weights, trained"], rows["weights, untrained"]
    moved = abs(trained["MLH, x 1"] - untrained["MLH, x 1"])
    assert abs(trained["MLH, x 2"] - trained["MLH, x 1"]) > 2 * moved


def test_notes_are_as_loud_as_digits_are_likely(demo) -> None:
    """Nine notes, whose energies change as the shares do; the ears have two prompts."""
    samples, rate = soundfile.read(demo[0] / "benford.wav")
    first, last = (
        energies(samples[int(t * rate) :][: rate // 3], rate) for t in (0.05, 10.05)
    )
    rows, _ = read_tables(demo[1])
    for digit in (1, 2, 5, 9):
        name = f"digit {digit}"
        begun = rows["the model, untrained"][name]
        ended = rows["the model, trained"][name]  # of the last 8 checks
        grown = last[digit - 1, 0] / first[digit - 1, 0]
        assert grown == pytest.approx(ended / begun, rel=0.6)
    left, right = (last / last.sum(axis=0)).T

    assert left.argmax() == 0
    assert right.argmax() in {3, 4}  # latitudes begin with 4 and 5
    assert right[0] < 0.05
    assert 0.1 < np.abs(samples).max() < 0.9
    captions = (demo[0] / "benford.vtt").read_text()
    assert captions.count(" step ") == captions.count("end of the run") == 2


def energies(samples: np.ndarray, rate: int) -> np.ndarray:
    """Returns the energy of each note and ear, shape (9, 2); nothing else sounds."""
    window = np.hanning(len(samples))[:, None]
    power = np.abs(np.fft.rfft(samples * window, axis=0)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    notes = [power[np.abs(hertz - one) < 12].sum(axis=0) for one in FOURTHS]

    assert np.sum(notes) > 0.99 * power.sum()
    return np.array(notes)


def test_the_picture_is_written(demo) -> None:
    """It has three panels, so it is no empty figure."""
    assert (demo[0] / "benford.png").stat().st_size > 40_000


@pytest.mark.parametrize(
    ("number", "digit"),
    [(1, 1), (0.3, 3), (-0.1, 1), (9.99, 9), (1000, 1), (2e-7, 2), (5.4e300, 5)],
)
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_first_digits(laws, number: float, digit: int, kind: type) -> None:
    """Powers of ten and rounded numbers have the digit that a person reads."""
    if kind is np.float64 or abs(number) < 1e30:
        assert laws.first_digits(np.array([number, 0], kind)).tolist() == [digit]


def test_divergence_and_correlation(laws) -> None:
    """Both are known for the law itself, and for equal shares."""
    equal = np.full(9, 1 / 9)

    assert laws.divergence(laws.BENFORD) == pytest.approx(0)
    assert laws.correlation(laws.BENFORD) == pytest.approx(1)
    assert laws.divergence(equal) == pytest.approx(-np.log(9 * laws.BENFORD).mean())
    assert laws.count_digits(np.array([1, 1, 9])) == pytest.approx(
        np.array([3, *[1] * 7, 2]) / 12
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "/dev/null/x"], "--out must be a folder to write in: "),
        (["--steps", 5], "unrecognized arguments: --steps 5"),
    ],
)
def test_wrong_options_end_in_one_sentence(tmp_path: Path, options, message: str) -> None:
    """No traceback, and no training before."""
    lines = run_demo("benford", *options, folder=tmp_path, status=2).stderr.splitlines()

    assert message in lines[-1]
    assert all(line.startswith(("usage: ", "       ")) for line in lines[:-1])
