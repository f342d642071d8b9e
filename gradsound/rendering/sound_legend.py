"""gradsound legend: a sound file of examples, one for each band, norm and alarm of a run.

Shapes: L layers, N frames, C channels.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import WINDOW_STEPS, Alarm
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.anchor import fit_anchor
from gradsound.music.captions import TEXT_MAX, Caption, chapters, fit_text, markers
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment, missing_moment
from gradsound.music.pitch_sentence import pitch_sentence
from gradsound.music.presets import find_preset
from gradsound.open_run import open_run_for_outputs
from gradsound.output.chapters import add_chapters
from gradsound.output.formats import ENDINGS, check_path, default_rate
from gradsound.output.sound_file import write_sound
from gradsound.output.wav_markers import add_markers
from gradsound.output.webvtt import VTT_SUFFIX, write_captions
from gradsound.summary.run_summary import summarize
from gradsound.synth.mixer import Mixer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples
    from gradsound.synth.voices.builtin import Voice

_EXAMPLE_SECONDS = 1.3  # least duration of an example; a single step is too short to learn
_PAUSE_SECONDS = 0.7  # between two examples, at least
_CAPTION_SECONDS = 2.0  # from one caption to the next, to read it
_GAP = "..."  # in place of the beginning of a long name
_SWEEP_STEPS = 9  # from the lowest to the highest number of a value
_SIGNALS = (  # name, number of all layers, caption
    ("update_ratio", 0.01, "update ratio 0.01: held longer"),
    ("update_ratio", 0.0, "update ratio 0, weights that do not move: clicks"),
    ("snr", 0.05, "snr 0.05, gradients that are noise: breath"),
    ("snr", 0.6, "snr 0.6, a batch that is repeated: pure"),
)
_MEANINGS = {
    "nonfinite": "NaN or infinity in a layer or in the loss",
    "loss": "the loss rises and stays high",
    "stall": "no step comes",
    "dead": "a layer has no gradient any more",
    "rank": "the norm of a rank is far from the others",
    "straggler": "a rank is later than the others",
    "still": "the optimizer does not move a layer",
    "spike": "a norm far above what is usual",
    "leap": "weights change far more than usual",
    "rise": "the norm rises and stays high",
    "vanishing": "a layer has next to no gradient",
    "collapsed": "few of the experts are in use",
    "echo": "gradients repeat those before",
    "coarse": "far more of a gradient is 0",
    "skipped": "the scaler skipped a step",
    "slow": "steps take longer",
    "overfit": "the evaluation loss rises",
    "plateau": "the loss falls no more",
    "recovery": "all is as usual again",
    "end": "the run is over",
}


def legend(
    run: Run | str | Path,
    path: str | Path,
    *,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
) -> list[Caption]:
    r"""Writes an example of each band, of some norms and of each alarm, with captions.

    A WebVTT file next to the sound gets the captions. A WAV file also gets
    them as markers, and a file of another format as chapters.

    Args:
        run: A run, or the path of a run file. Its layers sound at their typical norms; a
            layer without any finite norm sounds at norm 1.
        path: The sound file to write, ending in .wav, .flac, .ogg, .mp3 or .opus.
        preset: How steps sound, as for `gradsound.render`.
        voice: The voice of all bands, as for `gradsound.render`.

    Returns:
        The captions, in order of time.

    Raises:
        ValueError: If an argument is outside its range, or ``path`` is the run itself.
        VoiceError: If the voice cannot be compiled.
        RunFormatError: If the run file is not a run.
        OSError: If a file cannot be read or written.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> _ = Path("metrics.csv").write_text("step,grad_norm/fc\n0,0.5\n1,0.25\n")
        >>> captions = gradsound.legend("metrics.csv", "legend.wav")
        >>> print(captions[0])
        0:00 fc, norm 0.375
        >>> print(captions[-1].text)
        alarm, end: the run is over
    """
    path = Path(path)
    preset = find_preset(preset, voice)
    if path.suffix.lower() == VTT_SUFFIX:
        raise ValueError(f"{path}: a legend is a sound file; end its name in {ENDINGS}")
    run = open_run_for_outputs(
        run, [path, path.with_suffix(VTT_SUFFIX)], "write its legend"
    )
    check_path(path)
    sound = _LegendSound(run, fit_anchor(preset, [run]), path)
    write_sound(path, sound.blocks(), default_rate(path), finish=sound.finish)
    write_captions(path, sound.captions)
    return sound.captions


class _LegendSound:
    """The sound of a legend; reading its blocks fills the captions.

    Attributes:
        captions: One for each example so far, in order of time.
    """

    def __init__(self, run: Run, preset: Preset, path: Path) -> None:
        self._preset, self._names = preset, run.header.layers
        self._sample_rate, self._is_wav = default_rate(path), path.suffix.lower() == ".wav"
        summary = summarize(run)
        self._signals = summary.signals
        typical = np.nan_to_num([one.typical for one in summary.layers], nan=1.0)
        self._typical = np.clip(typical, 1e-30, 1e30)  # (L,); ten times fits float32
        self._bands = preset.bands_of(self._names)
        self._mixer = Mixer(self._sample_rate, preset.channels)
        self.captions: list[Caption] = []

    def blocks(self) -> Iterator[Samples]:
        """Yields the samples of each example, shape (N, C)."""
        if self._preset.texture != "none":
            for text, moments in self._examples():
                yield from self._render_example(text, moments)
        if self._preset.alarms:
            for kind in ALARM_SOUNDS:
                yield from self._render_alarm(kind)

    def finish(self, path: Path, frames: int) -> None:
        """Adds a marker or a chapter at the begin of each example to the finished file."""
        if self._is_wav:
            add_markers(path, markers(self.captions, self._sample_rate))
        else:
            add_chapters(path, chapters(self.captions), frames / self._sample_rate)

    def _examples(self) -> Iterator[tuple[str, list[Moment]]]:
        """Yields the caption of each example, and its moments."""
        for band in self._bands:
            norm = np.linalg.norm(self._typical[[*band.layers]])
            text = _name_text(band.name, f", norm {norm:.3g}")
            yield text, [self._moment(only=band.layers)]
        yield "all of them, a usual step", [self._moment()]
        if self._preset.pitch.norm != 1:
            yield pitch_sentence(self._preset, len(self._bands)), [self._moment()]
        yield "then twice the norm", [self._moment(), self._moment(2)]
        yield "then ten times the norm", [self._moment(), self._moment(10)]
        yield "then a tenth of the norm", [self._moment(), self._moment(0.1)]
        yield "0", [self._moment(0.0)]
        yield "NaN", [self._moment(np.nan)]
        yield "infinity", [self._moment(np.inf)]
        if self._preset.clipping:
            clipped = self._moment(1 / 3)
            raw = replace(clipped.step, raw=self._typical.astype(np.float32))
            yield "clipped to a third: two notes", [replace(clipped, step=raw)]
        for text, signals in self._signal_examples():
            typical = self._moment()
            yield text, [replace(typical, step=replace(typical.step, signals=signals))]
        for drive in self._preset.drives:
            numbers = np.linspace(drive.low, drive.high, _SWEEP_STEPS)
            typical = self._moment()
            yield (
                _name_text(drive.value, f" from {drive.low:g} to {drive.high:g}"),
                [
                    replace(
                        typical, step=replace(typical.step, values={drive.value: number})
                    )
                    for number in numbers.tolist()
                ],
            )

    def _signal_examples(self) -> Iterator[tuple[str, Mapping[str, NDArray[np.float32]]]]:
        """Yields the caption of each example of a signal, and the signals of all layers."""
        for name, number, text in _SIGNALS if self._preset.signals else ():
            is_held = self._preset.texture == "drone" and name == "update_ratio"
            if name in self._signals and not is_held:
                yield text, {name: np.full(len(self._names), number, np.float32)}

    def _moment(self, factor: float = 1.0, only: tuple[int, ...] | None = None) -> Moment:
        """Returns a step of typical norms times a factor, of all layers or of some."""
        silent = missing_moment(0, len(self._names))
        absent = np.ones(len(self._names), bool)
        absent[slice(None) if only is None else [*only]] = False
        norms = np.where(absent, np.nan, self._typical * factor).astype(np.float32)
        return Moment(0, replace(silent.step, norms=norms, absent=absent))

    def _render_example(self, text: str, moments: list[Moment]) -> Iterator[Samples]:
        """Repeats each moment of an example until the example lasts 1.3 s."""
        self._add_caption(text)
        composer = Composer(self._names, self._preset)
        composer.update_statistics([self._moment()] * WINDOW_STEPS)
        seconds = composer.layout.duration * len(moments)
        repeats = 1 if len(moments) == _SWEEP_STEPS else ceil(_EXAMPLE_SECONDS / seconds)
        for moment in moments:
            for _ in range(repeats):
                durations = composer.layout.duration * composer.duration_factors([moment])
                begins = np.array([self._mixer.sequencer.next_start])
                self._mixer.add(composer.compose([moment], begins, durations))
        self._mixer.add(composer.finish([], self._mixer.sequencer.next_start))
        yield from self._render_pause(composer)

    def _render_alarm(self, kind: str) -> Iterator[Samples]:
        self._add_caption(f"alarm, {kind}: {_MEANINGS[kind]}")
        composer = Composer(self._names, self._preset)
        alarm = Alarm(kind, 0, "")
        self._mixer.add(composer.finish([alarm], self._mixer.sequencer.next_start))
        yield from self._render_pause(composer)

    def _render_pause(self, composer: Composer) -> Iterator[Samples]:
        shown = self._mixer.sequencer.next_start - self.captions[-1].time
        seconds = max(_PAUSE_SECONDS, _CAPTION_SECONDS - shown)
        self._mixer.add(composer.hold(seconds, silent=True))
        yield self._mixer.read(self._mixer.frames_left)

    def _add_caption(self, text: str) -> None:
        begin = self._mixer.sequencer.next_start
        self.captions.append(Caption(begin, fit_text(text), "legend"))


def _name_text(name: str, rest: str) -> str:
    """Returns a name and a text about it; a long name loses its beginning."""
    name = " ".join(name.split())
    surplus = len(name) + len(rest) - TEXT_MAX
    return (f"{_GAP}{name[surplus + len(_GAP) :]}" if surplus > 0 else name) + rest
