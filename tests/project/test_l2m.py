"""The demo of L2M: its figures beside their controls, and the chords of its samples."""

import gzip
import struct
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.demos import DEMOS, refusal, run_demo
from helpers.spectrum import spectrum

CHORD_SECONDS, LOWEST = 0.55, 330.0  # of an image; Hz of digit 0
KINDS = ("digits", "turned", "noise", "Fashion")


def read_table(output: str) -> tuple[list[str], dict[str, list[float]]]:
    """Returns the names of the columns, and the numbers of each row by its name."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return cells[0][1:], {row[0]: [*map(float, row[1:])] for row in cells[2:]}


def write_clothes(folder: Path) -> None:
    """Writes images in the format of Fashion-MNIST: boxes, which are no digits."""
    pixels = np.zeros((40, 28, 28), np.uint8)
    pixels[:, 3:25, 6:22] = np.arange(100, 180, 2)[:, None, None]
    header = struct.pack(">4B3I", 0, 0, 8, 3, *pixels.shape)
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz", "wb") as file:
        file.write(header + pixels.tobytes())


def heard_digits(samples: np.ndarray, rate: int, chord: int) -> set[int]:
    """Returns the digits whose pitches are in a chord, by its spectrum."""
    begin = int((chord * CHORD_SECONDS + 0.05) * rate)
    bins, power = spectrum(samples[begin : begin + int(0.3 * rate)].mean(axis=1), rate)
    peaks = LOWEST * 2 ** (np.arange(10) / 6)
    levels = np.array([power[np.abs(bins - peak) < 12].max() for peak in peaks])
    return {*np.flatnonzero(levels > 0.01 * levels.max()).tolist()}


def test_l2m(tmp_path: Path) -> None:
    """L2M is better calibrated than MAP; samples agree on digits, and not on noise."""
    write_clothes(tmp_path)
    output = run_demo("l2m", "--seeds", 1, "--fashion", ".", folder=tmp_path).stdout
    columns, rows = read_table(output)
    last, plain = (np.array(rows[name]) for name in ("last layer, N B v + prior", "MAP"))
    broken = rows["all layers, N v + 1"]

    assert columns == ["accuracy", "NLL", "ECE", *(f"AUROC {kind}" for kind in KINDS[1:])]
    assert len(rows) == 9
    assert plain[0] > 0.9
    assert abs(last[0] - plain[0]) <= 0.005
    assert last[1] < plain[1]
    assert last[2] < 0.8 * plain[2]
    assert (last[3:5] > plain[3:5] - 0.01).all()  # one seed: means are for five
    assert broken[0] < 0.3
    assert broken[1] > 2
    assert f"ECE of L2M to MAP's: {last[2] / plain[2]:.2f}"[:-1] in output

    samples, rate = soundfile.read(tmp_path / "out" / "l2m.wav", always_2d=True)
    digits, turned, noise = (
        [heard_digits(samples, rate, first + chord) for chord in range(8)]
        for first in (0, 10, 20)  # a pause is as long as two chords
    )
    labels = [7, 2, 1, 0, 4, 1, 4, 9]  # of the first images of MNIST's test set
    assert sum(heard == {label} for heard, label in zip(digits, labels)) >= 7
    notes = [np.mean([*map(len, kind)]) for kind in (digits, turned, noise)]
    assert notes[0] < notes[1] < notes[2]
    assert notes[2] > 2
    loudness = [
        np.std(samples[int(chord * CHORD_SECONDS * rate) :][: rate // 2])
        for chord in (0, 20)
    ]
    assert 0.7 < loudness[0] / loudness[1] < 2.5  # of a unison and of a cluster
    pause = samples[int(8.1 * CHORD_SECONDS * rate) : int(9.9 * CHORD_SECONDS * rate)]
    assert not pause.any()
    assert 0.1 < np.abs(samples).max() < 0.5
    assert (tmp_path / "out" / "l2m.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", 0], "--seeds must be 1 or more, got 0"),
        (["--seeds", "many"], "invalid int value: 'many'"),
        (["--out", "/dev/null/x"], "--out must be a folder"),
        (["--fashion", "nowhere"], "No such file or directory: 'nowhere/t10k-images"),
        (["--fashion", "damaged"], "--fashion needs a folder with t10k-images"),
        (["--fashion", "labels"], "has no images of 28 x 28 pixels: (10,)"),
    ],
)
def test_l2m_refuses(
    options: list[object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong option ends the demo with one sentence, before any training."""
    name = "t10k-images-idx3-ubyte.gz"
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / name).write_bytes(b"no images")
    (tmp_path / "labels").mkdir()
    with gzip.open(tmp_path / "labels" / name, "wb") as file:
        file.write(struct.pack(">4BI", 0, 0, 8, 1, 10) + bytes(10))

    monkeypatch.chdir(tmp_path)
    assert message in refusal("l2m", options, monkeypatch, capsys)


def test_l2m_without_clothes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo says in one line that there is no Fashion-MNIST, and uses it if there is."""
    monkeypatch.syspath_prepend(DEMOS)
    demo = import_module("l2m")
    monkeypatch.setattr(demo, "FASHION", tmp_path)
    assert demo.load_fashion(None) == {}
    assert capsys.readouterr().out.count("\n") == 1
    write_clothes(tmp_path)
    assert demo.load_fashion(None)["Fashion"].shape == (40, 1, 28, 28)
    assert not capsys.readouterr().out


def test_second_moments_have_no_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same gradient at each step, Adam's second moment is its square at once."""
    monkeypatch.syspath_prepend(DEMOS)
    read_second_moments = import_module("adam_posterior").read_second_moments
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.95))
    gradients = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    for _ in range(3):
        for name, parameter in model.named_parameters():
            parameter.grad = gradients[name].clone()
        optimizer.step()
    moments = read_second_moments(model, optimizer)

    for name, gradient in gradients.items():
        torch.testing.assert_close(moments[name], gradient.square())


def test_figures_of_known_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of calibration and AUROC are those that one can count."""
    monkeypatch.syspath_prepend(DEMOS)
    calibration = import_module("calibration")
    sure, unsure = torch.tensor([0.9, 0.1]), torch.tensor([0.6, 0.4])
    predictions = torch.stack([sure, sure, unsure, unsure])
    labels = torch.tensor([0, 0, 0, 1])  # all right where sure, a half elsewhere

    assert calibration.find_ece(predictions, labels) == pytest.approx(0.1)
    assert calibration.find_accuracy(predictions, labels) == 0.75
    expected = -np.log([0.9, 0.9, 0.6, 0.4]).mean()
    assert calibration.find_nll(predictions, labels) == pytest.approx(expected)
    known, strange = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0, 0.5, -1.0])
    assert calibration.find_auroc(known, strange) == (1 + 0.5 + 2 + 1 + 0) / 8
    entropies = calibration.find_entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    torch.testing.assert_close(entropies, torch.tensor([0.0, float(np.log(2))]))
