"""Plays a run for gradsound play, with its keys, until its end."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from gradsound.cli.keyboard import terminal_controls
from gradsound.cli.playback import make_playback
from gradsound.cli.status_line import StatusLine
from gradsound.live.run_source import RunSource
from gradsound.music.anchor import fit_anchor
from gradsound.music.presets import at_speed
from gradsound.open_run import open_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradsound.cli.playback import OscSink
    from gradsound.music.presets import Preset
    from gradsound.runs.log_choice import LogChoice
    from gradsound.workers.sinks import DeviceSink


def play(
    path: Path,
    *,
    parts: Sequence[Path] = (),
    layers: Sequence[str] | None,
    choice: LogChoice,
    preset: Preset,
    speed: float,
    follow: bool,
    live: DeviceSink | OscSink,
) -> None:
    """Plays a run until its end, the key q or Ctrl-C.

    Args:
        path: A run file, or a log of another tool; ``-`` for standard input.
        parts: Further parts of a run that is finished, in order.
        layers: Globs over layers; None plays all.
        choice: What to read of such a log.
        preset: How steps sound.
        speed: How many times faster than the preset steps sound.
        follow: Whether to play steps as the file grows and to merge steps that come too
            fast. Steps that are already in a file are not played.
        live: The device, its latency and the volume; or a receiver of Open Sound Control.

    Raises:
        OSError: If the file cannot be read, or the receiver not be reached.
        ValueError: If the file is not a run, or an argument is outside its range.
        MissingExtraError: If python-osc is not installed, for a receiver.
        NoDeviceError: If no sound device is available at the start.
    """
    preset = at_speed(preset, speed)
    with StatusLine() as line, RunSource(path, choice, line.print_above) as source:
        growing = follow and not source.is_stdin
        finished = not follow and (path.is_file() or path.is_dir())
        run = (
            open_run(path, *parts, choice=choice)
            if finished
            else source.run(growing=growing)
        )
        if layers is not None:
            run = run.select(layers)
        if finished:
            preset = fit_anchor(preset, [run])
        playback = make_playback(
            run,
            preset,
            live,
            finished=finished,
            follow=follow,
            on_caption=lambda caption: line.print_above(str(caption)),
            first_step=inf if growing else 0,
        )
        source.on_idle = playback.conductor.catch_up
        with terminal_controls(playback, line):
            playback.play()
        # Presets without alarm sounds end before the time of their last captions.
        for caption in [] if playback.stopped else playback.conductor.composer.captions:
            line.print_above(str(caption))
    if playback.stopped:
        return
    if playback.failure is not None:
        raise playback.failure
    if playback.step_number < 0:
        raise ValueError(f"{source.name}: has no steps, so there is nothing to hear")
