"""Tracks: the pitch, level and controls of each band and each value voice at each moment.

Shapes: S moments, L layers, B tracks (bands, then values with a voice).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import RunningMedian
from gradsound.music.equal_loudness import gains
from gradsound.music.layer_groups import band_norms
from gradsound.music.pitch import LogPitch
from gradsound.name_matching import format_names
from gradsound.synth.voices.builtin import clang, find_voice, trace_builtin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.music.pitch import Pitch
    from gradsound.music.presets import Preset
    from gradsound.music.value_mapping import Drive
    from gradsound.synth.voices.program import Program

# Hz of the clang, whose audible pitch is five times as high: NaN growls at 220 Hz, infinity
# shrieks two octaves above.
_NAN_HERTZ, _INFINITY_HERTZ = 44.0, 176.0
_CONTROL_DECADES = 8.0  # decades of norm over which "norm" goes from 0 to 1; norm 1 is 0.5
_CLIPPED_RATIO = 1 + 1e-4  # norm before clipping / after; less is rounding, not clipping


@dataclass(frozen=True, slots=True, eq=False)
class TrackStates:
    """What each track plays at each moment; all arrays have the shape (S, B).

    Attributes:
        present: Whether the track has a norm or a value.
        nonfinite: Whether its norm is NaN or infinite.
        hertz: Pitch in Hz.
        level: Linear peak.
        unclipped_hertz: Pitch of the norm before clipping; NaN where clipping was idle.
        controls: The inputs "norm" and "deviation" of the voices, by name.
    """

    present: NDArray[np.bool_]
    nonfinite: NDArray[np.bool_]
    hertz: NDArray[np.float64]
    level: NDArray[np.float64]
    unclipped_hertz: NDArray[np.float64]
    controls: dict[str, NDArray[np.float64]]


class Tracks:
    """Maps the norms and values of successive moments to the states of tracks.

    Args:
        names: Names of the layers, L of them.
        preset: How the run sounds.

    Attributes:
        bands: Groups of layers.
        names: Names of the tracks, B of them.
        programs: The program of each track, then the one of all nonfinite norms; B + 1.
    """

    def __init__(self, names: Sequence[str], preset: Preset) -> None:
        self.bands = preset.bands_of(names)
        self._preset, self._layers = preset, names
        drives = preset.drives
        self._voice_drives = [drive for drive in drives if drive.drives == "voice"]
        self._brightness_drives = [one for one in drives if one.drives == "brightness"]
        self._tempo_drives = [drive for drive in drives if drive.drives == "tempo"]
        self.names = [band.name for band in self.bands]
        self.names += [drive.value for drive in self._voice_drives]
        voices, count = preset.programs, len(self.bands)
        self.programs: tuple[Program, ...] = (
            *(voices[band % len(voices)] for band in range(count)),
            *(find_voice(drive.voice) for drive in self._voice_drives),
            trace_builtin(clang),
        )
        self._pitches = [
            _transpose(preset.pitch, preset.register * band) for band in range(count)
        ]
        self._running_median = RunningMedian(count)
        self._last_values: dict[str, float] = {}

    def duration_factors(self, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """Returns how many times as long as usual the next moments are, shape (S,).

        0 where the run has no step, so that the other runs set the duration.
        """
        factors = np.array([float(moment.present) for moment in moments])
        for drive in self._tempo_drives:
            factors *= drive.duration_factors(self._positions(drive, moments))
        return factors

    def states(self, moments: Sequence[Moment]) -> TrackStates:
        """Returns the states at the next moments, and updates the running medians."""
        steps = [moment.step for moment in moments]
        absent_layers = np.stack([step.absent for step in steps])  # (S, L)
        norms, absent = band_norms(
            np.stack([step.norms for step in steps]), absent_layers, self.bands
        )
        if self._preset.alarms:  # an alarm announces the skipped step, so no clang does
            skipped = np.array([step.skipped for step in steps])
            absent = absent | (skipped[:, None] & ~np.isfinite(norms))
        nonfinite = ~(np.isfinite(norms) | absent)
        finite = ~(nonfinite | absent)
        medians = self._medians(np.where(finite, norms, np.nan))
        running = self._preset.baseline == "running"
        baseline = 10.0**medians if running else np.ones_like(medians)
        known = np.where(finite, norms, 1.0)  # any number for the other norms
        hertz = self._hertz(known / baseline)
        unclipped_hertz = np.full(hertz.shape, np.nan)
        if self._preset.clipping and any(step.raw is not None for step in steps):
            unclipped = np.stack([step.unclipped for step in steps])
            raw, _ = band_norms(unclipped, absent_layers, self.bands)
            with np.errstate(invalid="ignore"):
                clipped = finite & np.isfinite(raw) & (raw > _CLIPPED_RATIO * norms)
            raw_hertz = self._hertz(np.where(clipped, raw, 1.0) / baseline)
            unclipped_hertz[clipped] = raw_hertz[clipped]
        hertz[nonfinite] = np.where(np.isnan(norms[nonfinite]), _NAN_HERTZ, _INFINITY_HERTZ)
        with np.errstate(divide="ignore"):
            decades = np.log10(known)
        controls = {
            "norm": np.clip(0.5 + decades / _CONTROL_DECADES, 0, 1),
            "deviation": np.clip(decades - medians, -1, 1),
        }
        for drive in self._brightness_drives:
            brightness = 2 * self._positions(drive, moments) - 1
            controls["deviation"][:] = np.nan_to_num(brightness)[:, None]
        level = np.full(hertz.shape, self._preset.level)
        states = TrackStates(~absent, nonfinite, hertz, level, unclipped_hertz, controls)
        for drive in self._voice_drives:
            states = self._add_value_track(states, drive, moments)
        if self._preset.equal_loudness:
            self._equalize(states)
        return states

    def update_values(self, moments: Sequence[Moment]) -> None:
        """Keeps the last logged values of moments for the moments after them."""
        for moment in moments:
            self._last_values |= moment.step.values

    def layers_by_track(self) -> list[tuple[str, tuple[int, ...]]]:
        """Returns the name and the layers of each track; a value's track has no layers."""
        layers = [band.layers for band in self.bands]
        layers += [()] * len(self._voice_drives)
        return [*zip(self.names, layers)]

    def descriptions(self) -> list[str]:
        """Returns the name of each track, and its layers in parentheses if several."""
        descriptions = self.names.copy()
        for k, band in enumerate(self.bands):
            if len(band.layers) > 1:
                layers = format_names([self._layers[layer] for layer in band.layers])
                descriptions[k] += f" ({layers})"
        return descriptions

    def _medians(self, norms: NDArray[np.float32]) -> NDArray[np.float64]:
        """Returns the running medians of bands in decades, shape (S, bands).

        They cost much of the time, so they are 0 if neither the baseline nor a voice uses
        them.
        """
        needed = self._preset.baseline == "running" or any(
            "deviation" in program.inputs for program in self.programs
        )
        if not needed:
            return np.zeros(norms.shape)
        with np.errstate(divide="ignore"):
            decades = np.log10(norms)
        medians = self._running_median.medians(decades).astype(np.float64)
        # Without a median, the norm itself stands for it: the deviation is 0.
        return np.where(np.isnan(medians), np.nan_to_num(decades, neginf=0.0), medians)

    def _hertz(self, norms: NDArray[np.floating]) -> NDArray[np.float64]:
        columns = [pitch.hertz(norms[:, k]) for k, pitch in enumerate(self._pitches)]
        return np.stack(columns, axis=1)

    def _positions(self, drive: Drive, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """Returns where a drive's last logged values are, shape (S,); NaN if none."""
        last, values = self._last_values.get(drive.value, np.nan), []
        for moment in moments:
            last = moment.step.values.get(drive.value, last)
            values.append(last if moment.present else np.nan)
        return drive.positions(np.array(values))

    def _add_value_track(
        self, states: TrackStates, drive: Drive, moments: Sequence[Moment]
    ) -> TrackStates:
        """Returns the states with one more track, of a value."""
        positions = self._positions(drive, moments)[:, None]
        level = np.full(positions.shape, self._preset.level)
        new = {"norm": np.nan_to_num(positions), "deviation": np.zeros(positions.shape)}
        return TrackStates(
            np.hstack([states.present, ~np.isnan(positions)]),
            np.hstack([states.nonfinite, np.zeros(positions.shape, bool)]),
            np.hstack([states.hertz, drive.hertz(positions)]),
            np.hstack([states.level, level]),
            np.hstack([states.unclipped_hertz, np.full(positions.shape, np.nan)]),
            {name: np.hstack([states.controls[name], new[name]]) for name in new},
        )

    def _equalize(self, states: TrackStates) -> None:
        """Sets the levels so that all tracks are equally loud."""
        *programs, nonfinite_program = self.programs
        for track, program in enumerate(programs):
            states.level[:, track] *= gains(program, states.hertz[:, track])
        clangs = gains(nonfinite_program, states.hertz[states.nonfinite])
        states.level[states.nonfinite] = self._preset.level * clangs


def _transpose(pitch: Pitch, semitones: float) -> Pitch:
    ratio = 2 ** (semitones / 12)
    if isinstance(pitch, LogPitch):
        return replace(pitch, anchor=pitch.anchor * ratio)
    return replace(pitch, base=pitch.base * ratio, slope=pitch.slope * ratio)
