"""A callback for Lightning's Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError as error:  # the same by its other name
    if error.name != "lightning":
        raise
    from pytorch_lightning import Callback  # type: ignore[assignment]

from gradsound.integrations.hearing import Hearing

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


class GradsoundCallback(Callback):
    """Listens to a fit: ``Trainer(callbacks=[GradsoundCallback(wav="run.wav")])``.

    With every step of an optimizer its ``loss``, ``lr`` and ``epoch`` are recorded. The
    loss is what was differentiated since the step before: with accumulated batches, their
    mean. Of several optimizers each has its files (run.optimizer1.jsonl). Files are
    finished when training ends, however that comes; nothing is in checkpoints.

    Args:
        web: Whether to play in a browser, or on which port, as for `gradsound.listen`.
        **options: As for `gradsound.attach`; the scaler is known.

    Raises:
        TypeError: If there is no such option.
        ValueError: If live and web are given, or the port is outside its range.
        MissingExtraError: If websockets is not installed, and a page is asked for.
    """

    def __init__(self, *, web: bool | int = False, **options: Any) -> None:
        self._hearing = Hearing(web, options)
        self._loss: Tensor | None = None

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Attaches: here a checkpoint is loaded, and the model is where it trains."""
        self._loss = None
        self._hearing.begin(pl_module, trainer.optimizers, _scaler(trainer))

    def on_before_backward(self, trainer: Any, _: nn.Module, loss: Tensor) -> None:
        """Adds up what is differentiated until the next step."""
        loss = loss.detach()
        if (scaler := _scaler(trainer)) is not None:
            loss = loss / scaler.scale(loss.new_ones(()))  # which does not wait for a GPU
        self._loss = loss if self._loss is None else self._loss + loss

    def on_before_optimizer_step(
        self, trainer: Any, _: nn.Module, optimizer: Optimizer
    ) -> None:
        """Notes what belongs to the step that comes."""
        values = {"lr": optimizer.param_groups[0]["lr"], "epoch": trainer.current_epoch}
        if self._loss is not None:
            values["loss"], self._loss = self._loss, None
        self._hearing.note(optimizer, **values)

    def on_train_end(self, *_: Any) -> None:
        """Finishes the files."""
        self._hearing.end()

    def on_exception(self, *_: Any) -> None:
        """Finishes them too."""
        self._hearing.end()


def _scaler(trainer: Any) -> Any:
    return getattr(trainer.precision_plugin, "scaler", None)
