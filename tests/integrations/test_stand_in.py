"""The optimizer that stands for a framework's own: its steps are measured, no more."""

import pickle

import numpy as np
import pytest
import torch
from helpers.models import small, true_norm

import gradsound
from gradsound.integrations.loss_mean import LossMean
from gradsound.integrations.stand_in import StandInTraining

pytestmark = pytest.mark.usefixtures("own_folder")


def backward(model: torch.nn.Module) -> torch.Tensor:
    model.zero_grad()
    loss = model(torch.rand(8, 3)).square().mean()
    loss.backward()
    return loss


def test_signals_are_refused() -> None:
    """The weights do not change in its steps, and it keeps no moments."""
    with pytest.raises(
        ValueError, match="signals must be empty with an optimizer of Keras"
    ):
        StandInTraining(web=False, options={"signals": ["zeros"]})


def test_steps_are_measured_and_update_nothing() -> None:
    """A step has the norms of the moment, values and the mean loss; weights stay."""
    model = small()
    before = [p.detach().clone() for p in model.parameters()]
    training, expected, losses = StandInTraining(web=False, options={}), [], []
    training.attach_parameters(model, model.parameters(), step=7)
    for epoch in range(3):
        losses.append([])
        for _ in range(epoch + 1):
            loss = backward(model)
            training.losses.add(loss)
            losses[-1].append(loss.item())
        expected.append([true_norm(model[0]), true_norm(model[2])])
        training.step(lr=1 / 3, epoch=epoch)
    training.end()
    training.step(lr=1 / 3)  # after the end it does nothing
    steps = [*gradsound.read_run("run.jsonl").steps]

    assert [step.number for step in steps] == [7, 8, 9]
    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-6)
    np.testing.assert_allclose(
        [step.values["loss"] for step in steps], [np.mean(one) for one in losses]
    )
    assert [step.values["epoch"] for step in steps] == [0, 1, 2]
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters()))


@pytest.mark.parametrize("loss_scale", [None, 128.0])
def test_a_skipped_step(loss_scale: float | None) -> None:
    """It is recorded as skipped, without its loss scale; the next step is ordinary."""
    model = small()
    training = StandInTraining(web=False, options={})
    training.attach_parameters(model, model.parameters())
    backward(model)
    norms = np.array([true_norm(model[0]), true_norm(model[2])])
    training.skip_step(None if loss_scale is None else torch.tensor(loss_scale))
    training.step()
    training.end()
    skipped, following = gradsound.read_run("run.jsonl").steps

    assert (skipped.skipped, following.skipped) == (True, False)
    assert (skipped.loss_scale, following.loss_scale) == (loss_scale, None)
    np.testing.assert_allclose(skipped.norms, norms / (loss_scale or 1), rtol=1e-6)
    np.testing.assert_allclose(following.norms, norms, rtol=1e-6)


def test_a_copy_has_no_attachment() -> None:
    """A pickled training keeps its options alone, and can attach anew."""
    model = small()
    training = StandInTraining(web=False, options={"log": "one.jsonl"})
    training.attach_parameters(model, model.parameters())
    training.losses.add(backward(model))
    copy = pickle.loads(pickle.dumps(training))  # noqa: S301 (our own)
    copy.step()
    training.step()
    training.end()

    assert copy.options == {"log": "one.jsonl"}
    assert copy.losses.pop() is None
    assert len([*gradsound.read_run("one.jsonl").steps]) == 1


def test_the_caller_may_change_a_loss() -> None:
    """Composer multiplies a loss in place after it was added."""
    losses, loss = LossMean(), torch.tensor(3.0, requires_grad=True)
    losses.add(loss)
    with torch.no_grad():
        loss.mul_(100)
    losses.add(torch.tensor(4.0))

    mean = losses.pop()
    assert mean is not None
    assert mean.item() == 3.5
    assert not mean.requires_grad
    assert losses.pop() is None
