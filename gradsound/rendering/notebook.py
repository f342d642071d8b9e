"""Shows a run in a notebook (HTML), in TensorBoard and in W&B: player and picture.

The sound is rendered in memory. A long run becomes a time-lapse of 20 s, so the memory is
bounded.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.durations import count_steps
from gradsound.errors import MissingExtraError
from gradsound.music.presets import find_preset
from gradsound.open_run import open_run
from gradsound.rendering.kept_run import keep_run
from gradsound.rendering.picture import draw
from gradsound.rendering.sound import Sound
from gradsound.runs.file_names import find_renamed
from gradsound.summary.description import describe
from gradsound.summary.run_summary import summarize
from gradsound.synth.sample_rate import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples

_MAX_SECONDS = 20.0  # of sound, 1.5 MB in a notebook
_PAGE_HEIGHT = 640  # pixels; the page's controls, picture and scale fit


def run_html(run: Run) -> str | None:
    """Returns a player, the events and the picture of a run as HTML.

    The text of the run is escaped. A run that cannot be rendered gives its error message.
    A run with steps that can be iterated only once gives None, so that they are not lost.
    """
    if isinstance(run.steps, Iterator):
        return None
    run = keep_run(run)
    try:
        samples, _ = _render_samples(run)
        summary = summarize(run)
        events = escape("; ".join(describe(summary)))
        picture = _picture_html(run, events)
    except (OSError, ValueError) as error:
        return f"<p>{escape(str(error))}</p>"
    name = escape(run.header.comment or run.name)
    steps = count_steps(summary.steps)
    sound = _data_url("audio/flac", _encode_flac(samples))
    seconds = len(samples) / SAMPLE_RATE
    return (
        f"<p><b>{name}</b>: {steps} in {seconds:.1f} s of sound. {events}</p>"
        f'<p><audio controls src="{sound}"></audio></p>{picture}'
    )


def attachment_html(url: str | None, log_file: tuple[Path, int] | None) -> str | None:
    """Returns the page of a training as HTML; without a page, its run so far.

    Args:
        url: The page's address; None without a page.
        log_file: The run file and its inode; None without a run file.
    """
    if url is not None:
        page = escape(url)
        return (
            f'<p><a href="{page}" target="_blank" rel="noopener">{page}</a> '
            "(from another machine: first run the ssh command that was printed)</p>"
            f'<iframe src="{page}" allow="autoplay" title="gradsound" '
            f'style="width: 100%; height: {_PAGE_HEIGHT}px; border: 0"></iframe>'
        )
    if log_file is None:
        return "<p>This training writes no run file, so there is nothing to show.</p>"
    if (path := find_renamed(*log_file)) is not None:
        return run_html(open_run(path))
    return f"<p>{escape(str(log_file[0]))}: the file no longer exists.</p>"


def to_tensorboard(run: Run, writer: Any, tag: str) -> None:
    """Adds sound and picture to a TensorBoard log; see `Run.to_tensorboard`."""
    figure = draw(run, find_preset("notes", None), _MAX_SECONDS)
    samples, last = _render_samples(run)
    mono = samples.mean(axis=1)  # TensorBoard stores one channel of 16 bits, within -1..1
    writer.add_audio(f"{tag}/sound", mono, last, sample_rate=SAMPLE_RATE)
    writer.add_figure(f"{tag}/picture", figure, last)


def to_wandb(run: Run) -> Any:
    """Returns the sound as ``wandb.Audio``; see `Run.audio`."""
    import wandb  # slow to import, and only for its users

    samples, _ = _render_samples(run)
    return wandb.Audio(_to_int16(samples), SAMPLE_RATE, run.header.comment or run.name)


def _render_samples(run: Run) -> tuple[Samples, int]:
    """Returns the sound, shape (N, C), and the number of the last step."""
    sound = Sound([run], find_preset("notes", None), _MAX_SECONDS)
    samples = np.concatenate([*sound.blocks()])
    return samples, sound.timeline.bounds[1]


def _to_int16(samples: Samples) -> NDArray[np.int16]:
    """Rounds samples as `render` does; soundfile would round floats down."""
    return np.clip(np.rint(samples * 2**15), -(2**15), 2**15 - 1).astype(np.int16)


def _encode_flac(samples: Samples) -> bytes:
    """Returns a FLAC file, which every browser plays, a third of the size of WAV."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, _to_int16(samples), SAMPLE_RATE, "PCM_16", format="FLAC")
    return file.getvalue()


def _picture_html(run: Run, alternative: str) -> str:
    file = io.BytesIO()
    try:
        draw(run, find_preset("notes", None), _MAX_SECONDS).savefig(file, format="png")
    except MissingExtraError as error:
        return f"<p>No picture: {escape(str(error))}</p>"
    source = _data_url("image/png", file.getvalue())
    return f'<img src="{source}" alt="{alternative}" style="max-width: 100%">'


def _data_url(mime_type: str, content: bytes) -> str:
    return f"data:{mime_type};base64,{b64encode(content).decode()}"
