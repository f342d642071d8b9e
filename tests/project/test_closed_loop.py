"""The demo of CW-ERM: what it claims holds on fewer seeds, and its controls are fair."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from helpers.demos import DEMOS, run_demo

import gradsound

SAMPLES = DEMOS.parent / "samples"
SEEDS = 4


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Returns the names of a demo, without running it."""
    monkeypatch.syspath_prepend(str(DEMOS))
    return SimpleNamespace(**runpy.run_path(str(DEMOS / f"{name}.py")))


def test_fewer_collisions_at_the_same_loss(tmp_path: Path) -> None:
    """CW-ERM collides less than ERM and both controls, and its open-loop error is alike."""
    process = run_demo("closed_loop", "--seeds", SEEDS, folder=tmp_path)
    rows = re.findall(r"^\| ([\w, -]+) \| ([\d.-].*) \|$", process.stdout, re.MULTILINE)
    numbers = {name: [*map(float, row.split(" | "))] for name, row in rows[1:]}
    ours, erm, random, longer = numbers.values()

    assert [*numbers][1:] == ["ERM", "ERM, random scenes", "ERM, twice as long"]
    assert erm[4] >= 0.8 * SEEDS
    assert ours[0] < min(erm[0], random[0], longer[0])
    for one in (erm, random, longer):
        assert one[1] == pytest.approx(one[0] - ours[0], abs=0.02)
        assert one[2] < one[1] < one[3]
    assert 0.9 < ours[5] / erm[5] < 1.15
    assert f"fewer in {erm[4]:.0f} of {SEEDS} seeds" in process.stdout
    assert soundfile.info(tmp_path / "out" / "closed_loop.wav").duration > 20
    assert (tmp_path / "out" / "closed_loop.png").stat().st_size > 20_000
    captions = SAMPLES / "seeds" / "closed_loop.vtt"  # with the times of collisions
    assert (tmp_path / "out" / captions.name).read_text() == captions.read_text()


@pytest.mark.parametrize(("hits", "found"), [(0, "in 0 of 3"), (3, "in 3 of 3")])
def test_an_error_set_without_a_choice_is_refused(monkeypatch, hits, found) -> None:
    """If ERM collides in no training scene, or in each, no scene can weigh more."""
    demo = load("closed_loop", monkeypatch)
    gaps = torch.ones(2, 3, 80)
    gaps[0, 1, 7] = gaps[1, :hits, 7] = 0
    with pytest.raises(ValueError, match=f"^seed 5: ERM collides {found} training scenes"):
        demo.find_errors(range(4, 6), gaps)


def test_an_empty_error_set_ends_the_demo_with_one_sentence(tmp_path: Path) -> None:
    """The demo names the seed and the constant to change, and writes no file."""
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(DEMOS)!r})
        import closed_loop
        closed_loop.STEPS = 1
        closed_loop.collided = lambda gaps: gaps.amin(-1) < -1000
        sys.argv = ["closed_loop.py", "--seeds", "1"]
        closed_loop.main()
    """
    command = [sys.executable, "-c", code]
    process = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert process.returncode == 1
    assert process.stderr.startswith("closed_loop.py: seed 0: ERM collides in 0 of 300")
    assert process.stderr.endswith("raise HARD\n")
    assert process.stderr.count("\n") == 1
    assert not [*(tmp_path / "out").iterdir()]


def test_all_policies_meet_the_same_scenes_and_noise(monkeypatch) -> None:
    """The noise is that of the scene, whoever drives it; scenes are those of their seed."""
    following = load("car_following", monkeypatch)
    scenes = following.make_scenes(range(2), 20, hard=1.0)
    for policy in (None, lambda view: -view[..., 2]):
        gaps, views, _ = following.drive(scenes, policy)
        seen = torch.cat([scenes.gap[..., None], gaps[..., :-1]], 2)
        noise = (views[..., 0] - seen / 20) / 0.05
        torch.testing.assert_close(noise, scenes.noise[..., 0], rtol=0, atol=1e-4)
    alone = following.make_scenes([1], 20, hard=1.0)
    for name, values in vars(alone).items():
        torch.testing.assert_close(values[0], getattr(scenes, name)[1], rtol=0, atol=0)


def test_the_expert_keeps_his_distance(monkeypatch) -> None:
    """The expert never collides where everybody does who does not brake."""
    following = load("car_following", monkeypatch)
    scenes = following.make_scenes(range(2), 100, hard=1.0)
    assert not following.collided(following.drive(scenes)[0]).any()
    careless = following.drive(scenes, lambda view: torch.zeros(view.shape[:-1]))
    assert following.collided(careless[0]).float().mean() > 0.9


def test_weights_decide_which_scenes_are_drawn(monkeypatch) -> None:
    """A policy learns from scenes with a weight, in proportion to it; seeds are apart."""
    following = load("car_following", monkeypatch)
    scenes = following.make_scenes(range(2), 6, hard=0.5)
    _, views, actions = following.drive(scenes)
    weights = torch.tensor([[0.0, 0, 1, 0, 3, 0]] * 2)
    only = views[:, [2, 4, 4, 4]], actions[:, [2, 4, 4, 4]], torch.ones(2, 4)
    by_weight = following.clone(range(2), views, actions, weights, 20)
    by_copies = following.clone(range(2), *only, 20)
    alone = following.clone(range(1), views[:1], actions[:1], weights[:1], 20)

    evenly = following.clone(range(2), views, actions, torch.ones(2, 6), 20)

    for policies in (by_weight, by_copies, alone, evenly):
        policies.requires_grad_(requires_grad=False)
    weights = (policies.weights for policies in (by_weight, by_copies, alone, evenly))
    for one, same, own, other in zip(*weights):
        torch.testing.assert_close(one, same)
        torch.testing.assert_close(one[:1], own)
        assert not torch.allclose(one, other)


def test_the_gap_is_the_pitch_and_a_collision_growls(tmp_path: Path, monkeypatch) -> None:
    """4 m are 220 Hz, on the right for CW-ERM; a collision is NaN, and then silence."""
    demo = load("drive_views", monkeypatch)
    gaps = np.full((2, 1, 80), 4.0, np.float32)
    gaps[0, 0, 40:60] = -0.5  # driven through: it stays a collision
    run = demo.heard(gaps, torch.tensor([1 / 60, 1 / 60]))
    steps = [*run.steps]
    norms, absent = (
        np.stack([getattr(step, name) for step in steps]) for name in ("norms", "absent")
    )
    half = len(steps) // 2

    np.testing.assert_array_equal(norms[:20, 0], 4)
    assert np.isnan(norms[20 : 20 + demo.GROWL, 0]).all()
    assert not absent[: 20 + demo.GROWL, 0].any()
    assert absent[20 + demo.GROWL :, 0].all()
    np.testing.assert_array_equal(~absent[half:, 1], np.arange(half) < 40)
    gradsound.render(run, tmp_path / "gap.wav", preset=demo.PRESET)
    sound, rate = soundfile.read(tmp_path / "gap.wav")
    start = round(len(sound) * half / len(steps))
    tone = sound[start : start + rate]
    assert np.argmax(np.abs(np.fft.rfft(tone[:, 1]))) == pytest.approx(220, abs=2)
    assert np.square(tone[:, 1]).sum() > 2 * np.square(tone[:, 0]).sum()


def test_a_larger_error_is_a_faster_tempo(tmp_path: Path, monkeypatch) -> None:
    """The open-loop error is the tempo, so equal errors sound equally fast."""
    demo = load("drive_views", monkeypatch)
    gaps, seconds = np.full((2, 1, 80), 4.0, np.float32), []
    for errors in ([1 / 60, 1 / 60], [1 / 60, 1 / 30]):
        run = demo.heard(gaps, torch.tensor(errors))
        gradsound.render(run, tmp_path / "gap.wav", preset=demo.PRESET)
        seconds.append(soundfile.info(tmp_path / "gap.wav").duration)

    assert seconds[1] < 0.95 * seconds[0]


def test_intervals_are_those_of_the_textbook(monkeypatch) -> None:
    """Beta(n + 1, 1) has quantiles p^(1/(n+1)); Student's t of two numbers is Cauchy."""
    shared = load("seed_experiment", monkeypatch)
    expected = 0.025 ** (1 / 11), 0.975 ** (1 / 11)
    assert shared.share_interval(10, 10) == pytest.approx(expected, abs=1e-4)
    mirrored = [1 - share for share in shared.share_interval(0, 10)[::-1]]
    assert mirrored == pytest.approx(expected, abs=1e-4)

    reach = 0.5 * np.tan(0.475 * np.pi)
    assert shared.mean_interval([1 / 3, 4 / 3]) == pytest.approx(
        (5 / 6 - reach, 5 / 6 + reach), rel=1e-3
    )
    low, high = shared.mean_interval([1, 2, 3])
    assert (high - low) / 2 == pytest.approx(4.3027 / np.sqrt(3), rel=1e-3)
    assert shared.mean_interval([1.0]) == (-np.inf, np.inf)
