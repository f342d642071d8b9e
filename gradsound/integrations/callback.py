"""Attachments of one training of a framework: one for each optimizer."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.api import attach
from gradsound.music.presets import find_preset
from gradsound.output.formats import check_path
from gradsound.workers.sinks import PageSink

if TYPE_CHECKING:
    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.attachment import Attachment

_FRAMEWORK_OPTIONS = ("model", "optimizer", "scaler")  # the framework supplies these


class AttachedTraining:
    """Attaches to each optimizer of a training, until the training ends.

    A copy, pickled or not, keeps the options and has no attachment.

    Args:
        web: As for `gradsound.listen`.
        options: As for `gradsound.attach`.

    Attributes:
        options: Options for `gradsound.attach`, checked.

    Raises:
        TypeError: If an option is unknown, or preset or voice has a wrong type.
        ValueError: If both live and web are given, or wav, preset or port is invalid.
        OSError: If the sound file cannot be written.
        MissingExtraError: If websockets is not installed and web is given.
    """

    def __init__(self, web: bool | int, options: dict[str, Any]) -> None:
        self.options = _checked_options(web, options)
        self._attachments: dict[int, Attachment] = {}  # by the id of their optimizer

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_attachments": {}}

    def attach(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        scaler: GradScaler | None = None,
        step: int = 0,
        **changes: Any,
    ) -> None:
        """Attaches to one optimizer of a training; `end` comes before the first.

        Args:
            model: As for `gradsound.attach`.
            optimizer: As for `gradsound.attach`.
            scaler: As for `gradsound.attach`.
            step: How many steps the framework counted before. After a checkpoint, the run
                goes on with this number, unless the user gives another one.
            **changes: Options that differ for this optimizer.

        Raises:
            TypeError, ValueError, OSError: As `gradsound.attach`.
        """
        options = ({"start_step": step} if step else {}) | self.options | changes
        self._attachments[id(optimizer)] = attach(
            model, optimizer, scaler=scaler, **options
        )

    def log_values(self, optimizer: Optimizer, **values: object) -> None:
        """Records values with the optimizer's next step."""
        if (attachment := self._attachments.get(id(optimizer))) is not None:
            attachment.log_values(**values)

    def end(self) -> None:
        """Finishes every file. A second call does nothing."""
        while self._attachments:
            self._attachments.popitem()[1].close()


def _checked_options(web: bool | int, options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options for `attach`, checked before the framework prepares a training.

    Raises:
        TypeError, ValueError, OSError, MissingExtraError: As `AttachedTraining`.
    """
    names = [
        name
        for name in inspect.signature(attach).parameters
        if name not in _FRAMEWORK_OPTIONS
    ]
    for name in options:
        if name not in names:
            raise TypeError(
                f"there is no option {name!r}; there are: web, {', '.join(names)}"
            )
    if web is not False and options.get("live"):
        raise ValueError(f"live and web are two ways to listen, got web={web}: give one")
    find_preset(options.get("preset", "notes"), options.get("voice"))
    if (wav := options.get("wav")) is not None:
        check_path(Path(wav))
    if web is False:
        return options
    return options | {"live": PageSink(port=None if web is True else web)}
