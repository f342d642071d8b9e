"""The values that detectors watch: of each kind one, by the name that the run has first."""

import numpy as np
from helpers.alarms import detect, healthy_norms, kinds, steps_of, with_values

from gradsound.alarms.watched_values import WatchedValues
from gradsound.runs.step_block import gather_values


def test_the_names_that_trainers_write_are_watched() -> None:
    """A run that logs `train_loss` has the same alarms as one that logs `loss`."""
    losses = np.r_[np.full(100, 1.0), np.full(100, 16.0)]
    steps = steps_of(healthy_norms(200, 1))
    logged = [kinds(with_values(steps, **{n: losses})) for n in ("loss", "Train/Loss")]

    assert logged[0] == logged[1]
    assert "loss" in dict(logged[0])


def pick(watched: WatchedValues, **values: float) -> dict[str, float]:
    """Returns what is watched of one step with these values."""
    picked = watched.pick(gather_values([values]))
    return {kind: float(value.numbers[0]) for kind, value in picked.items()}


def test_the_first_name_stays() -> None:
    """A loss that the run logs later is not compared with the first one."""
    watched = WatchedValues()

    assert pick(watched, train_loss=2.0, lr=0.1) == {"loss": 2.0, "lr": 0.1}
    assert pick(watched, loss=9.0) == {}
    assert pick(watched, loss=9.0, train_loss=1.5) == {"loss": 1.5}


def test_the_first_name_does_not_depend_on_the_block() -> None:
    """In a block, the name of the earlier step counts, not the more usual one."""
    picked = WatchedValues().pick(gather_values([{"train_loss": 2.0}, {"loss": 9.0}]))

    assert picked["loss"].numbers.tolist() == [2.0]


def test_evaluation_losses_of_two_data_sets_are_not_compared() -> None:
    """One data set is watched, but a step with the other is an evaluation too."""
    watched = WatchedValues()

    assert pick(watched, eval_easy_loss=1.0) == {"evaluation": 1.0}
    assert pick(watched, eval_hard_loss=4.0) == {}
    assert watched.evaluations == {"eval_easy_loss", "eval_hard_loss"}


def test_losses_of_two_data_sets_in_turns_are_no_overfitting() -> None:
    """An easy and a hard data set in turns would look like a loss that rises."""
    steps = steps_of(healthy_norms(400, 1))
    falling = np.linspace(3.0, 1.0, 400)
    steps = with_values(steps, loss=falling)
    for k, step in enumerate(steps):
        if k % 10 == 9:
            easy = k < 200 or k % 20 == 9
            step.values["eval_easy_loss" if easy else "eval_hard_loss"] = (
                falling[k] if easy else 5.0 + k / 100
            )

    assert "overfit" not in {alarm.kind for alarm in detect(steps)}


def test_the_experts_of_each_layer_are_watched() -> None:
    """Numbers of experts in use do not replace each other, as losses do."""
    watched = WatchedValues()
    for values in ({"b/experts": 2.0}, {"a/experts": 3.0, "loss": 1.0}):
        watched.pick(gather_values([values]))
    values = gather_values([{"a/experts": 2.0, "b/experts": 3.0, "loss": 1.0}])

    assert [*watched.pick_experts(values)] == ["b/experts", "a/experts"]
    assert watched.pick_experts(gather_values([{"loss": 1.0}])) == {}
