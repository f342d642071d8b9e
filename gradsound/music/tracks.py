"""Tracks: the pitch, level and controls of each band and each value voice at each moment.

Shapes: S moments, L layers, B tracks (bands, then values with a voice).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import RunningMedian
from gradsound.music.anchor import AnchorFollower, band_pitches
from gradsound.music.articulation import Articulator
from gradsound.music.equal_loudness import gains
from gradsound.music.note_norms import note_norms
from gradsound.music.run_loudness import single_loudness
from gradsound.music.track_states import TrackStates
from gradsound.name_matching import format_names
from gradsound.runs.step_block import make_block
from gradsound.synth.voices.builtin import breath, clang, find_voice, trace_builtin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.music.value_mapping import Drive
    from gradsound.synth.voices.program import Program

# Hz of the clang, whose audible pitch is five times as high: NaN growls at 220 Hz, infinity
# shrieks two octaves above.
NAN_HERTZ, INFINITY_HERTZ = 44.0, 176.0
_CONTROL_DECADES = 8.0  # decades over which "norm" goes from 0 to 1; the anchor is 0.5
# Hz of the breath of 0, which is ten to eighty times as high. Each track is a semitone
# higher than the last, up to an octave: equal breaths at once could cancel each other.
_BREATH_HERTZ = 32.0
_BREATH_LEVEL = 0.8  # times the level: 3 to 4 LU softer, as 0 is no alarm


class Tracks:
    """Maps the norms and values of successive moments to the states of tracks.

    Args:
        names: Names of the layers, L of them.
        preset: How the run sounds.
        follow: Whether the anchor of the pitches follows the norms, because the run is not
            known in advance.

    Attributes:
        bands: Groups of layers.
        names: Names of the tracks, B of them.
        programs: The program of each track, then the one of all nonfinite norms, and the
            one of all norms of 0; B + 2.
        pitches: The pitch of each band.
    """

    def __init__(
        self, names: Sequence[str], preset: Preset, *, follow: bool = False
    ) -> None:
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
            trace_builtin(breath),
        )
        self.pitches = band_pitches(preset, count)
        follow = follow and preset.baseline == "fixed"
        self._follower = AnchorFollower(self.pitches) if follow else None
        self._single = single_loudness(preset, len(self.names))
        self._breath_hertz = _BREATH_HERTZ * 2.0 ** (np.arange(len(self.names)) % 12 / 12)
        self._articulator = Articulator(self.bands, heard=preset.signals)
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
        block = make_block(steps)
        found = note_norms(block, self.bands, self._preset)
        norms, absent, finite = found.norms, found.absent, found.finite
        nonfinite, zero = ~(finite | absent), finite & (norms == 0)
        factors = np.ones(len(moments))  # of the norm at the anchor
        if self._follower is not None:
            factors *= 10.0 ** self._follower.decades(found.pitched)
        anchor_norms = self._preset.pitch.norm * factors
        medians = self._medians(np.where(finite, norms, np.nan))
        running = self._preset.baseline == "running"
        baseline = 10.0**medians if running else np.ones_like(medians)
        baseline *= factors[:, None]
        known = np.where(finite, norms, 1.0)  # any number for the other norms
        hertz = self._hertz(known / baseline)
        unclipped_hertz = np.full(hertz.shape, np.nan)
        clipped = ~np.isnan(found.unclipped)
        if clipped.any():
            raw_hertz = self._hertz(np.where(clipped, found.unclipped, 1.0) / baseline)
            unclipped_hertz[clipped] = raw_hertz[clipped]
        hertz = np.where(zero, self._breath_hertz[: zero.shape[1]], hertz)
        hertz[nonfinite] = np.where(np.isnan(norms[nonfinite]), NAN_HERTZ, INFINITY_HERTZ)
        with np.errstate(divide="ignore"):
            decades = np.log10(known)
        anchors = np.log10(anchor_norms)[:, None].astype(decades.dtype)
        controls = {
            "norm": np.clip(0.5 + (decades - anchors) / _CONTROL_DECADES, 0, 1),
            "deviation": np.clip(decades - medians, -1, 1),
        }
        for drive in self._brightness_drives:
            brightness = 2 * self._positions(drive, moments) - 1
            controls["deviation"][:] = np.nan_to_num(brightness)[:, None]
        articulation = self._articulator.articulate(block)
        breaths = np.where(absent | nonfinite | zero, 0.0, articulation.breaths)
        states = TrackStates(
            present=~absent,
            nonfinite=nonfinite,
            zero=zero,
            hertz=hertz,
            level=self._preset.level * np.sqrt(1 - breaths),
            unclipped_hertz=unclipped_hertz,
            controls=controls,
            lengths=np.where(nonfinite, 1.0, articulation.lengths),
            breath_level=self._preset.level * np.sqrt(breaths),
            breath_hertz=self._breath_hertz,
            anchor_norms=anchor_norms,
        )
        for drive in self._voice_drives:
            positions = self._positions(drive, moments)
            states = states.with_value(
                positions, drive.hertz(positions), self._preset.level
            )
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
        columns = [pitch.hertz(norms[:, k]) for k, pitch in enumerate(self.pitches)]
        return np.stack(columns, axis=1)

    def _positions(self, drive: Drive, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """Returns where a drive's last logged values are, shape (S,); NaN if none."""
        last, values = self._last_values.get(drive.value, np.nan), []
        for moment in moments:
            last = moment.step.values.get(drive.value, last)
            values.append(last if moment.present else np.nan)
        return drive.positions(np.array(values))

    def _equalize(self, states: TrackStates) -> None:
        """Sets the levels so that all tracks are equally loud, and norms of 0 softer."""
        *programs, nonfinite_program, zero_program = self.programs
        if self._preset.equal_loudness:
            for track, program in enumerate(programs):
                hertz = states.hertz[:, track]
                states.level[:, track] *= gains(program, hertz, *self._single)
            clangs = gains(nonfinite_program, states.hertz[states.nonfinite])
            states.level[states.nonfinite] = self._preset.level * clangs
        breaths = _BREATH_LEVEL * gains(zero_program, states.hertz[states.zero])
        states.level[states.zero] = self._preset.level * breaths
        if states.breath_level.any():
            states.breath_level[:] *= gains(
                zero_program, states.breath_hertz, *self._single
            )
