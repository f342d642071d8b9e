"""ComposerCallback: attaches to a fit of MosaicML Composer's Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.errors import MissingExtraError

try:
    from composer.core import Callback
except ModuleNotFoundError as error:
    if error.name != "composer":
        raise
    raise MissingExtraError("mosaicml") from error

from gradsound.integrations.callback import AttachedTraining
from gradsound.integrations.loss_mean import LossMean

if TYPE_CHECKING:
    from collections.abc import Iterable


class ComposerCallback(Callback):  # type: ignore[misc]
    """Records each fit of a Composer Trainer, and plays it live if asked.

    It records ``loss``, ``lr`` and ``epoch`` with every optimizer step. The loss is the
    mean of the losses of the step's microbatches. The files are complete after training
    ends, or after ``trainer.close()`` where an exception ended it.

    Args:
        web: Whether to play on a page, the page's port, or "notebook", as for
            `gradsound.listen`.
        stop_on: Kinds of alarms that end the training, such as ``("nonfinite", "loss")``.
        **options: As for `gradsound.attach`; Composer supplies the scaler.

    Raises:
        TypeError, ValueError, OSError: If an option is unknown, or web, wav, preset,
            voice or stop_on is invalid. `attach` checks the other options when
            training starts.
        MissingExtraError: If websockets is not installed and web is given, or anywidget
            for a notebook.

    Example:
        >>> import gradsound
        >>> callback = gradsound.ComposerCallback(log="fit.jsonl", wav="fit.wav")
        >>> # Trainer(..., callbacks=[callback])
    """

    def __init__(
        self,
        *,
        web: bool | int | str = False,
        stop_on: str | Iterable[str] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        self._training = AttachedTraining(web, options, stop_on)
        self._losses = LossMean()

    def fit_start(self, state: Any, *_: object) -> None:
        """Attaches: Composer has loaded the checkpoint and prepared the model by now."""
        self._training.end()  # of a fit that failed
        self._losses.pop()
        (optimizer,) = state.optimizers  # Composer takes no more than one
        step = int(state.timestamp.batch)
        self._training.attach(state.model, optimizer, state.scaler, step)

    def before_train_batch(self, *_: object) -> None:
        """Forgets the losses of a batch that Composer tries again or evaluates twice."""
        self._losses.pop()

    def before_backward(self, state: Any, *_: object) -> None:
        """Adds the loss of a microbatch to the mean of the step."""
        self._losses.add(_total(state.loss))

    def after_train_batch(self, state: Any, *_: object) -> None:
        """Records the values of the step, which comes next or is in progress."""
        (optimizer,) = state.optimizers
        lr, epoch = optimizer.param_groups[0]["lr"], int(state.timestamp.epoch)
        loss = self._losses.pop()
        self._training.log_values(optimizer, lr=lr, epoch=epoch, loss=loss)

    def batch_end(self, state: Any, *_: object) -> None:
        """Ends the fit at an alarm that the user chose, after this batch."""
        if self._training.must_stop():
            state.stop_training()

    def fit_end(self, *_: object) -> None:
        """Finishes the files."""
        self._training.end()

    close = fit_end


def _total(loss: Any) -> Any:
    """Returns the loss that Composer differentiates, from what a model returns."""
    if isinstance(loss, dict):
        loss = loss["total"] if "total" in loss else tuple(loss.values())
    losses = loss if isinstance(loss, tuple | list) else (loss,)
    return sum(one.detach().mean() for one in losses)
