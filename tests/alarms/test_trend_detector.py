"""The trend detector reports lasting changes of the norm of the whole model."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.alarms import detect, kinds, steps_of


def noise(steps: int, seed: int = 0) -> np.ndarray:
    """Returns factors that scatter by 20 %, shape (S,)."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.08, steps)


def test_a_lasting_rise_is_an_alarm_until_the_norm_is_usual() -> None:
    """Twenty times the norm for 100 steps is a rise; the recovery has its kind."""
    norms = noise(600)
    norms[300:400] *= 20
    alarms = [
        a for a in detect(steps_of(norms[:, None])) if "spike" not in (a.kind, a.resolves)
    ]

    assert [(a.kind, a.resolves) for a in alarms] == [("rise", ""), ("recovery", "rise")]
    assert 300 < alarms[0].step < 325
    assert 400 < alarms[1].step < 425
    assert alarms[0].layers == ()
    assert alarms[0].persists


def test_a_rise_in_the_first_200_steps_is_a_warmup() -> None:
    """Twenty times in 20 steps, at step 20, is no rise."""
    norms = noise(400)
    norms[20:] *= np.minimum(20, np.geomspace(1, 2e7, 380))

    assert "rise" not in dict(kinds(steps_of(norms[:, None])))


def test_a_slow_rise_is_a_drift() -> None:
    """The norm grows 300-fold in 1,500 steps: two observations, a decade apart."""
    norms = noise(2000) * np.concatenate([np.ones(300), np.geomspace(1, 400, 1700)])
    alarms = detect(steps_of(norms[:, None]))

    assert [alarm.kind for alarm in alarms] == ["drift", "drift"]
    assert alarms[0].text.startswith("the norm has drifted from ")


@pytest.mark.parametrize(("factor", "alarms"), [(1e-2, 0), (1e-4, 1)])
def test_a_lasting_collapse_is_an_alarm(factor: float, alarms: int) -> None:
    """A thousandth of the norm is the counterpart of a layer that vanishes."""
    norms = noise(400)
    norms[200:] *= factor
    found = [alarm for alarm in detect(steps_of(norms[:, None])) if alarm.kind != "drift"]

    assert [alarm.kind for alarm in found] == ["vanishing"] * alarms
    assert all(alarm.persists and not alarm.layers for alarm in found)


def test_the_norm_of_a_whole_model_is_no_layer() -> None:
    """Sixteen zeros after single ones are an alarm of the model, and no dead layer."""
    norms = noise(300)
    norms[np.random.default_rng(1).random(300) < 0.1] = 0
    norms[100:103] = 0
    assert not detect(steps_of(norms[:, None]))

    norms[200:240], norms[240] = 0, 1
    lost, back = detect(steps_of(norms[:, None]))
    assert (lost.kind, lost.layers, lost.persists) == ("vanishing", (), True)
    assert lost.text == "the gradient is 0 for 16 steps"
    assert (back.kind, back.resolves, back.step) == ("recovery", "vanishing", 240)


def test_zeros_by_design_are_no_death() -> None:
    """Ten networks have a norm of 0 in four of five steps."""
    rng = np.random.default_rng(0)
    norms = rng.lognormal(0, 0.3, (300, 10))
    norms[rng.random((300, 10)) < 0.8] = 0

    assert not detect(steps_of(norms))
