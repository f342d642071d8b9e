"""The panel of losses in a picture: losses, evaluation losses, the learning rate."""

import numpy as np
import pytest
from helpers.pictures import draw, line, with_values
from helpers.runs import make_run


def picture_of(*values: dict[str, float]):
    """Returns the picture of a run with these values, one mapping a step."""
    return draw(with_values(make_run([[1.0]] * len(values)), values))


def test_losses_are_lines_and_evaluations_points() -> None:
    """The loss is a line; each evaluation loss is points where it was logged."""
    picture = picture_of(
        {"loss": 3.0}, {"loss": 2.5, "val_loss": 2.75}, {"loss": 2.0}, {"eval_loss": 1.5}
    )
    (axes,) = picture.losses
    loss, evaluation = line(axes, "loss"), line(axes, "val_loss")

    np.testing.assert_allclose(loss.get_data(), [[0, 1, 2], [3.0, 2.5, 2.0]])
    np.testing.assert_allclose(evaluation.get_data(), [[1], [2.75]])
    np.testing.assert_allclose(line(axes, "eval_loss").get_data(), [[3], [1.5]])
    assert evaluation.get_linestyle() == "None"
    assert {"loss", "val_loss", "eval_loss"} <= {*picture.legend()}


def test_the_learning_rate_has_the_right_axis() -> None:
    """The learning rate is on an axis of its own, which begins at 0."""
    picture = picture_of({"loss": 3.0, "lr": 1e-4}, {"loss": 2.0, "lr": 5e-5})
    axes = next(a for a in picture.figure.axes if a.get_ylabel() == "learning rate")

    np.testing.assert_allclose(line(axes, "learning rate").get_ydata(), [1e-4, 5e-5])
    assert axes.get_ylim()[0] == 0
    assert "learning rate" in picture.legend()


def test_a_learning_rate_alone_has_a_panel() -> None:
    """A run without a loss shows its learning rate."""
    assert "learning rate" in picture_of({"lr": 1e-4}, {"lr": 0.0}).legend()


def test_without_either_there_is_no_panel() -> None:
    """Other values make no panel."""
    assert picture_of({"epoch": 1.0}, {"accuracy": 0.5}).losses == []


def test_a_loss_that_is_not_finite_is_marked() -> None:
    """NaN and infinity have marks at their steps; the line has a gap there."""
    (axes,) = picture_of({"loss": 1.0}, {"loss": np.nan}, {"loss": 2.0}).losses

    assert list(line(axes, "NaN, inf").get_xdata()) == [1]
    np.testing.assert_allclose(line(axes, "loss").get_ydata(), [1.0, np.nan, 2.0])


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([2.0, 1.5, 1.0], "linear"),
        ([100.0, 1.0, 1.0], "log"),
        ([-1e-3, 2e-3, 0.0, 1e-3], "linear"),
        ([-1e-3, 1e-3, 1e-3, 50.0], "symlog"),
    ],
)
def test_the_axis_fits_the_losses(losses: list[float], scale: str) -> None:
    """A wide range of losses is on a logarithmic axis; all losses are inside."""
    (axes,) = picture_of(*({"loss": loss} for loss in losses)).losses
    low, high = axes.get_ylim()

    assert axes.get_yscale() == scale
    assert low < min(losses) < max(losses) < high


def test_the_peak_of_a_loss_survives_thinning() -> None:
    """Of 10,000 losses the highest is drawn, at its step."""
    values = [{"loss": 1.0} for _ in range(10_000)]
    values[4_321] = {"loss": 9.0}
    (axes,) = picture_of(*values).losses
    highest = axes.lines[0]

    assert highest.get_xdata()[np.argmax(highest.get_ydata())] == 4_321


def test_two_runs_share_the_panel() -> None:
    """The losses of two runs are in one panel, each with the name of its run."""
    runs = [with_values(make_run([[1.0]] * 2), [{"loss": loss}] * 2) for loss in (1.0, 2.0)]
    (axes,) = draw(*runs).losses

    assert len([one for one in axes.lines if one.get_label() == " made: loss"]) == 2
