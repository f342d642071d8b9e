"""attach(): joins a model in training to a run file, and that to a sound file."""

from __future__ import annotations

import weakref
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gradsound.errors import MissingExtraError
from gradsound.music.preset import find_preset
from gradsound.recorder import Recorder
from gradsound.run import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.music.preset import Preset


def attach(
    model: nn.Module,
    optimizer: Optimizer | None = None,
    *,
    log: str | Path | None = "run.jsonl",
    wav: str | Path | None = None,
    layers: str | Iterable[str] | None = None,
    preset: str | Preset = "notes",
    note: str = "",
    scaler: GradScaler | None = None,
) -> Attachment:
    """Listens to the gradients of a model from here on; training stays as it is.

    Every step of the optimizer adds the gradient norms of all layers to a run file, and to
    a sound file if asked for. Both are whole once the attachment is closed: by its
    ``close()``, at the end of a ``with`` block, when the optimizer (or, without one, the
    model) is no more, or at the end of the program, however that comes.

    Under torch.distributed all ranks may attach: the first records, the others do nothing,
    and none waits for another. Its gradients are those that DistributedDataParallel has
    reduced.

    Args:
        model: What is trained. A layer is a module that owns trainable parameters directly.
        optimizer: What trains it: its trained parameters are measured as each step is about
            to apply them. Without one, the gradients made since the last step are measured
            when any optimizer that holds some of the parameters steps.
        log: The run file to write. One that is there is kept under another name
            (run.1.jsonl). None writes no run file.
        wav: The sound file to write, ending in .wav, .flac or .ogg; one that is there is
            replaced at the end.
        layers: Which layers to measure: a glob over their names, or several. All, if None.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or your own.
        note: Free text for the run file: what to know when it is found again.
        scaler: The GradScaler of mixed precision, if any: steps that it skips are recorded
            as such. Without it, skips are known of fused optimizers only.

    Returns:
        The attachment, to close or to use in a ``with`` statement.

    Raises:
        TypeError: If model, optimizer, scaler, preset or note is something else.
        ValueError: If another argument is not what it should be, or the model is attached
            already.
        OSError: If a file cannot be written.
        MissingExtraError: If torch is not installed.
    """
    try:
        from gradsound.measure import hooks
        from gradsound.measure import layers as finding
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch") from error
    chosen = find_preset(preset)
    if not isinstance(note, str):
        raise TypeError(f"note must be a text, got {note!r}")
    finding.check_types(model, optimizer, scaler)
    found = finding.find_layers(model, optimizer, layers)
    _refuse_second(model, optimizer)
    header = Header(
        layers=tuple(layer.name for layer in found),
        parameters=tuple(layer.size for layer in found),
        start=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        note=note,
    )
    if hooks.rank() > 0:
        attachment = Attachment(model, optimizer)
    else:
        recorder = Recorder(header, log, wav, chosen)
        try:
            tap = hooks.tap(found, optimizer, recorder.record, scaler)
        except BaseException:
            recorder.close()
            raise
        attachment = Attachment(model, optimizer, tap.close, recorder.close)
    _attached.setdefault(model, []).append(attachment)
    return attachment


class Attachment:
    """A model that is listened to; made by `attach`, over once closed."""

    def __init__(
        self, model: nn.Module, optimizer: Optimizer | None, *closing: Callable[[], None]
    ) -> None:
        self._optimizer = None if optimizer is None else weakref.ref(optimizer)
        # Nothing here refers to the model or the optimizer: both go when their owner wants,
        # and then, or at the end of the program, this finishes the files.
        owner = model if optimizer is None else optimizer
        self._finish = weakref.finalize(owner, _finish, closing)

    def close(self) -> None:
        """Removes every hook and finishes every file. A second call does nothing.

        What went wrong with a file is told by a `GradsoundWarning`, never raised.
        """
        self._finish()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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


def _refuse_second(model: nn.Module, optimizer: Optimizer | None) -> None:
    attachments = _attached.get(model, [])
    if any(attachment._hears(optimizer) for attachment in attachments):
        raise ValueError(
            f"this {type(model).__name__} is attached already: close the attachment that "
            "attach() returned before, or use it in a with statement"
        )
    attachments[:] = [one for one in attachments if one._finish.alive]


def _finish(closing: tuple[Callable[[], None], ...]) -> None:
    for close in closing:
        close()
