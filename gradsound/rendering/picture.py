"""Draws the picture of a run, or of two: norms, pitches, alarms, losses, and the sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.music.presets import find_preset
from gradsound.open_run import open_runs_for_outputs
from gradsound.output.atomic_file import atomic_file
from gradsound.output.formats import check_folder
from gradsound.rendering.run_figure import RunFigure
from gradsound.rendering.sweep_figure import SweepFigure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.synth.voices.builtin import Voice

_COMPARED = 2  # runs in detail; more are panels without their sounds
_ENDINGS = (".png", ".svg", ".pdf")  # matplotlib's others depend on other packages


def plot(
    run: Run | str | Path,
    path: str | Path | None = None,
    *,
    other: Run | str | Path | Sequence[Run | str | Path] | None = None,
    ax: Axes | None = None,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
    duration: float | None = None,
) -> None:
    r"""Draws a run: norms and pitches, alarms, losses, and the spectrogram of the sound.

    The left axis has the norms, the right axis the pitches at which they sound. Of more
    than 1600 steps, the picture draws groups: the highest norm of each group, and the
    usual one.

    Args:
        run: A run, or the path of a run file. Drawing reads it once, or several times if
            its steps take more than 64 MB of memory.
        path: The picture to write, ending in .png, .svg or .pdf.
        other: Another run to compare with, over the same steps. Or several, up to seven:
            each run has a panel with the norm of all its layers, and all losses are in one
            panel; there is no spectrogram.
        ax: Axes of matplotlib to draw on, in place of a file; they get the norms, pitches
            and alarms only, of one run or two.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or a preset of
            your own.
        voice: The voice of all bands, as for `gradsound.render`.
        duration: Longest sound in seconds, as for `gradsound.render`.

    Raises:
        ValueError: If the preset or the ending is unknown, a run has no steps, the duration
            is too short, or both or neither of ``path`` and ``ax`` are given.
        RunFormatError: If the run file is not a run.
        OSError: If a file cannot be read or written.
        MissingExtraError: If matplotlib is not installed.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> _ = Path("metrics.csv").write_text("step,grad_norm/fc\n0,0.5\n1,0.25\n")
        >>> gradsound.plot("metrics.csv", "run.png")
        >>> Path("run.png").exists()
        True
    """
    if (path is None) == (ax is None):
        got = "neither" if path is None else f"{str(path)!r} and {type(ax).__name__}"
        raise ValueError(f"plot takes a path to write, or ax to draw on, got {got}")
    preset = find_preset(preset, voice)
    if path is not None:
        path = Path(path)
        if path.suffix.lower() not in _ENDINGS:
            raise ValueError(f"{path}: a picture ends in .png, .svg or .pdf")
        check_folder(path)  # before the drawing, which may take long
    outputs = [] if path is None else [path]
    runs = open_runs_for_outputs(run, other, outputs, "draw it")
    if ax is not None and len(runs) > _COMPARED:
        raise ValueError(f"ax takes one run or two, got {len(runs)}: give a path instead")
    if path is None:
        RunFigure(runs, preset, duration).draw_on(ax)
    else:
        figure = RunFigure if len(runs) <= _COMPARED else SweepFigure
        _save(figure(runs, preset, duration).draw(), path)


def draw(run: Run, preset: Preset, duration: float | None = None) -> Figure:
    """Returns the figure that `plot` writes, and raises the same errors."""
    return RunFigure([run], preset, duration).draw()


def _save(figure: Figure, path: Path) -> None:
    """Writes a picture, which appears when it is complete."""
    with atomic_file(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower())
