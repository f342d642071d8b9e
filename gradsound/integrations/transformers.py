"""TransformersCallback: attaches to a training of Hugging Face's Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from gradsound.integrations.alarm_actions import check_save_on_stop
from gradsound.integrations.callback import AttachedTraining

if TYPE_CHECKING:
    from collections.abc import Iterable


class TransformersCallback(TrainerCallback):
    """Records each training of a Hugging Face Trainer, and plays it live if asked.

    It records ``lr`` and ``epoch`` with every step. The Trainer reports the ``loss`` one
    step late, so the callback records it with the following step. With
    ``logging_steps=1``, each step has the loss of the step before.

    The files are complete after training ends. The Trainer does not report an exception:
    then the files are complete when it trains again, after `close`, or at the end of the
    program.

    Args:
        web: Whether to play on a page, the page's port, or "notebook", as for
            `gradsound.listen`.
        stop_on: Kinds of alarms that end the training, such as ``("nonfinite", "loss")``.
        save_on_stop: Whether to write a checkpoint when it does so.
        **options: As for `gradsound.attach`; the Trainer supplies the scaler.

    Raises:
        TypeError, ValueError, OSError: If an option is unknown, or web, wav, preset,
            voice or stop_on is invalid. `attach` checks the other options when
            training starts.
        MissingExtraError: If websockets is not installed and web is given, or anywidget
            for a notebook.

    Example:
        >>> import gradsound
        >>> from transformers import TrainerCallback
        >>> callback = gradsound.TransformersCallback(log="gpt2.jsonl", wav="gpt2.wav")
        >>> isinstance(callback, TrainerCallback)  # Trainer(..., callbacks=[callback])
        True
    """

    def __init__(
        self,
        *,
        web: bool | int | str = False,
        stop_on: str | Iterable[str] = (),
        save_on_stop: bool = False,
        **options: Any,
    ) -> None:
        self._training = AttachedTraining(web, options, stop_on)
        self._save_on_stop = check_save_on_stop(save_on_stop, stop_on)

    def on_train_begin(self, *event: Any, **context: Any) -> None:
        """Attaches: the Trainer has prepared the model and the optimizer by now."""
        _, state, _ = event
        optimizer = context["optimizer"]  # Accelerate's wrapper of a torch optimizer
        scaler = getattr(optimizer, "scaler", None)
        self._training.end()  # of a training that failed
        self._training.attach(context["model"], optimizer, scaler, state.global_step)

    def on_step_begin(self, *event: Any, **context: Any) -> None:
        """Records learning rate and epoch with the next step."""
        _, state, _ = event
        optimizer, epoch = context["optimizer"], int(state.epoch or 0)
        self._training.log_values(
            optimizer, lr=optimizer.param_groups[0]["lr"], epoch=epoch
        )

    def on_step_end(self, *event: Any, **_: Any) -> None:
        """Ends the training at an alarm that the user chose, after this step."""
        _, _, control = event
        if self._training.must_stop():
            control.should_training_stop = True
            control.should_save |= self._save_on_stop

    def on_log(self, *_: Any, **context: Any) -> None:
        """Records the loss with the next step; logs of an evaluation have no loss."""
        if "loss" in context["logs"]:
            self._training.log_values(context["optimizer"], loss=context["logs"]["loss"])

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Finishes the files."""
        self.close()

    def close(self) -> None:
        """Finishes the files of a training that an exception ended."""
        self._training.end()
