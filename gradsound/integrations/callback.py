"""What a callback hears: the optimizers of a training, from its beginning to its end."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.api import attach
from gradsound.music.presets import find_preset
from gradsound.output.formats import check_path
from gradsound.workers.sinks import PageSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.attachment import Attachment

_KNOWN = ("model", "optimizer", "scaler")  # to the framework, so not to be given


class AttachedTraining:
    """Attaches to each optimizer of a training, until that ends.

    A copy, pickled or not, has the options, and hears nothing.

    Args:
        web: As for `gradsound.listen`.
        options: As for `gradsound.attach`.

    Raises:
        TypeError: If there is no such option, or preset or voice is something else.
        ValueError: If it is to be heard both ways, or wav, preset or port is none.
        OSError: If the sound file cannot be written.
        MissingExtraError: If websockets is not installed, and a page is asked for.
    """

    def __init__(self, web: bool | int, options: dict[str, Any]) -> None:
        self._options = _checked(web, options)
        self._attachments: dict[int, Attachment] = {}  # by the id of their optimizer

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_attachments": {}}

    def begin(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer | None],
        scaler: GradScaler | None = None,
    ) -> None:
        """Attaches, after an end to what may be left of a training that failed.

        Of several optimizers each has its files (run.optimizer1.jsonl), and the first is
        what is heard live; None is whichever steps.

        Raises:
            As `gradsound.attach`.
        """
        self.end()
        for index, optimizer in enumerate(optimizers):
            options = self._options
            if len(optimizers) > 1:
                options = _of_optimizer(index, options)
            self._attachments[id(optimizer)] = attach(
                model, optimizer, scaler=scaler, **options
            )

    def log_values(self, optimizer: Optimizer, **values: object) -> None:
        """Records values with the next step of an optimizer."""
        if (attachment := self._attachments.get(id(optimizer))) is not None:
            attachment.log_values(**values)

    def end(self) -> None:
        """Finishes every file. A second call does nothing."""
        while self._attachments:
            self._attachments.popitem()[1].close()


def _checked(web: bool | int, options: dict[str, Any]) -> dict[str, Any]:
    """Options for `attach`, with what is wrong of them found before any training.

    Raises:
        As `AttachedTraining`.
    """
    names = [name for name in inspect.signature(attach).parameters if name not in _KNOWN]
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


def _of_optimizer(index: int, options: dict[str, Any]) -> dict[str, Any]:
    """Those of one among several optimizers: files of its own; the first plays."""
    own = {"log": "run.jsonl"} | options
    for name in ("log", "wav"):
        if own.get(name) is not None:
            path = Path(own[name])
            own[name] = path.with_name(f"{path.stem}.optimizer{index}{path.suffix}")
    return own if index == 0 else own | {"live": False}
