"""KerasCallback: attaches to a fit of Keras on torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.errors import MissingExtraError

try:
    import keras
except ModuleNotFoundError as error:
    if error.name != "keras":
        raise
    raise MissingExtraError("keras") from error

from gradsound.integrations.keras_optimizer import ObservedOptimizer
from gradsound.integrations.stand_in import StandInTraining

if TYPE_CHECKING:
    from collections.abc import Iterable


class KerasCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Records each fit of a Keras model on torch, and plays it live if asked.

    It records ``loss``, ``lr`` and ``epoch`` with every update. The loss is that of the
    update's batch; Keras itself shows the mean of the epoch so far. Layers have the names
    of Keras: ``sequential.dense_1``. The steps count on from ``optimizer.iterations``.

    The files are complete after training ends. Keras does not report an exception: then
    the files are complete when the model trains again, after `close`, or at the end of the
    program.

    Args:
        web: Whether to play on a page, the page's port, or "notebook", as for
            `gradsound.listen`.
        stop_on: Kinds of alarms that end the training, such as ``("nonfinite", "loss")``.
        **options: As for `gradsound.attach`; Keras supplies the loss scale.

    Raises:
        RuntimeError: If Keras runs on another backend than torch.
        TypeError, ValueError, OSError: If an option is unknown, or web, wav, preset,
            voice or stop_on is invalid. `attach` checks the other options when
            training starts.
        MissingExtraError: If websockets is not installed and web is given, or anywidget
            for a notebook.

    Example:
        >>> import gradsound
        >>> callback = gradsound.KerasCallback(log="fit.jsonl", wav="fit.wav")
        >>> # model.fit(x, y, callbacks=[callback])
    """

    def __init__(
        self,
        *,
        web: bool | int | str = False,
        stop_on: str | Iterable[str] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        if (backend := keras.backend.backend()) != "torch":
            raise RuntimeError(
                f"Keras runs on {backend}, and gradsound measures torch: set the "
                "environment variable KERAS_BACKEND to torch before keras is imported"
            )
        self._training = StandInTraining(web, options, stop_on)
        self._observed: ObservedOptimizer | None = None

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Attaches: Keras has built the model and the optimizer has its weights by now."""
        self.close()  # of a training that failed
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            raise ValueError(
                f"the Keras model {self.model.name!r} has no optimizer: compile() it "
                "before it trains"
            )
        parameters = [variable.value for variable in self.model.trainable_variables]
        step = int(optimizer.iterations)
        self._training.attach_parameters(self.model, parameters, step)
        self._observed = ObservedOptimizer(optimizer, parameters, self._training)

    def on_epoch_begin(self, epoch: int, *_: object, **__: object) -> None:
        """Notes the epoch of the steps that follow."""
        if self._observed is not None:
            self._observed.epoch = epoch

    def on_train_batch_end(self, *_: object, **__: object) -> None:
        """Ends the fit at an alarm that the user chose, after this batch."""
        if self._training.must_stop():
            self.model.stop_training = True

    def on_train_end(self, *_: object, **__: object) -> None:
        """Finishes the files."""
        self.close()

    def close(self) -> None:
        """Finishes the files of a training that an exception ended."""
        if self._observed is not None:
            self._observed.remove()
            self._observed = None
        self._training.end()
