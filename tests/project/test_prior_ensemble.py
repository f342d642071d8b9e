"""The demo of randomized priors: its figures beside their controls, and its chord."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.demos import DEMOS, refusal, run_demo
from helpers.spectrum import spectrum

STEP_SECONDS, STEPS, PAUSE_STEPS = 0.1, 121, 10


def read_table(output: str) -> dict[str, list[float]]:
    """Returns the numbers of each row of a table by its name."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: [*map(float, row[1:])] for row in cells[2:]}


def heard_semitones(path: Path, x: float, *, prior: bool) -> float:
    """Returns how wide the chord at x is: the range of its fundamentals, in semitones."""
    samples, rate = soundfile.read(path, always_2d=True)
    step = (x + 1.5) / 3 * (STEPS - 1) + prior * (STEPS + PAUSE_STEPS)
    middle = int((step + 0.5) * STEP_SECONDS * rate)
    part = samples[middle - rate // 8 : middle + rate // 8]
    bins, power = spectrum(part[:, 0], rate)
    power += spectrum(part[:, 1], rate)[1]
    audible = (bins > 60) & (bins < 900)
    bins, power = bins[audible], power[audible]
    power = power * (power > 0.03 * power.max())
    lowest = bins[np.flatnonzero(power)[0]]
    octave = bins < 1.85 * lowest  # the voice has its second partial an octave above
    return 12 * np.log2(bins[octave][np.flatnonzero(power[octave])[-1]] / lowest)


def test_prior_ensemble(tmp_path: Path) -> None:
    """A prior keeps members apart in the gap alone, and so they sound."""
    process = run_demo("prior_ensemble", "--seeds", 2, folder=tmp_path)
    rows = read_table(process.stdout)
    none, prior = np.array(rows["no prior"]), np.array(rows["random prior"])
    _, gap, _, ratio, covered = range(5)

    assert len(rows) == 12
    assert prior[gap] >= 2 * none[gap]
    assert prior[ratio] >= 3
    assert prior[covered] >= 0.5
    assert prior[covered] > none[covered]
    assert prior[gap] >= 1.5 * rows["one random prior for all"][gap]
    post = rows["post: random prior"][gap] / rows["post: no prior"][gap]
    assert 0.7 < post < 1.4
    assert "Covered more than without: 2 of 2 seeds (claim: all)." in process.stdout

    path = tmp_path / "out" / "prior_ensemble.wav"
    data = [heard_semitones(path, -0.55, prior=prior) for prior in (False, True)]
    between = [heard_semitones(path, 0.0, prior=prior) for prior in (False, True)]
    assert max(data) < 2
    assert between[0] < 4
    assert between[1] > 2 * between[0]
    samples, rate = soundfile.read(path, always_2d=True)
    begin = int((STEPS + 1) * STEP_SECONDS * rate)
    assert not samples[begin : begin + int(0.7 * rate)].any()  # between the two
    assert 0.1 < np.abs(samples).max() < 0.5
    assert np.abs(np.diff(samples, axis=0)).max() < 0.1  # no click
    assert (tmp_path / "out" / "prior_ensemble.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", -1], "--seeds must be 1 or more, got -1"),
        (["--seeds", 1.5], "invalid int value: '1.5'"),
        (["--out", "/dev/null/x"], "--out must be a folder"),
        (["--fashion", "x"], "unrecognized arguments: --fashion x"),
    ],
)
def test_prior_ensemble_refuses(
    options: list[object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong option ends the demo with one sentence, before any training."""
    monkeypatch.chdir(tmp_path)
    assert message in refusal("prior_ensemble", options, monkeypatch, capsys)


@pytest.fixture
def priors(monkeypatch: pytest.MonkeyPatch):
    """Returns the module that fits ensembles, with few steps."""
    monkeypatch.syspath_prepend(DEMOS)
    module = import_module("randomized_priors")
    monkeypatch.setattr(module, "STEPS", 20)
    return module


@pytest.mark.parametrize("prior", ["networks", "sine", "sines"])
def test_a_prior_of_scale_0_is_none(priors, prior: str) -> None:
    """All settings of a seed have the same data, starts and resampled points."""
    settings = priors.Settings(prior, scale=0.0)
    torch.testing.assert_close(
        priors.fit(3, settings), priors.fit(3, replace(settings, prior="none"))
    )


def test_members_train_alone(priors, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a member becomes does not depend on the others."""
    settings = priors.Settings("sine")
    expected = priors.fit(0, settings)
    make_networks = priors.make_networks

    def make_others(generator: torch.Generator) -> list[torch.Tensor]:
        networks = make_networks(generator)
        for tensor in networks:
            tensor[1:] *= 2
        return networks

    monkeypatch.setattr(priors, "make_networks", make_others)
    outputs = priors.fit(0, settings)

    torch.testing.assert_close(outputs[0], expected[0])
    assert not torch.allclose(outputs[1:], expected[1:])
