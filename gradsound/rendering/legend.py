"""gradsound legend: what a run sounds like, and what else might be heard, one by one.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import MEMORY
from gradsound.alarms.thresholds import KINDS, Alarm
from gradsound.music.captions import Caption, markers
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment, nothing
from gradsound.music.presets import find_preset
from gradsound.open_run import run_for
from gradsound.output.sound_file import write_sound
from gradsound.output.wav_markers import add_markers
from gradsound.output.webvtt import ENDING, write_captions
from gradsound.runs.summary import summarize
from gradsound.synth.mixer import SAMPLE_RATE, Mixer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples
    from gradsound.synth.voices.builtin import Voice

_LASTS = 1.3  # seconds, about, of each example
_PAUSE = 0.7  # seconds between two
_SWEEP = 9  # steps from the lowest to the highest of a value
_MEANS = {
    "nonfinite": "NaN or infinity in a layer",
    "stall": "no step comes",
    "dead": "a layer has no gradient any more",
    "spike": "a norm far above what is usual",
    "vanishing": "a layer has next to no gradient",
    "skipped": "the scaler skipped a step",
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
    """Writes what a run's bands and all alarms sound like, one by one, with captions.

    The captions are in a WebVTT file beside the sound. In a WAV file they are markers, too.

    Args:
        run: A run, or the path of a run file. Its layers sound at their typical norms; a
            layer without any finite norm sounds at norm 1.
        path: The sound file to write, ending in .wav, .flac or .ogg.
        preset: How steps sound, as for `gradsound.render`.
        voice: As for `gradsound.render`.

    Returns:
        The captions, in order of time.

    Raises:
        As `gradsound.render`.
    """
    path = Path(path)
    preset = find_preset(preset, voice)
    if path.suffix.lower() == ENDING:
        raise ValueError(f"{path}: a legend is a sound; its captions are written beside it")
    run = run_for(run, [path, path.with_suffix(ENDING)], "write its legend")
    made = _Legend(run, preset)
    mark = made.mark if path.suffix.lower() == ".wav" else None
    write_sound(path, made.blocks(), SAMPLE_RATE, finish=mark)
    write_captions(path, made.captions)
    return made.captions


class _Legend:
    """The examples, as they are made."""

    def __init__(self, run: Run, preset: Preset) -> None:
        self._preset, self._names = preset, run.header.layers
        typical = np.nan_to_num(summarize(run).typical.astype(np.float64), nan=1.0)
        self._usual = np.clip(typical, 1e-30, 1e30)  # (L,)
        self._bands = preset.bands_of(self._names)
        self._mixer = Mixer(SAMPLE_RATE, preset.channels)
        self.captions: list[Caption] = []

    def blocks(self) -> Iterator[Samples]:
        """Yields the samples of each example, shape (N, C)."""
        if self._preset.texture != "none":
            for text, moments in self._examples():
                yield from self._played(text, moments)
        if self._preset.alarms:
            for kind in KINDS:
                yield from self._announced(kind)

    def mark(self, path: Path) -> None:
        """Marks where each example begins, in a WAV file."""
        add_markers(path, markers(self.captions, SAMPLE_RATE))

    def _examples(self) -> Iterator[tuple[str, list[Moment]]]:
        for band in self._bands:
            norm = np.linalg.norm(self._usual[[*band.layers]])
            yield f"{band.name}, norm {norm:.3g}", [self._moment(only=band.layers)]
        yield "all of them, a usual step", [self._moment()]
        yield "then twice the norm", [self._moment(), self._moment(2)]
        yield "then ten times the norm", [self._moment(), self._moment(10)]
        yield "then a tenth of the norm", [self._moment(), self._moment(0.1)]
        yield "NaN", [self._moment(np.nan)]
        yield "infinity", [self._moment(np.inf)]
        if self._preset.clipping:
            clipped = self._moment(1 / 3)
            raw = replace(clipped.step, raw=self._usual.astype(np.float32))
            yield "clipped to a third: two notes", [replace(clipped, step=raw)]
        for drive in self._preset.drives:
            values = np.linspace(drive.low, drive.high, _SWEEP)
            usual = self._moment()
            yield (
                f"{drive.value} from {drive.low:g} to {drive.high:g}",
                [
                    replace(usual, step=replace(usual.step, values={drive.value: value}))
                    for value in values.tolist()
                ],
            )

    def _moment(self, times: float = 1.0, only: tuple[int, ...] | None = None) -> Moment:
        """A step of usual norms, or so many times these, of all layers or some."""
        silent = nothing(0, len(self._names))
        absent = np.ones(len(self._names), bool)
        absent[slice(None) if only is None else [*only]] = False
        norms = np.where(absent, np.nan, self._usual * times).astype(np.float32)
        return Moment(0, replace(silent.step, norms=norms, absent=absent))

    def _played(self, text: str, moments: list[Moment]) -> Iterator[Samples]:
        """An example, each of its moments as often as it takes to hear it."""
        self._caption(text)
        composer = Composer(self._names, self._preset)
        composer.learn([self._moment()] * MEMORY)
        usual = composer.layout.duration * len(moments)
        times = 1 if len(moments) == _SWEEP else ceil(_LASTS / usual)
        for moment in moments:
            for _ in range(times):
                durations = composer.layout.duration * composer.longer([moment])
                begins = np.array([self._mixer.placer.end])
                self._mixer.add(composer.compose([moment], begins, durations))
        self._mixer.add(composer.finish([], self._mixer.placer.end))
        yield from self._pause(composer)

    def _announced(self, kind: str) -> Iterator[Samples]:
        self._caption(f"alarm, {kind}: {_MEANS[kind]}")
        composer = Composer(self._names, self._preset)
        alarm = Alarm(kind, 0, "")
        self._mixer.add(composer.finish([alarm], self._mixer.placer.end))
        yield from self._pause(composer)

    def _pause(self, composer: Composer) -> Iterator[Samples]:
        self._mixer.add(composer.hold(_PAUSE, silent=True))
        yield self._mixer.read(self._mixer.left)

    def _caption(self, text: str) -> None:
        self.captions.append(Caption(self._mixer.placer.end, text, "legend"))
