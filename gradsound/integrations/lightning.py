"""LightningCallback: attaches to a fit of Lightning's Trainer."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if find_spec("pytorch_lightning") and not find_spec("lightning"):  # its older package name
    from pytorch_lightning import Callback
else:
    from lightning.pytorch import Callback  # type: ignore[assignment]

from gradsound.integrations.alarm_actions import check_save_on_stop
from gradsound.integrations.callback import AttachedTraining
from gradsound.measure.deepspeed_engine import trained_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn
    from torch.optim import Optimizer


class LightningCallback(Callback):
    """Records each fit of a Lightning Trainer, and plays it live if asked.

    It records ``loss``, ``lr`` and ``epoch`` with every optimizer step. The loss is the
    mean of the losses that Lightning differentiated since the step before. With several
    optimizers, each gets files of its own (run.optimizer1.jsonl). The files are complete
    after training ends, with or without an exception. Checkpoints contain nothing of it.

    Args:
        web: Whether to play on a page, the page's port, or "notebook", as for
            `gradsound.listen`.
        stop_on: Kinds of alarms that end the training, such as ``("nonfinite", "loss")``.
        save_on_stop: Whether to write a checkpoint when it does so.
        **options: As for `gradsound.attach`; Lightning supplies the scaler.

    Raises:
        TypeError, ValueError, OSError: If an option is unknown, or web, wav, preset,
            voice or stop_on is invalid. `attach` checks the other options when
            training starts.
        MissingExtraError: If websockets is not installed and web is given, or anywidget
            for a notebook.

    Example:
        >>> import gradsound
        >>> from lightning.pytorch import Trainer
        >>> callback = gradsound.LightningCallback(log="fit.jsonl", wav="fit.wav")
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[callback])
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
        self._loss_sum: Tensor | None = None

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Attaches: Lightning has loaded the checkpoint and moved the model by now."""
        self._loss_sum = None
        # Lightning gives a module without optimizers one that holds no parameter.
        own = {*map(id, pl_module.parameters())}
        optimizers = [
            one
            for one in trainer.optimizers
            if not own.isdisjoint(map(id, trained_parameters(one)))
        ]
        self._training.end()  # of a fit that failed
        for index, optimizer in enumerate(optimizers or [None]):
            # Lightning counts the steps of all optimizers together.
            step, changes = trainer.global_step, {}
            if len(optimizers) > 1:
                step, changes = 0, _changes_of_optimizer(index, self._training.options)
            self._training.attach(pl_module, optimizer, _scaler(trainer), step, **changes)

    def on_before_backward(self, trainer: Any, _: nn.Module, loss: Tensor) -> None:
        """Adds the loss of a batch to the sum of the next step."""
        loss = loss.detach()
        if (scaler := _scaler(trainer)) is not None:
            loss = loss / scaler.scale(
                loss.new_ones(())
            )  # get_scale() would wait for a GPU
        self._loss_sum = loss if self._loss_sum is None else self._loss_sum + loss

    def on_before_optimizer_step(
        self, trainer: Any, _: nn.Module, optimizer: Optimizer
    ) -> None:
        """Records the values of the next step."""
        values = {"lr": optimizer.param_groups[0]["lr"], "epoch": trainer.current_epoch}
        if self._loss_sum is not None:
            values["loss"], self._loss_sum = self._loss_sum, None
        self._training.log_values(optimizer, **values)

    def on_train_batch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Ends the fit at an alarm that the user chose, after this batch."""
        if self._training.must_stop() and not trainer.should_stop:
            if self._save_on_stop:
                file = f"stopped-step={trainer.global_step}.ckpt"
                trainer.save_checkpoint(Path(trainer.default_root_dir, file))
            trainer.should_stop = True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Finishes the files."""
        self._training.end()

    on_exception = on_train_end


def _scaler(trainer: Any) -> Any:
    return getattr(trainer.precision_plugin, "scaler", None)


def _changes_of_optimizer(index: int, options: dict[str, Any]) -> dict[str, Any]:
    """Returns what differs for one of several optimizers: its files; one plays live."""
    changes: dict[str, Any] = {} if index == 0 else {"live": False}
    for name, default in (("log", "run.jsonl"), ("wav", None)):
        if (file := options.get(name, default)) is not None:
            path = Path(file)
            changes[name] = path.with_name(f"{path.stem}.optimizer{index}{path.suffix}")
    return changes
