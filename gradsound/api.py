"""attach() and listen(): join a model in training to a run file, and that to its sound."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradsound.attachment import Attachment, refuse_second
from gradsound.errors import MissingExtraError, renamed
from gradsound.music.presets import find_preset
from gradsound.recorder import Recorder
from gradsound.runs.model import Header
from gradsound.workers.sinks import DeviceSink, PageSink

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Step
    from gradsound.synth.voices.builtin import Voice


@renamed(note="comment")
def attach(
    model: nn.Module,
    optimizer: Optimizer | None = None,
    *,
    log: str | Path | None = "run.jsonl",
    wav: str | Path | None = None,
    layers: str | Iterable[str] | None = None,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
    comment: str = "",
    scaler: GradScaler | None = None,
    budget: float | None = None,
    ranks: Literal["first", "each"] = "first",
    live: bool | DeviceSink | PageSink = False,
) -> Attachment:
    """Listens to the gradients of a model from here on; training stays as it is.

    Every step of the optimizer adds the gradient norms of all layers to a run file, and to
    a sound file if asked for. Both are whole once the attachment is closed: by its
    ``close()``, at the end of a ``with`` block, when the optimizer (or, without one, the
    model) is no more, or at the end of the program, however that comes.

    Under torch.distributed the first rank records the gradients of all: with
    DistributedDataParallel those that it has reduced, and the other ranks, attached or not,
    do nothing. Of a sharded model (FSDP2, tensor parallel) each rank has a part, so all of
    them must attach, with the same arguments, and one all-reduce a step adds the parts up.

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
        voice: What sounds instead of the preset's voice: a name that ``gradsound voices``
            lists, or a function or module of your own (docs/voices.md).
        comment: Free text for the run file: what to know when it is found again.
        scaler: The GradScaler of mixed precision, if any: steps that it skips are recorded
            as such. Without it, skips are known of fused optimizers only.
        budget: The share of training time that measuring may take, between 0 and 1, such as
            0.01: as many steps are left out as it takes. None measures every step.
        ranks: "each" has every rank record the gradients of its own batch, before they are
            reduced, in files of its own (run.rank1.jsonl), so that a bad one can be heard.
        live: Whether to play steps as they come, on the sound device of this machine; on
            which and how loud, or in a browser instead, is for `gradsound.listen`. Of
            several ranks the first plays.

    Returns:
        The attachment, to close or to use in a ``with`` statement.

    Raises:
        TypeError: If model, optimizer, scaler, preset, voice or comment is something else.
        VoiceError: If the voice cannot be compiled; the message has the line.
        ValueError: If another argument is not what it should be, or the model is attached
            already.
        OSError: If a file cannot be written.
        RuntimeError: If the model is sharded and some rank does not attach as well.
        MissingExtraError: If torch is not installed, or PyAudio and live is asked for.
    """
    try:
        from gradsound.measure import layers as finding
        from gradsound.measure.hooks import install
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch") from error
    chosen = find_preset(preset, voice)
    _check(comment, budget, ranks)
    heard = (
        live if isinstance(live, DeviceSink | PageSink) else DeviceSink() if live else None
    )
    finding.check_types(model, optimizer, scaler)
    optimizer = install.innermost(optimizer)
    patterns = (layers,) if isinstance(layers, str) else layers and tuple(layers)
    found = finding.find_layers(model, optimizer, patterns)
    refuse_second(model, optimizer)
    header = Header(
        layers=tuple(layer.name for layer in found),
        parameters=tuple(layer.size for layer in found),
        start=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        comment=comment,
        budget=budget,
    )
    rank, each = install.rank(), ranks == "each" and install.ranks() > 1
    sharded = any(layer.sharded for layer in found)
    recorder, monitor = None, None
    if rank == 0 or each:
        if each:
            log, wav = _of_rank(log, rank), _of_rank(wav, rank)
        recorder = Recorder(header, log, wav, chosen, None if rank else heard)
    try:
        if sharded:
            from gradsound.measure.distributed.rendezvous import meet

            meet("attach()", ", ".join(header.layers))
        if sharded or recorder:
            monitor = install.monitor(
                model,
                found,
                optimizer,
                _unheard if recorder is None else recorder.record,
                patterns=patterns,
                scaler=scaler,
                budget=budget,
                own=each,
            )
    except BaseException:
        if recorder:
            recorder.discard()
        raise
    return Attachment(model, optimizer, monitor, recorder)


def listen(
    model: nn.Module,
    optimizer: Optimizer | None = None,
    *,
    device: int | str | None = None,
    latency: Literal["safe", "low"] = "safe",
    volume: float = 1.0,
    web: bool | int = False,
    **options: Any,
) -> Attachment:
    """Attaches to a model and plays its steps as they come, on the sound device or a page.

    Steps that come faster than the ear can follow sound as one, which has each layer's
    greatest norm; where they come slower, there is silence between. Training never waits
    for the sound, and goes on without: if there is no device, or it is lost, one warning
    says so, and it sounds again when the device is back.

    Args:
        model: As for `gradsound.attach`.
        optimizer: As for `gradsound.attach`.
        device: Index of an output device, or part of its name, as ``gradsound devices``
            lists them; the default one if None.
        latency: "safe", or "low" for a machine that is not busy: 12 or 6 ms a block.
        volume: Linear gain, 0 to 1; the attachment's ``volume`` changes it later.
        web: Whether to play in a browser instead, for a machine without loudspeakers: the
            address of a page is printed, and how to reach it through ssh; the attachment's
            ``url`` has it too. A number is the port to serve it on.
        **options: As for `gradsound.attach`.

    Returns:
        The attachment, to close or to use in a ``with`` statement.

    Raises:
        ValueError: If latency, volume or port is outside its range, or given for the other
            way to play; and as `gradsound.attach`.
        TypeError: If ``live`` is given, and as `gradsound.attach`.
        MissingExtraError: If PyAudio is not installed, or websockets for a page.
    """
    if "live" in options:
        raise TypeError("live is what listen() does: leave it out")
    live: DeviceSink | PageSink
    if web is False:
        live = DeviceSink(device=device, latency=latency, volume=volume)
    elif (device, latency, volume) != (None, "safe", 1.0):
        raise ValueError("device, latency and volume are not for a page: leave them out")
    else:
        live = PageSink(port=None if web is True else web)
    return attach(model, optimizer, live=live, **options)


def _check(comment: str, budget: float | None, ranks: str) -> None:
    if not isinstance(comment, str):
        raise TypeError(f"comment must be a text, got {comment!r}")
    if budget is not None and not 0 < budget < 1:
        raise ValueError(
            f"budget must be a share of time between 0 and 1, such as 0.01, got {budget!r}"
        )
    if ranks not in ("first", "each"):
        raise ValueError(f"ranks must be 'first' or 'each', got {ranks!r}")


def _of_rank(path: str | Path | None, rank: int) -> Path | None:
    """The file of one rank: run.jsonl becomes run.rank1.jsonl."""
    if path is None:
        return None
    path = Path(path)
    return path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def _unheard(steps: Sequence[Step]) -> None:
    """What becomes of steps on a rank that only takes part in measuring them."""
