"""What a picture shows of its runs: their curves, their clock and their names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gradsound.music.anchor import fit_anchor
from gradsound.music.ensemble import Ensemble
from gradsound.music.fit_duration import fit_duration
from gradsound.music.rank_sound import rank_preset
from gradsound.music.run_layout import share_preset
from gradsound.output.text_file import as_utf8
from gradsound.rendering.kept_run import keep_run
from gradsound.rendering.run_curves import CurveReader
from gradsound.rendering.sound_clock import read_clock
from gradsound.runs.model import repeatable
from gradsound.runs.run_names import short_names
from gradsound.summary.run_summary import summarize_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.music.presets import Preset
    from gradsound.rendering.run_curves import RunCurves
    from gradsound.rendering.sound_clock import SoundClock
    from gradsound.runs.model import Run


@dataclass(frozen=True, slots=True, eq=False)
class FigureData:
    """The runs of a picture, read.

    Attributes:
        names: The short name of each run.
        curves: The curves of each run.
        preset: How the runs sound, with the anchor and the speed that fit them.
        clock: When their steps sound.
        moment_seconds: The usual duration of a moment.
        step_seconds: The usual duration of a step.
    """

    names: list[str]
    curves: list[RunCurves]
    preset: Preset
    clock: SoundClock
    moment_seconds: float
    step_seconds: float


def read_runs(runs: Sequence[Run], preset: Preset, duration: float | None) -> FigureData:
    """Reads runs for their picture.

    Args:
        runs: One run, or several.
        preset: How they sound.
        duration: Longest sound in seconds.

    Raises:
        ValueError: If a run has no steps, or the duration is too short.
        OSError, RunFormatError: If a run cannot be read.
    """
    runs = [keep_run(repeatable(_with_drawable_texts(run))) for run in runs]
    summaries = [summarize_with(run, preset.thresholds) for run in runs]
    for run, summary in zip(runs, summaries):
        if not summary.steps:
            raise ValueError(f"{run.name}: has no steps, so there is nothing to draw")
    merged, layers = 1, [run.header.layers for run in runs]
    preset = rank_preset(share_preset(preset, len(runs)), layers)
    preset = fit_anchor(preset, runs)
    clock = read_clock(runs, preset)
    if duration is not None:
        preset, merged = fit_duration(preset, layers, clock.rows, duration)
    curves = [
        CurveReader(run, summary, preset, merged).read()
        for run, summary in zip(runs, summaries)
    ]
    names = short_names(runs)
    seconds = Ensemble(layers, preset, names).duration
    return FigureData(names, curves, preset, clock, seconds, seconds / merged)


def _with_drawable_texts(run: Run) -> Run:
    """Returns a run without half characters, which names may have and fonts refuse."""
    comment, *layers = (as_utf8(text) for text in (run.header.comment, *run.header.layers))
    header = replace(run.header, comment=comment, layers=tuple(layers))
    return replace(run, header=header, name=as_utf8(run.name))
