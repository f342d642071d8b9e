"""Attachment: the handle of a measured model that attach() and listen() return."""

from __future__ import annotations

import sys
import weakref
from itertools import chain
from typing import TYPE_CHECKING

from gradsound.workers.sinks import check_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Never

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.alarms.thresholds import Alarm
    from gradsound.measure.hooks.install import Monitor
    from gradsound.measure.hooks.other_optimizers import OtherOptimizerWatch
    from gradsound.recorder import Recorder
    from gradsound.workers.sinks import Player


class Attachment:
    """The connection between a model in training and its recording.

    `gradsound.attach` and `gradsound.listen` return one. It records until `close`, or until
    the end of its ``with`` block.

    Example:
        >>> import gradsound, torch
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with gradsound.attach(model, optimizer, log="sgd.jsonl") as attachment:
        ...     for epoch in range(2):
        ...         loss = model(torch.ones(4, 3)).square().mean()
        ...         loss.backward()
        ...         attachment.log_values(loss=loss, epoch=epoch)
        ...         optimizer.step()
        >>> [step.values["epoch"] for step in gradsound.read_run("sgd.jsonl").steps]
        [0.0, 1.0]
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        monitor: Monitor | None,
        recorder: Recorder | None,
        scaler: GradScaler | None = None,
    ) -> None:
        self._monitor, self._recorder = monitor, recorder
        self._optimizers = [weakref.ref(optimizer) for optimizer in optimizers]
        # Nothing here may keep the model or the optimizer alive. When Python frees them, or
        # at the end of the program, this finishes the files.
        owner = optimizers[0] if len(optimizers) == 1 else model
        self._finish = weakref.finalize(owner, _finish, monitor, recorder)
        self._watch: OtherOptimizerWatch | None = None
        if monitor is not None and optimizers:
            from gradsound.measure.hooks.deepspeed_steps import DeepSpeedMonitor
            from gradsound.measure.hooks.other_optimizers import OtherOptimizerWatch

            if not isinstance(monitor, DeepSpeedMonitor):  # whose engine steps alone
                self._watch = OtherOptimizerWatch(
                    monitor, optimizers, scaler, warns=recorder is not None
                )
        _attachments.setdefault(model, []).append(self)

    def before_clip(self) -> None:
        """Records the current norms as the step's norms before clipping.

        ``torch.nn.utils.clip_grad_norm_``, ``clip_grad_value_`` and
        ``clip_grads_with_norm_`` call it by themselves. Call it yourself before any other
        way to clip, and before these functions if you imported them under other names
        before `gradsound.attach`. Call it between the backward pass and the clipping, on
        every attached rank.
        """
        if self._monitor is not None and self._finish.alive:
            self._monitor.before_clip()

    def log_values(self, /, **values: object) -> None:
        """Records values with the next step: ``log_values(loss=loss, epoch=epoch)``.

        Call it before ``optimizer.step()``: gradsound drops values that no step follows.
        The last value of a name before the step counts. If a budget skips the step, the
        values go to the next measured step. Training never waits for a value: gradsound
        reads a value on an accelerator once that has computed it. On ranks that do not
        record, and after `close`, it does nothing.

        Args:
            **values: Numbers, or tensors or arrays of one number each, under any names.
                gradsound skips other values, with one `GradsoundWarning` for each name.
        """
        # There is no check for closed here: torch.compile could not compile it.
        if self._monitor is not None and self._recorder is not None:
            self._monitor.log_values(values)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms of the run so far, with their recoveries, in the order of detection.

        They contain every measured step that has left the accelerator, and a stall while
        the next step is late, so you may look from another thread while the training hangs.
        The first look reads the run file; until then, nothing looks for alarms. On ranks
        that do not record, there are none.
        """
        if self._recorder is None:
            return ()
        if self._monitor is not None and self._finish.alive:
            self._monitor.emit_ready()
        return self._recorder.alarms.look()

    @property
    def _player(self) -> Player | None:
        """What plays the run live; None if nothing does, or not any more."""
        return None if self._recorder is None else self._recorder.player

    @property
    def url(self) -> str | None:
        """Address of the page that plays the run; None if no page does."""
        return None if self._player is None else self._player.url

    @property
    def volume(self) -> float:
        """Linear gain of the sound device, 0 to 1; you may set it during playback.

        Raises:
            ValueError: If you set it outside 0 to 1, or while a page plays the run.
        """
        return 0.0 if self._player is None else self._player.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        check_volume(volume)
        player = self._player
        if player is not None and player.is_page:
            raise ValueError("volume is not for a page, which has its own")
        if player is not None:
            player.volume = volume

    def close(self) -> None:
        """Removes every hook and finishes every file. A second call does nothing.

        It waits until the sound file is complete. Live sound ends within 2 seconds. Then it
        calls ``on_alarm`` with the alarms of the last steps.

        For a sharded model, call it on all ranks. It never raises: a `GradsoundWarning`
        says what failed.
        """
        if self._monitor is not None and self._finish.alive:
            self._monitor.leave()
        self._end_watch()
        self._finish()
        # They refer to parameters weakly; Module.to() refuses DTensors that anything refers
        # to weakly.
        self._monitor = self._watch = None
        if self._recorder is not None:
            self._recorder.end_listener()

    def _end_watch(self) -> None:
        """Lets later optimizers step without a warning."""
        if self._watch is not None:
            self._watch.remove()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if (player := self._player) is not None:
            player.error = error
        self.close()

    def __getattr__(self, name: str) -> Never:
        """Raises AttributeError; for a name of version 0.1, with the new name."""
        if name == "note":
            raise AttributeError("attachment.note() is now attachment.log_values()")
        raise AttributeError(f"an attachment has no attribute {name!r}")

    def _ipython_display_(self) -> None:
        """Shows the player in a notebook that plays the run.

        Raises:
            NotImplementedError: If none does: IPython then asks for the HTML.
        """
        player = self._player
        if player is None or not player.show():
            raise NotImplementedError

    def _display_(self) -> object:
        """Returns what marimo shows: the player if it plays the run, or the run so far."""
        player = self._player
        if player is not None and player.widget is not None:
            return player.widget
        return sys.modules["marimo"].Html(self._repr_html_() or "")

    def _repr_html_(self) -> str | None:
        """Returns, for notebooks, the page that plays the run, or the run so far."""
        from gradsound.rendering.notebook import attachment_html

        if self._monitor is not None and self._finish.alive:
            self._monitor.flush()
        log_file = None if self._recorder is None else self._recorder.log_file
        return attachment_html(self.url, log_file)

    def _measures(self, optimizers: Sequence[Optimizer]) -> bool:
        """Returns whether this one measures some of what one with these would."""
        if not self._finish.alive:
            return False
        if not optimizers or not self._optimizers:
            return True
        return any(one() is other for one in self._optimizers for other in optimizers)


_attachments: weakref.WeakKeyDictionary[nn.Module, list[Attachment]] = (
    weakref.WeakKeyDictionary()
)
_listeners: list[Callable[[nn.Module, Sequence[Optimizer]], None]] = []


def listen_to_attaching(
    listener: Callable[[nn.Module, Sequence[Optimizer]], None],
) -> Callable[[], None]:
    """Calls a listener before anything attaches to a model.

    Args:
        listener: Gets the model and the given optimizers, and may close attachments.

    Returns:
        The function that ends this.
    """
    _listeners.append(listener)

    def end() -> None:
        _listeners.remove(listener)

    return end


def is_attached(optimizer: Optimizer) -> bool:
    """Returns whether an attachment records the steps of an optimizer."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return any(
        attachment._measures((optimizer,))
        and (attachment._optimizers or any(id(p) in held for p in model.parameters()))
        for model, attachments in [*_attachments.items()]
        for attachment in [*attachments]
    )


def refuse_second_attachment(model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Refuses a model whose gradients another attachment measures already.

    Raises:
        ValueError: If there is such an attachment.
    """
    for listener in _listeners:
        listener(model, optimizers)
    attachments = _attachments.get(model, [])
    for attachment in chain.from_iterable(_attachments.values()):
        if not attachment._finish.alive:
            attachment._end_watch()
    if any(attachment._measures(optimizers) for attachment in attachments):
        raise ValueError(
            f"this {type(model).__name__} is attached already: close the attachment that "
            "attach() returned before, or use it in a with statement"
        )
    attachments[:] = [one for one in attachments if one._finish.alive]


def _finish(monitor: Monitor | None, recorder: Recorder | None) -> None:
    if monitor is not None:
        monitor.close()
    if recorder is not None:
        close_recorder(recorder, monitor)


def close_recorder(recorder: Recorder, monitor: Monitor | None) -> None:
    """Finishes the files, once the monitor has emitted its last steps."""
    if monitor is None:
        recorder.close()
    else:
        has_steps = monitor.steps > recorder.start_step
        recorder.close(monitor.steps, "" if has_steps else monitor.missing_steps.reason())
