"""Scores for tests: notes by the names of what is not usual of them."""

from dataclasses import replace

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment
from gradsound.music.pitch import LogPitch
from gradsound.music.presets import PRESETS, Preset
from gradsound.runs.model import Run
from gradsound.synth.mixer import Mixer
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices.builtin import Voice, find_voice
from gradsound.synth.voices.program import CONTROLS

END = round(44_100 * ALARM_SOUNDS["end"].duration)  # frames that tell that a run is over
# One after the other, on one channel, at the pitches and levels that numbers say.
PLAIN = replace(
    PRESETS["notes"],
    pitch=LogPitch(anchor=440.0, semitones=12.0, lowest=65.4, highest=2093.0),
    voice="soft",
    level=0.2,
    spread=0.0,
    register=0.0,
    alarms=0.0,
    equal_loudness=False,
)


def note(hertz: float | tuple[float, float], **changes: object) -> np.ndarray:
    """One note: a second at level 1/3 with edges of 2 ms, but for what is given."""
    made = np.zeros(1, NOTE)
    given = {"duration": 1.0, "level": 1 / 3, "fade": 0.002, "hertz": hertz} | changes
    for name, value in given.items():
        field = (
            made["controls"][:, CONTROLS.index(name)] if name in CONTROLS else made[name]
        )
        field[:] = value
    return made


def score(
    *notes: np.ndarray,
    duration: float = 1.0,
    voice: Voice = "sine",
    others: tuple[Voice, ...] = (),
) -> Score:
    """A step of some notes."""
    voices = tuple(map(find_voice, (voice, *others)))
    together = np.concatenate([np.zeros(0, NOTE), *notes])
    return Score(voices, together, np.array([duration]))


def moments(run: Run, preset: Preset) -> list[Moment]:
    """The steps of a run as they are looked at."""
    steps = [*run.steps]
    alarms = RunDetector(run.header.layers, preset.thresholds).look(steps)
    return [Moment(step.number, step, found) for step, found in zip(steps, alarms)]


def composed(run: Run, preset: Preset) -> Score:
    """The score of a whole run, without its end."""
    composer, made = Composer(run.header.layers, preset), moments(run, preset)
    durations = composer.layout.duration * composer.longer(made)
    begins = np.add.accumulate([0.0, *durations])[:-1]
    return composer.compose(made, begins, durations)


def played(run: Run, preset: Preset, rate: int, together: int = 1) -> np.ndarray:
    """The samples of a run and its end, composed so many moments at a time."""
    composer, waiting = Composer(run.header.layers, preset), moments(run, preset)
    mixer, blocks = Mixer(rate, preset.channels), []
    while waiting:
        some, waiting = waiting[:together], waiting[together:]
        durations = composer.layout.duration * composer.longer(some)
        begins = np.add.accumulate([mixer.placer.end, *durations])[:-1]
        mixer.add(composer.compose(some, begins, durations))
        blocks.append(mixer.read(mixer.left))
    mixer.add(composer.finish([], mixer.placer.end))
    return np.concatenate([*blocks, mixer.read(mixer.left)])
