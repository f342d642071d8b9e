"""Runs where their readers are: in a notebook, and in the logs of other tools.

Sound and picture are made in memory, and bounded: of a long run the sound is a time-lapse.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import glob
import io
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.errors import MissingExtraError
from gradsound.music.presets import find_preset
from gradsound.open_run import open_run
from gradsound.rendering.picture import draw
from gradsound.rendering.sound import Sound
from gradsound.runs.summary import summarize, tell
from gradsound.synth.mixer import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples

_SECONDS = 20.0  # of sound at most: a megabyte and a half in a notebook
_HEIGHT = 640  # pixels of the page in a notebook; its controls, picture and scale fit


def run_html(run: Run) -> str | None:
    """A player, what happened, and the picture; None if looking would use the run up.

    Text of the run is escaped. What is wrong with it is told instead.
    """
    if isinstance(run.steps, Iterator):
        return None
    try:
        samples, _ = _heard(run)
        summary = summarize(run)
        told = escape("; ".join(tell(summary)))
        seen = _picture(run, told)
    except (OSError, ValueError) as error:
        return f"<p>{escape(str(error))}</p>"
    name = escape(run.header.comment or run.name)
    steps = "1 step" if summary.steps == 1 else f"{summary.steps:,} steps"
    sound, seconds = _data("audio/flac", _flac(samples)), len(samples) / SAMPLE_RATE
    return (
        f"<p><b>{name}</b>: {steps} in {seconds:.1f} s of sound. {told}</p>"
        f'<p><audio controls src="{sound}"></audio></p>{seen}'
    )


def attachment_html(url: str | None, kept: tuple[Path, int] | None) -> str | None:
    """The page on which a model is heard, or else its run so far.

    Args:
        url: Where the page is, if there is one.
        kept: The run file and its number in the file system, if there is one.
    """
    if url is not None:
        page = escape(url)
        return (
            f'<p><a href="{page}" target="_blank" rel="noopener">{page}</a> '
            "(from another machine, after the line with ssh that was printed)</p>"
            f'<iframe src="{page}" allow="autoplay" title="gradsound" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )
    if kept is None:
        return "<p>No run file is written here, so there is nothing to show.</p>"
    log, number = kept
    others = log.parent.glob(f"{glob.escape(log.stem)}.*{glob.escape(log.suffix)}")
    for path in (log, *others):  # a later run took its name, and it has another
        if path.exists() and path.stat().st_ino == number:
            return run_html(open_run(path))
    return f"<p>{escape(str(log))}: is not there any more.</p>"


def to_tensorboard(run: Run, writer: Any, tag: str) -> None:
    """As `Run.to_tensorboard`."""
    figure = draw(run, find_preset("notes", None))
    samples, last = _heard(run)
    mono = samples.mean(axis=1)  # it takes one channel, within -1..1, and keeps 16 bits
    writer.add_audio(f"{tag}/sound", mono, last, sample_rate=SAMPLE_RATE)
    writer.add_figure(f"{tag}/picture", figure, last)


def to_wandb(run: Run) -> Any:
    """As `Run.audio`."""
    import wandb  # for whoever logs there

    samples, _ = _heard(run)
    return wandb.Audio(_quantised(samples), SAMPLE_RATE, run.header.comment or run.name)


def _heard(run: Run) -> tuple[Samples, int]:
    """The sound, shape (N, C), and the number of the last step."""
    sound = Sound([run], find_preset("notes", None), _SECONDS)
    samples = np.concatenate([*sound.blocks()])
    return samples, sound.timeline.bounds[1]


def _quantised(samples: Samples) -> NDArray[np.int16]:
    """Samples as `render` writes them; of floats soundfile would round down."""
    return np.clip(np.rint(samples * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def _flac(samples: Samples) -> bytes:
    """A file that every browser plays, at a third of the size of WAV."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, _quantised(samples), SAMPLE_RATE, "PCM_16", format="FLAC")
    return file.getvalue()


def _picture(run: Run, alternative: str) -> str:
    file = io.BytesIO()
    try:
        draw(run, find_preset("notes", None)).savefig(file, format="png")
    except MissingExtraError as error:
        return f"<p>No picture: {escape(str(error))}</p>"
    source = _data("image/png", file.getvalue())
    return f'<img src="{source}" alt="{alternative}" style="max-width: 100%">'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
