"""attach() and listen(): record a training to files, and play it live."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradsound.attach_options import (
    check_on_alarm,
    check_options,
    check_ranks,
    check_types,
)
from gradsound.attachment import Attachment, refuse_second_attachment
from gradsound.errors import MissingExtraError, refuse_old_keywords
from gradsound.music.presets import find_preset
from gradsound.recorder import Recorder
from gradsound.runs.model import Header
from gradsound.signal_options import check_signal_support, check_signals
from gradsound.workers.page_or_notebook import LiveSink, make_web_sink
from gradsound.workers.sinks import DeviceSink

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from torch import nn
    from torch.amp import GradScaler
    from torch.optim import Optimizer

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.presets import Preset
    from gradsound.runs.step_block import StepBlock
    from gradsound.synth.voices.builtin import Voice


@refuse_old_keywords(note="comment")
def attach(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    log: str | Path | None = "run.jsonl",
    wav: str | Path | None = None,
    layers: str | Iterable[str] | None = None,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
    comment: str = "",
    scaler: GradScaler | None = None,
    budget: float | None = None,
    signals: str | Collection[str] = (),
    ranks: Literal["first", "each"] = "first",
    stage: int | None = None,
    resume: bool = False,
    start_step: int | None = None,
    live: bool | LiveSink = False,
    on_alarm: Callable[[Alarm], object] | None = None,
) -> Attachment:
    """Records a training to files; `gradsound.listen` does the same and also plays it live.

    At every optimizer step it writes the gradient norm of each layer to a run file, and to
    a sound file if you ask for one. Training computes the same weights, to the last bit.
    The files are complete after ``close()``, after the ``with`` block, when Python frees
    the optimizer (or, without one, the model), and at the end of the program, even if it is
    killed.

    With DistributedDataParallel, rank 0 records the reduced gradients; the other ranks may
    call attach() too and do nothing. For a sharded model (FSDP2, tensor parallel, ZeRO),
    call it on every rank with the same arguments. One all-reduce a step then adds up the
    parts. In a pipeline, call it on every rank; each records its stages to its own files.

    Args:
        model: The model to train. A layer is a module that owns parameters directly. A
            frozen layer is in the run too, and has no norm until the training thaws it. It
            may be a DeepSpeed engine, which has the optimizer.
        optimizer: The optimizer that trains the model. gradsound measures its parameters
            just before each step applies their gradients. For a list of optimizers,
            gradsound measures the gradients since the last step whenever one of them steps.
            If None, any optimizer with some of the model's parameters counts.
        log: The run file. gradsound renames an existing one, with its sound, to a free
            number (run.1.jsonl). None writes no run file.
        wav: The sound file, which ends in .wav, .flac, .ogg, .mp3 or .opus. gradsound
            renames an existing one in the same way. None writes no sound file.
        layers: Layers to measure: one glob over their names, or several. None measures all.
        preset: How steps sound: a name from ``gradsound.PRESETS``, or a preset of your own.
        voice: Replaces the preset's voice: a name that ``gradsound voices`` lists, or your
            own function or module (docs/voices.md).
        comment: Free text for the run file, such as what you try in this run.
        scaler: The GradScaler, with mixed precision. gradsound then records the steps that
            it skips as skipped. Without it, gradsound knows only the steps that a fused
            optimizer skips.
        budget: Largest share of the training time for measuring, between 0 and 1, such as
            0.01. gradsound skips steps to stay below it. None measures every step.
        signals: More numbers of each layer to measure, some or all of: ``"update_ratio"``
            (norm of the change of the weights by the norm of the weights), ``"snr"``
            (signal-to-noise ratio of the gradient), ``"zeros"`` (share of the gradient that
            is exactly 0). docs/recording.md defines them.
        ranks: "each" makes every rank record the gradients of its own batch, before the
            reduction, to files of its own (run.rank1.jsonl). So you can find a bad rank.
        stage: In a pipeline that you wrote yourself, the number of the stage that this rank
            trains, from 0. Each rank records what its optimizer applies, to files of its
            own. gradsound finds the stages of torch.distributed.pipelining without it.
        resume: Whether to go on in an existing run file, for a training that goes on from a
            checkpoint. Without one, a new file begins. The sound is of the whole run.
        start_step: Number of the first step; the run loses its steps from there on. None
            stands for 0; with ``resume``, for the step after the last.
        live: Whether to play steps live on the default sound device. `gradsound.listen` has
            the options of live sound. Of several ranks, rank 0 plays.
        on_alarm: A function that is called with each `Alarm` when it is found, between two
            steps, on the rank that records. What it raises becomes a warning, and training
            goes on; a `StopTraining` ends it (docs/recording.md).

    Returns:
        The attachment; close it, or use it in a ``with`` statement.

    Raises:
        TypeError: If model, optimizer, scaler, preset, voice, comment or on_alarm has a
            wrong type.
        VoiceError: If the voice cannot be compiled; the message has the line.
        ValueError: If another argument is out of range, or the model is attached already,
            or ``resume`` is given and the run file has other layers.
        RunFormatError: If ``resume`` is given and the file is no run.
        OSError: If a file cannot be written.
        RuntimeError: If the model is sharded and a rank does not attach within 10 seconds.
        MissingExtraError: If torch is not installed, or PyAudio with ``live=True``.

    Example:
        >>> import gradsound, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with gradsound.attach(model, optimizer, log="sgd.jsonl", wav="sgd.wav"):
        ...     for _ in range(3):
        ...         optimizer.zero_grad()
        ...         model(torch.ones(4, 3)).square().mean().backward()
        ...         optimizer.step()
        >>> run = gradsound.read_run("sgd.jsonl")
        >>> run.header.layers, len(list(run.steps))
        (('0', '1'), 3)
    """
    try:
        from gradsound.measure.deepspeed_engine import is_engine_optimizer, unwrap_engine
        from gradsound.measure.distributed import rendezvous
        from gradsound.measure.distributed.rank_role import find_role
        from gradsound.measure.distributed.ranks import training_name
        from gradsound.measure.hooks import install
        from gradsound.measure.hooks.optimizer_wrappers import unwrap_optimizers
        from gradsound.measure.layers import find_layers
        from gradsound.measure.signals.signal_reader import describe_signals
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch") from error
    chosen_preset = find_preset(preset, voice)
    check_options(comment, budget, ranks, start_step, stage)
    check_on_alarm(on_alarm)
    wanted = check_signals(signals)
    sink = live if isinstance(live, LiveSink) else DeviceSink() if live else None
    check_types(model, scaler)
    model, optimizer, scaler = unwrap_engine(model, optimizer, scaler)
    optimizers = unwrap_optimizers(optimizer)
    patterns = (layers,) if isinstance(layers, str) else layers and tuple(layers)
    found = find_layers(model, optimizers, patterns)
    role = find_role(found, each=ranks == "each", stage=stage)
    refuse_second_attachment(model, optimizers)
    header = Header(
        layers=tuple(layer.name for layer in role.layers),
        parameters=tuple(layer.trainable_size for layer in role.layers),
        start=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        comment=comment,
        budget=budget,
        training=training_name() if role.peers else "",
        stages=role.stages,
        signals=describe_signals(wanted, optimizers),
    )
    sharded = any(layer.sharded for layer in role.layers)
    pipelined = bool(role.stages)
    check_signal_support(
        wanted,
        engine=any(map(is_engine_optimizer, optimizers)),
        each_rank=role.local,
        sharded=sharded,
    )
    check_ranks(budget, each_rank=role.local, sharded=sharded, pipelined=pipelined)
    recorder = monitor = None
    if role.records:
        log, wav = role.file(log), role.file(wav)
        if role.peers and resume and start_step is None and log is not None:
            start_step = rendezvous.find_common_step(Path(log), header, role.peers)
        recorder = Recorder(
            header,
            log,
            wav,
            chosen_preset,
            sink if role.rank == 0 else None,
            start_step=start_step,
            resume=resume,
            on_alarm=on_alarm,
        )
    try:
        group = role.wait_for_others() if sharded else None
        if sharded or recorder:
            monitor = install.install_monitor(
                model,
                role.layers,
                optimizers,
                _drop_steps if recorder is None else recorder.record,
                patterns=role.patterns(patterns),
                scaler=scaler,
                budget=budget,
                local=role.local,
                staged=pipelined,
                group=group,
                signals=wanted,
            )
            monitor.steps = start_step or 0 if recorder is None else recorder.start_step
            if recorder and recorder.listener:
                monitor.between_steps = recorder.listener.tell
    except BaseException:
        if recorder:
            recorder.discard()
        raise
    return Attachment(model, optimizers, monitor, recorder, scaler)


def listen(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    device: int | str | None = None,
    latency: Literal["low", "safe", "high"] = "safe",
    volume: float = 1.0,
    web: bool | int | Literal["notebook"] = False,
    **options: Any,
) -> Attachment:
    """Plays a training live, on a sound device or a page, and records it as `attach` does.

    Each step sounds when it arrives, at most 15 steps a second. gradsound merges the steps
    that arrive during another step's sound into one, with the largest norm of each layer.
    After a step's sound you hear silence until the next step. Training never waits for the
    sound. If there is no sound device, or it goes away, gradsound warns once, training goes
    on, and the sound returns with the device.

    Args:
        model: As for `gradsound.attach`.
        optimizer: As for `gradsound.attach`.
        device: Index of an output device, or part of its name; ``gradsound devices`` lists
            them. The default device if None.
        latency: "safe" for blocks of 12 ms; "low" for blocks of 6 ms, on a machine that is
            not busy or grants real-time priority; "high" for blocks of 23 ms, on a machine
            that is too busy for the others.
        volume: Linear gain, 0 to 1. You may change it later: ``attachment.volume = 0.5``.
        web: Whether to play on a page in a browser instead, for a machine without
            loudspeakers. gradsound prints the page's address and the ssh command that leads
            to it; ``attachment.url`` is the address. A number is the page's port.
            "notebook" plays in the notebook that trains instead, without a port
            (docs/frameworks.md); it needs anywidget. True does so too in a notebook, if
            anywidget is installed.
        **options: As for `gradsound.attach`, except ``live``.

    Returns:
        The attachment; close it, or use it in a ``with`` statement.

    Raises:
        ValueError: If latency, volume or port is out of range, or web is another text, or
            device, latency or volume is given for a page; and as `gradsound.attach`.
        TypeError: If ``live`` is given; and as `gradsound.attach`.
        MissingExtraError: If PyAudio is not installed, or websockets for a page, or
            anywidget for a notebook.

    Example:
        >>> import gradsound, torch
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with gradsound.listen(model, optimizer, web=True, log="sgd.jsonl") as run:
        ...     print("open", run.url.split(":")[0], "in a browser")
        ...     model(torch.ones(4, 3)).square().mean().backward()
        ...     optimizer.step()
        open http in a browser
    """
    if "live" in options:
        raise TypeError("live is what listen() does: leave it out")
    sink: LiveSink
    if web is False:
        sink = DeviceSink(device=device, latency=latency, volume=volume)
    elif (device, latency, volume) != (None, "safe", 1.0):
        raise ValueError("device, latency and volume are not for a page: leave them out")
    else:
        sink = make_web_sink(web)
    return attach(model, optimizer, live=sink, **options)


def _drop_steps(_: StepBlock) -> None:
    """Ignores steps, on a rank that measures its part but does not record."""
