"""A callback for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from gradsound.integrations.callback import AttachedTraining


class TransformersCallback(TrainerCallback):
    """Listens to ``Trainer(..., callbacks=[TransformersCallback(wav="run.wav")])``.

    With every step its ``lr`` and ``epoch`` are recorded, and with the step that follows
    a log, the ``loss`` that was logged: the Trainer tells it to nobody sooner. With
    ``logging_steps=1`` each step so has the loss of the one before it.

    Files are finished when training ends. Of an exception the Trainer says nothing: then
    that is when it trains again, at `close`, or when the program ends.

    Args:
        web: Whether to play in a browser, or on which port, as for `gradsound.listen`.
        **options: As for `gradsound.attach`; the scaler is known.

    Raises:
        TypeError, ValueError, OSError: If there is no such option, or web, wav, preset or
            voice is not what it should be; what else is wrong is found at the start.
        MissingExtraError: If websockets is not installed, and a page is asked for.
    """

    def __init__(self, *, web: bool | int = False, **options: Any) -> None:
        self._training = AttachedTraining(web, options)

    def on_train_begin(self, *_: Any, **given: Any) -> None:
        """Attaches: here the Trainer has prepared the model and the optimizer."""
        optimizer = given["optimizer"]  # Accelerate's, around one of torch
        scaler = getattr(optimizer, "scaler", None)
        self._training.begin(given["model"], [optimizer], scaler)

    def on_step_begin(self, *event: Any, **given: Any) -> None:
        """Notes what belongs to the step that comes."""
        _, state, _ = event
        optimizer, epoch = given["optimizer"], int(state.epoch or 0)
        self._training.log_values(
            optimizer, lr=optimizer.param_groups[0]["lr"], epoch=epoch
        )

    def on_log(self, *_: Any, **given: Any) -> None:
        """Notes the loss, if there is one: evaluation logs too."""
        if "loss" in given["logs"]:
            self._training.log_values(given["optimizer"], loss=given["logs"]["loss"])

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Finishes the files."""
        self.close()

    def close(self) -> None:
        """Finishes the files of a training that an exception ended."""
        self._training.end()
