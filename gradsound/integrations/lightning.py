"""A callback for Lightning's Trainer."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if find_spec("pytorch_lightning") and not find_spec("lightning"):  # its other name
    from pytorch_lightning import Callback
else:
    from lightning.pytorch import Callback  # type: ignore[assignment]

from gradsound.integrations.callback import AttachedTraining

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


class LightningCallback(Callback):
    """Listens to a fit: ``Trainer(callbacks=[LightningCallback(wav="run.wav")])``.

    With every step of an optimizer its ``loss``, ``lr`` and ``epoch`` are recorded. The
    loss is what was differentiated since the step before: with accumulated batches, their
    mean. Of several optimizers each has its files (run.optimizer1.jsonl). Files are
    finished when training ends, however that comes; nothing is in checkpoints.

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
        self._loss: Tensor | None = None

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Attaches: here a checkpoint is loaded, and the model is where it trains."""
        self._loss = None
        # A module without an optimizer is given one of no parameters.
        own = {*pl_module.parameters()}
        optimizers = [
            one
            for one in trainer.optimizers
            if any(not own.isdisjoint(group["params"]) for group in one.param_groups)
        ]
        self._training.begin(pl_module, optimizers or [None], _scaler(trainer))

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
        self._training.log_values(optimizer, **values)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Finishes the files."""
        self._training.end()

    on_exception = on_train_end


def _scaler(trainer: Any) -> Any:
    return getattr(trainer.precision_plugin, "scaler", None)
