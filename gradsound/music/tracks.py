"""Lines: what each band, and each value with a voice of its own, sounds at every moment.

Shapes: S moments, L layers, B lines (bands, then values).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import RunningMedian
from gradsound.music.equal_loudness import gains
from gradsound.music.layer_groups import MOST, band_norms
from gradsound.music.pitch import LogPitch
from gradsound.name_matching import several
from gradsound.synth.voices.builtin import clang, find_voice, program_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.music.pitch import Pitch
    from gradsound.music.presets import Preset
    from gradsound.music.value_mapping import Drive
    from gradsound.synth.voices.program import Program

# Hz of the clang, which is heard five times as high: NaN growls at 220, infinity shrieks
# two octaves above.
_NAN, _INFINITE = 44.0, 176.0
_DECADES = 8.0  # of norm that the control of that name covers, with 1 in the middle
_UNISON = 1 + 1e-4  # times larger; less is rounding, not clipping


@dataclass(frozen=True, slots=True, eq=False)
class TrackStates:
    """What lines sound, shape (S, B) each.

    Attributes:
        present: Whether there is anything.
        lost: Whether it is a norm that is NaN or infinite.
        hertz: Pitch.
        level: Linear peak.
        beside: Pitch of a norm from before clipping, NaN where it is the same.
        controls: By name, what voices follow.
    """

    present: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    hertz: NDArray[np.float64]
    level: NDArray[np.float64]
    beside: NDArray[np.float64]
    controls: dict[str, NDArray[np.float64]]


class Tracks:
    """The lines of a run.

    Args:
        names: The layers', L of them.
        preset: How they sound.

    Attributes:
        bands: What layers are gathered into.
        names: Of every line, B of them.
        programs: What plays each line, and then what plays lost norms.
    """

    def __init__(self, names: Sequence[str], preset: Preset) -> None:
        self.bands = preset.bands_of(names)
        self._preset, self._layers = preset, names
        self._spoken = [drive for drive in preset.drives if drive.drives == "voice"]
        self._brighter = [drive for drive in preset.drives if drive.drives == "brightness"]
        self._timing = [drive for drive in preset.drives if drive.drives == "tempo"]
        self.names = [band.name for band in self.bands]
        self.names += [drive.value for drive in self._spoken]
        voices, count = preset.programs, len(self.bands)
        self.programs: tuple[Program, ...] = (
            *(voices[band % len(voices)] for band in range(count)),
            *(find_voice(drive.voice) for drive in self._spoken),
            program_of(clang),
        )
        self._pitches = [
            _transposed(preset.pitch, preset.register * k) for k in range(count)
        ]
        self._usual = RunningMedian(count)
        self._noted: dict[str, float] = {}  # values, as last

    def longer(self, moments: Sequence[Moment]) -> NDArray[np.float64]:
        """How many times as long as usual moments are, if they are the next ones, (S,).

        0 where the run has no step, so that others set the pace.
        """
        times = np.array([float(moment.present) for moment in moments])
        for drive in self._timing:
            times *= drive.lasting(drive.places(self._values(moments, drive.value)))
        return times

    def hear(self, moments: Sequence[Moment]) -> TrackStates:
        """What the next moments sound."""
        steps = [moment.step for moment in moments]
        missing = np.stack([step.absent for step in steps])  # (S, L)
        norms, absent = band_norms(
            np.stack([step.norms for step in steps]), missing, self.bands
        )
        if self._preset.alarms:  # which tell of skipped steps
            skipped = np.array([step.skipped for step in steps])
            absent = absent | (skipped[:, None] & ~np.isfinite(norms))
        lost = ~(np.isfinite(norms) | absent)
        good = ~(lost | absent)
        usual = self._usual_of(np.where(good, norms, np.nan))
        running = self._preset.baseline == "running"
        against = 10.0**usual if running else np.ones_like(usual)
        sound = np.where(good, norms, 1.0)  # a number, whatever it is
        hertz = self._hertz(sound / against)
        beside = np.full(hertz.shape, np.nan)
        if self._preset.clipping and any(step.raw is not None for step in steps):
            unclipped = np.stack([step.unclipped for step in steps])
            raw, _ = band_norms(unclipped, missing, self.bands)
            with np.errstate(invalid="ignore"):
                clipped = good & np.isfinite(raw) & (raw > _UNISON * norms)
            raised = self._hertz(np.where(clipped, raw, 1.0) / against)
            beside[clipped] = raised[clipped]
        hertz[lost] = np.where(np.isnan(norms[lost]), _NAN, _INFINITE)
        with np.errstate(divide="ignore"):
            decades = np.log10(sound)
        controls = {
            "norm": np.clip(0.5 + decades / _DECADES, 0, 1),
            "deviation": np.clip(decades - usual, -1, 1),
        }
        for drive in self._brighter:
            bright = 2 * drive.places(self._values(moments, drive.value)) - 1
            controls["deviation"][:] = np.nan_to_num(bright)[:, None]
        level = np.full(hertz.shape, self._preset.level)
        heard = TrackStates(~absent, lost, hertz, level, beside, controls)
        for drive in self._spoken:
            heard = self._with_value(heard, drive, moments)
        if self._preset.equal_loudness:
            self._equalise(heard)
        return heard

    def remember(self, moments: Sequence[Moment]) -> None:
        """Takes the values of moments for known, when they have been heard."""
        for moment in moments:
            self._noted |= moment.step.values

    def layers_by_track(self) -> list[tuple[str, tuple[int, ...]]]:
        """The name of each line, and the layers that it gathers; none, if of a value."""
        layers = [band.layers for band in self.bands]
        layers += [()] * len(self._spoken)
        return [*zip(self.names, layers)]

    def described(self) -> list[str]:
        """What each line is: its name, and which layers it gathers if these are several."""
        described = self.names.copy()
        for k, band in enumerate(self.bands):
            if len(band.layers) > 1:
                layers = several([self._layers[layer] for layer in band.layers])
                described[k] += f" ({layers})"
        return described

    def state(self, moment: Moment) -> str:
        """Where a run is, in a line: the norms of the bands, and what was noted last."""
        step = moment.step
        norms, absent = band_norms(step.norms[None], step.absent[None], self.bands)
        told = [
            f"{band.name} {'no gradient' if none else format(float(norm), '.3g')}"
            for band, norm, none in zip(self.bands[:MOST], norms[0], absent[0])
        ]
        more = len(self.bands) - MOST
        told += [f"{more} more layers"] if more > 0 else []
        told += [f"{name} {value:.4g}" for name, value in step.values.items()]
        return f"step {step.number:,}: {', '.join(told)}"

    def _usual_of(self, norms: NDArray[np.float32]) -> NDArray[np.float64]:
        """What bands' norms usually are, in decades, where something asks for it."""
        needed = self._preset.baseline == "running" or any(
            "deviation" in program.inputs for program in self.programs
        )
        if not needed:
            return np.zeros(norms.shape)
        with np.errstate(divide="ignore"):
            decades = np.log10(norms)
        usual = self._usual.medians(decades).astype(np.float64)
        # Where nothing is known, a norm is as usual: it is where its median would be.
        return np.where(np.isnan(usual), np.nan_to_num(decades, neginf=0.0), usual)

    def _hertz(self, norms: NDArray[np.floating]) -> NDArray[np.float64]:
        columns = [pitch.hertz(norms[:, k]) for k, pitch in enumerate(self._pitches)]
        return np.stack(columns, axis=1)

    def _values(self, moments: Sequence[Moment], name: str) -> NDArray[np.float64]:
        """A value at every moment, as noted last, shape (S,); NaN where there is none."""
        last, values = self._noted.get(name, np.nan), []
        for moment in moments:
            last = moment.step.values.get(name, last)
            values.append(last if moment.present else np.nan)
        return np.array(values)

    def _with_value(
        self, heard: TrackStates, drive: Drive, moments: Sequence[Moment]
    ) -> TrackStates:
        """With a further line, of a value."""
        places = drive.places(self._values(moments, drive.value))[:, None]
        level = np.full(places.shape, self._preset.level)
        nothing = np.full(places.shape, np.nan)
        new = {"norm": np.nan_to_num(places), "deviation": np.zeros(places.shape)}
        return TrackStates(
            np.hstack([heard.present, ~np.isnan(places)]),
            np.hstack([heard.lost, np.zeros(places.shape, bool)]),
            np.hstack([heard.hertz, drive.hertz(places)]),
            np.hstack([heard.level, level]),
            np.hstack([heard.beside, nothing]),
            {name: np.hstack([heard.controls[name], new[name]]) for name in new},
        )

    def _equalise(self, heard: TrackStates) -> None:
        """Makes all lines as loud as each other."""
        *programs, lost = self.programs
        for line, program in enumerate(programs):
            heard.level[:, line] *= gains(program, heard.hertz[:, line])
        heard.level[heard.lost] = self._preset.level * gains(lost, heard.hertz[heard.lost])


def _transposed(pitch: Pitch, semitones: float) -> Pitch:
    times = 2 ** (semitones / 12)
    if isinstance(pitch, LogPitch):
        return replace(pitch, anchor=pitch.anchor * times)
    return replace(pitch, base=pitch.base * times, slope=pitch.slope * times)
