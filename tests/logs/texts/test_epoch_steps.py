"""Steps of epochs, counted over the epochs."""

import pytest

from gradsound.logs.texts.epoch_steps import EpochSteps


@pytest.mark.parametrize(
    ("logged", "counted"),
    [
        ([(1, 50), (1, 100), (2, 50), (2, 100), (3, 50)], [50, 100, 150, 200, 250]),
        ([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)], [0, 1, 2, 3, 4]),
        ([(0, 10), (0, 20), (1, 20), (1, 30)], [10, 20, 20, 30]),
        ([(1, 50), (2, 50.5)], [50, 50.5]),
        ([(1, 9), (2, 9), (3, 4)], [9, 9, 13]),
    ],
)
def test_steps_count_on_if_an_epoch_begins_again(
    logged: list[tuple[float, float]], counted: list[float]
) -> None:
    """A later epoch with a smaller step has steps of its own; others count as they are."""
    steps = EpochSteps()

    assert [steps.count(step, epoch) for epoch, step in logged] == counted


def test_the_steps_of_an_epoch_are_as_many_as_the_log_says() -> None:
    """A log that shows every 50th of 70 steps counts 70 in an epoch."""
    steps = EpochSteps()
    counted = [steps.count(50, epoch, 70, is_of_epoch=True) for epoch in (1, 2, 3)]

    assert counted == [50, 120, 190]


def test_a_training_that_resumes_goes_back() -> None:
    """An epoch that comes again has the steps that it had."""
    steps = EpochSteps()
    logged = [(1, 5), (1, 10), (2, 5), (2, 8), (2, 5), (2, 10), (1, 7), (2, 5), (3, 5)]
    counted = [steps.count(step, epoch, 10, is_of_epoch=True) for epoch, step in logged]

    assert counted == [5, 10, 15, 18, 15, 20, 7, 15, 25]


def test_without_an_epoch_steps_are_as_logged() -> None:
    """There is nothing to count over."""
    steps = EpochSteps()

    assert [steps.count(step, None, 10) for step in (5, 10, 5)] == [5, 10, 5]
