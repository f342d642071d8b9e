"""A model that is listened to, until it is closed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from gradsound.workers.sinks import check_volume

if TYPE_CHECKING:
    from typing import Never

    from torch import nn
    from torch.optim import Optimizer

    from gradsound.measure.hooks.base import GradientMonitor
    from gradsound.recorder import Recorder


class Attachment:
    """A model that is listened to; made by `gradsound.attach`, over once closed."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        monitor: GradientMonitor | None,
        recorder: Recorder | None,
    ) -> None:
        self._monitor, self._recorder = monitor, recorder
        self._optimizer = None if optimizer is None else weakref.ref(optimizer)
        # Nothing here refers to the model or the optimizer: both go when their owner wants,
        # and then, or at the end of the program, this finishes the files.
        owner = model if optimizer is None else optimizer
        self._finish = weakref.finalize(owner, _finish, monitor, recorder)
        self._kept = None if recorder is None else recorder.kept
        _attached.setdefault(model, []).append(self)

    def before_clip(self) -> None:
        """Records the norms of this moment too, as what they were before clipping.

        ``torch.nn.utils.clip_grad_norm_`` and ``clip_grad_value_`` call it by themselves.
        It is for other ways to clip, or for these if they were imported by name before
        `gradsound.attach` was called: between the backward pass and the clipping, on all
        ranks that are attached.
        """
        if self._monitor is not None and self._finish.alive:
            self._monitor.before_clip()

    def log_values(self, /, **values: object) -> None:
        """Records values with the step that follows: ``log_values(loss=loss, epoch=epoch)``.

        It is for what is known before ``optimizer.step()``: what no step follows is not
        recorded. Of values of one name the last before the step counts; where a budget
        leaves steps out, they go with the next one that is measured. Training never waits
        for a value: one on an accelerator is read when it has arrived there. On ranks that
        do not record, and once closed, this does nothing.

        Args:
            **values: Numbers, or tensors or arrays of one number each, by any names. What
                is none is left out, and a `GradsoundWarning` says so once for each name.
        """
        if self._monitor is not None and self._recorder is not None:
            self._monitor.log_values(
                values
            )  # not asked here whether closed: that cannot be compiled

    @property
    def url(self) -> str | None:
        """Where the page is on which it is heard, as long as it is; None if on none."""
        player = None if self._recorder is None else self._recorder.player
        return None if player is None else player.url

    @property
    def volume(self) -> float:
        """Linear gain of what the sound device plays, 0 to 1; may be set while it does.

        Raises:
            ValueError: If it is set to something else, or it is heard on a page.
        """
        player = None if self._recorder is None else self._recorder.player
        return 0.0 if player is None else player.volume

    @volume.setter
    def volume(self, volume: float) -> None:
        check_volume(volume)
        if self.url is not None:
            raise ValueError("volume is not for a page, which has its own")
        if self._recorder is not None and self._recorder.player is not None:
            self._recorder.player.volume = volume

    def close(self) -> None:
        """Removes every hook and finishes every file. A second call does nothing.

        The sound file is waited for; what is heard live ends within two seconds.

        Of a sharded model all ranks must close, as they all had to attach. What went wrong
        is told by a `GradsoundWarning`, never raised.
        """
        if self._monitor is not None and self._finish.alive:
            self._monitor.leave()
        self._finish()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if self._recorder is not None and self._recorder.player is not None:
            self._recorder.player.error = error  # which a page tells
        self.close()

    def __getattr__(self, name: str) -> Never:
        """Raises AttributeError, for a word of version 0.1 with that of today."""
        if name == "note":
            raise AttributeError("attachment.note() is now attachment.log_values()")
        raise AttributeError(f"an attachment has no attribute {name!r}")

    def _repr_html_(self) -> str | None:
        """The page on which it is heard, or its run so far, for notebooks."""
        from gradsound.rendering.notebook import attachment_html

        if self._monitor is not None and self._finish.alive:
            self._monitor.flush()
        return attachment_html(self.url, self._kept)

    def _hears(self, optimizer: Optimizer | None) -> bool:
        """Whether a second attachment with this optimizer would hear the same."""
        if not self._finish.alive:
            return False
        if optimizer is None or self._optimizer is None:
            return True
        return self._optimizer() is optimizer


_attached: weakref.WeakKeyDictionary[nn.Module, list[Attachment]] = (
    weakref.WeakKeyDictionary()
)


def refuse_second(model: nn.Module, optimizer: Optimizer | None) -> None:
    """Refuses to attach where another attachment hears the same.

    Raises:
        ValueError: If there is one.
    """
    attachments = _attached.get(model, [])
    if any(attachment._hears(optimizer) for attachment in attachments):
        raise ValueError(
            f"this {type(model).__name__} is attached already: close the attachment that "
            "attach() returned before, or use it in a with statement"
        )
    attachments[:] = [one for one in attachments if one._finish.alive]


def _finish(monitor: GradientMonitor | None, recorder: Recorder | None) -> None:
    if monitor is not None:
        monitor.close()
    if recorder is not None:
        recorder.close(0 if monitor is None else monitor.steps)
