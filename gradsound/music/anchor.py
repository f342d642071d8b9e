"""The anchor: moves the pitches of a run by whole decades of norm to where its norms lie.

The pitches of a preset cover five decades around norm 1. A run with other norms would be
held at an end of that range, and a listener would hear one note only. So the norm at the
anchor becomes 10, 100 ... or 0.1, 0.01 ... for such a run. A run whose norms fit keeps
norm 1, so its pitches are equal to those of other runs.

Shapes: S steps, B bands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import without_warnings
from gradsound.music.note_norms import note_norms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band
    from gradsound.music.pitch import Pitch
    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.runs.step_block import StepBlock

_HELD_MAX = 0.1  # share of the notes at the ends of the range, before the anchor moves
_WORTH_MOVING = 0.5  # of these notes, at most, may then be held; a divergence has more
_DECADES = 100  # of norm above and below 1; float32 has 45
_FIRST_LOOK, _SECOND_LOOK = 1, 16  # steps of a growing run; then after twice as many


def fit_anchor(preset: Preset, runs: Sequence[Run]) -> Preset:
    """Returns the preset with the anchor that fits finished runs, one for all of them.

    The anchor moves only if the preset would hold more than a tenth of all notes at an end
    of its range. It then moves to the decade of the median norm, or as near as it must for
    nine tenths of the notes to fit. If that is impossible, as many fit as can. The anchor
    stays if that would free less than half of the held notes, as in a divergence, which
    runs through any range.

    Args:
        preset: How the runs sound. A running baseline has no fixed pitches, so its anchor
            stays. So does that of ranks.
        runs: Runs that are heard or seen together. Each is read once, in bounded memory
            and without warnings.

    Raises:
        OSError, RunFormatError: If a run cannot be read.
    """
    fit = AnchorFit(preset)
    if preset.baseline == "fixed":
        for run in runs:
            bands = preset.bands_of(run.header.layers)
            with without_warnings():  # whoever plays the run reads it again
                for block in run.blocks():
                    fit.add(block, bands)
    return fit.preset()


class AnchorFit:
    """Fits the anchor to steps while something else reads them, as `fit_anchor` does.

    Args:
        preset: As for `fit_anchor`.
    """

    def __init__(self, preset: Preset) -> None:
        self._preset, self._census = preset, _Census()

    def add(self, steps: StepBlock, bands: Sequence[Band]) -> None:
        """Adds successive steps of a run, and its bands."""
        if self._preset.baseline != "fixed":
            return
        pitches = band_pitches(self._preset, len(bands))
        self._census.add(note_norms(steps, bands, self._preset).pitched, pitches)

    def preset(self) -> Preset:
        """Returns the preset with the anchor that fits the steps so far."""
        return _moved(self._preset, self._census.best_decade(0))


def band_pitches(preset: Preset, bands: int) -> list[Pitch]:
    """Returns the pitch of each band, one register above the other, B of them."""
    return [preset.pitch.transposed(preset.register * band) for band in range(bands)]


class AnchorFollower:
    """Moves the anchor of a run that still grows, and moves it rarely.

    The follower looks at all norms so far after 1, 16, 32, 64 ... steps. After the first
    step, the anchor moves only if all its notes would be held; later, if more than a tenth
    of all notes so far would be. The number of steps in a call does not change the result.

    Args:
        pitches: The pitch of each band, B of them.
    """

    def __init__(self, pitches: Sequence[Pitch]) -> None:
        self._pitches, self._census = pitches, _Census()
        self._count, self._next_look, self._decade = 0, _FIRST_LOOK, 0

    def decades(self, norms: NDArray[np.float64]) -> NDArray[np.int_]:
        """Returns by how many decades of norm the anchor has moved at each step, (S,).

        Args:
            norms: Norms that sound as a pitch, NaN elsewhere, shape (S, B) or (S, 2 B).
        """
        decades, begin = np.empty(len(norms), int), 0
        while begin < len(norms):
            end = min(len(norms), begin + self._next_look - self._count)
            self._census.add(norms[begin:end], self._pitches)
            self._count += end - begin
            decades[begin:end] = self._decade
            if self._count == self._next_look:
                self._look()
                decades[end - 1] = self._decade
            begin = end
        return decades

    def _look(self) -> None:
        first = self._count == _FIRST_LOOK
        held_max = np.nextafter(1.0, 0.0) if first else _HELD_MAX
        self._decade = self._census.best_decade(self._decade, float(held_max))
        self._next_look = _SECOND_LOOK if first else 2 * self._count


class _Census:
    """Counts by decade how many notes lie where, in bounded memory."""

    def __init__(self) -> None:
        # At index k + _DECADES: notes that are below the range from the decade k + 1 on;
        # above the range up to the decade k - 1; nearest to the decade k.
        self._below = np.zeros(2 * _DECADES + 1, np.int64)
        self._above, self._near = self._below.copy(), self._below.copy()

    def add(self, norms: NDArray[np.float64], pitches: Sequence[Pitch]) -> None:
        """Counts norms, shape (S, B) or (S, 2 B) for B pitches; NaN counts as no note."""
        lows, highs = np.array([pitch.decades for pitch in pitches]).T  # (B,)
        rows, columns = np.nonzero(~np.isnan(norms))
        decades, bands = np.log10(norms[rows, columns]), columns % len(pitches)
        for counts, places in (
            (self._below, np.floor(decades - lows[bands])),
            (self._above, np.ceil(decades - highs[bands])),
            (self._near, np.rint(decades)),
        ):
            indices = np.clip(places, -_DECADES, _DECADES).astype(int) + _DECADES
            counts[:] += np.bincount(indices, minlength=len(counts))

    def best_decade(self, now: int, held_max: float = _HELD_MAX) -> int:
        """Returns the decade for the anchor, which stays where it is if the notes fit.

        Args:
            now: The decade where the anchor is.
            held_max: Share of the notes that may lie outside the range.
        """
        total = int(self._near.sum())
        below = np.cumsum(self._below) - self._below
        above = np.cumsum(self._above[::-1])[::-1] - self._above
        held = below + above  # at each decade of the anchor
        for decade in (now, 0):
            if held[decade + _DECADES] <= held_max * total:
                return decade
        if held.min() > _WORTH_MOVING * held[now + _DECADES]:
            return now
        middle = np.searchsorted(np.cumsum(self._near), total / 2)
        enough = max(int(held.min()), int(_HELD_MAX * total))
        fitting = np.flatnonzero(held <= enough)
        return int(fitting[np.argmin(np.abs(fitting - middle))]) - _DECADES


def _moved(preset: Preset, decade: int) -> Preset:
    """Returns the preset with the anchor so many decades of norm higher."""
    if not decade:
        return preset
    norm = preset.pitch.norm * 10.0**decade
    return replace(preset, pitch=replace(preset.pitch, norm=norm))
