"""FastaiCallback: attaches to a fit of fastai's Learner."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from gradsound.errors import MissingExtraError

try:
    from fastai.callback.core import Callback, CancelFitException
except ModuleNotFoundError as error:
    if error.name != "fastai":
        raise
    raise MissingExtraError("fastai") from error

from gradsound.integrations.stand_in import StandInTraining

if TYPE_CHECKING:
    from collections.abc import Iterable


class FastaiCallback(Callback):  # type: ignore[misc]
    """Records each fit of a fastai Learner, and plays it live if asked.

    It records ``loss``, ``lr`` and ``epoch`` with every step, with an optimizer of fastai
    or of torch. A step that mixed precision skips is recorded as skipped. ``lr_find`` and
    validations are no trainings, and have no run.

    The files are complete after a fit ends. fastai does not report an exception: then the
    files are complete when the Learner fits again, after `close`, or at the end of the
    program.

    Args:
        web: Whether to play on a page, the page's port, or "notebook", as for
            `gradsound.listen`.
        stop_on: Kinds of alarms that end the training, such as ``("nonfinite", "loss")``.
        **options: As for `gradsound.attach`; fastai supplies the scaler.

    Raises:
        TypeError, ValueError, OSError: If an option is unknown, or web, wav, preset,
            voice or stop_on is invalid. `attach` checks the other options when
            the fit starts.
        MissingExtraError: If websockets is not installed and web is given, or anywidget
            for a notebook.

    Example:
        >>> import gradsound
        >>> callback = gradsound.FastaiCallback(log="fit.jsonl", wav="fit.wav")
        >>> # Learner(..., cbs=callback)
    """

    order = math.inf  # after callbacks that clip, unscale, or leave steps out

    def __init__(
        self,
        *,
        web: bool | int | str = False,
        stop_on: str | Iterable[str] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        self._recorded = StandInTraining(web, options, stop_on)

    def before_fit(self) -> None:
        """Finishes the files of a fit that failed."""
        self._recorded.end()

    def before_train(self) -> None:
        """Attaches: by now it is a fit, and no validation, which begins like one."""
        if not self._recorded.attached and not hasattr(self.learn, "lr_finder"):
            parameters = chain.from_iterable(self.learn.opt.param_lists)
            self._recorded.attach_parameters(self.learn.model, parameters)

    def after_loss(self) -> None:
        """Adds the loss of a batch to the mean of the next step."""
        if self.learn.training:
            self._recorded.losses.add(self.learn.loss)

    def before_step(self) -> None:
        """Records a step: its gradients are complete, unscaled and clipped by now."""
        self._recorded.step(lr=self._rate(), epoch=self.learn.epoch)

    def after_cancel_step(self) -> None:
        """Records a step that fastai skips, such as one whose gradients overflow."""
        self._recorded.skip_step(lr=self._rate(), epoch=self.learn.epoch)

    def after_batch(self) -> None:
        """Ends the fit at an alarm that the user chose."""
        if self.learn.training and self._recorded.must_stop():
            raise CancelFitException

    def after_fit(self) -> None:
        """Finishes the files."""
        self.close()

    def close(self) -> None:
        """Finishes the files of a fit that an exception ended."""
        self._recorded.end()

    def _rate(self) -> object:
        # fastai's own records have the learning rate of the last group, the head's.
        return self.learn.opt.hypers[-1]["lr"]
