"""Attachments of one training of a framework: one for each optimizer."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.api import attach
from gradsound.integrations.alarm_actions import AlarmActions, check_stop_on
from gradsound.music.presets import find_preset
from gradsound.output.formats import check_path
from gradsound.signal_options import check_signals
from gradsound.workers.page_or_notebook import make_web_sink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.attachment import Attachment
    from gradsound.integrations.stop_vote import StopVote

_FRAMEWORK_OPTIONS = ("model", "optimizer", "scaler")  # the framework supplies these


class AttachedTraining:
    """Attaches to each optimizer of a training, until the training ends.

    A copy, pickled or not, keeps the options and has no attachment.

    Args:
        web: As for `gradsound.listen`.
        options: As for `gradsound.attach`.
        stop_on: Kinds of alarms that end the training.

    Attributes:
        options: Options for `gradsound.attach`, checked.

    Raises:
        TypeError: If an option is unknown, or preset or voice has a wrong type.
        ValueError: If both live and web are given, or wav, preset, signals, port or
            stop_on is invalid.
        OSError: If the sound file cannot be written.
        MissingExtraError: If websockets is not installed and web is given, or anywidget
            for a notebook.
    """

    def __init__(
        self,
        web: bool | int | str,
        options: dict[str, Any],
        stop_on: str | Iterable[str] = (),
    ) -> None:
        self.options = _checked_options(web, options)
        self._stop_on = check_stop_on(stop_on)
        self._attachments: dict[int, Attachment] = {}  # by the id of their optimizer
        self._actions = self._new_actions()
        self._vote: StopVote | None = None

    def __getstate__(self) -> dict[str, Any]:
        actions = self._new_actions()
        return vars(self) | {"_attachments": {}, "_actions": actions, "_vote": None}

    def _new_actions(self) -> AlarmActions:
        return AlarmActions(self._stop_on, self.options.get("on_alarm"))

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
        if not self._attachments:  # the first of a training
            self._actions, self._vote = self._new_actions(), None
        if self._stop_on and self._vote is None:
            from gradsound.integrations.stop_vote import StopVote

            self._vote = StopVote(next(model.parameters()).device)
        if self._actions.needed:
            changes["on_alarm"] = self._actions.hear
        options = ({"start_step": step} if step else {}) | self.options | changes
        self._attachments[id(optimizer)] = attach(
            model, optimizer, scaler=scaler, **options
        )

    def log_values(self, optimizer: Optimizer, **values: object) -> None:
        """Records values with the optimizer's next step."""
        if (attachment := self._attachments.get(id(optimizer))) is not None:
            attachment.log_values(**values)

    def must_stop(self) -> bool:
        """Returns whether an alarm ends the training now.

        All ranks call it after each step, and stop at the same one.
        """
        return self._vote is not None and self._vote.cast(stop=self._actions.wants_stop)

    def end(self) -> None:
        """Finishes every file. A second call does nothing."""
        while self._attachments:
            self._attachments.popitem()[1].close()


def _checked_options(web: bool | int | str, options: dict[str, Any]) -> dict[str, Any]:
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
                f"there is no option {name!r}; there are: web, stop_on, {', '.join(names)}"
            )
    if web is not False and options.get("live"):
        raise ValueError(f"live and web are two ways to listen, got web={web}: give one")
    find_preset(options.get("preset", "notes"), options.get("voice"))
    check_signals(options.get("signals", ()))
    if (wav := options.get("wav")) is not None:
        check_path(Path(wav))
    if web is False:
        return options
    return options | {"live": make_web_sink(web)}
