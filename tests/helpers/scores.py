"""Scores for tests: single notes, whole runs, and a preset of plain numbers."""

from dataclasses import replace

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.alarm_sounds import ALARM_SOUNDS
from gradsound.music.composer import Composer
from gradsound.music.moments import Moment
from gradsound.music.pitch import LogPitch
from gradsound.music.presets import PRESETS, Preset
from gradsound.runs.model import Run
from gradsound.runs.step_block import make_block
from gradsound.synth.mixer import Mixer
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices.builtin import Voice, find_voice
from gradsound.synth.voices.program import CONTROLS

END = round(44_100 * ALARM_SOUNDS["end"].duration)  # frames of the end alarm
# Bands in turn on one channel, so that each pitch and level follows from one field.
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
    """Returns one note: 1 s at level 1/3 with fades of 2 ms, except for the changes."""
    notes = np.zeros(1, NOTE)
    fields = {"duration": 1.0, "level": 1 / 3, "fade": 0.002, "hertz": hertz} | changes
    for name, value in fields.items():
        field = (
            notes["controls"][:, CONTROLS.index(name)] if name in CONTROLS else notes[name]
        )
        field[:] = value
    return notes


def score(
    *notes: np.ndarray,
    duration: float = 1.0,
    voice: Voice = "sine",
    others: tuple[Voice, ...] = (),
) -> Score:
    """Returns the score of one step with some notes."""
    voices = tuple(map(find_voice, (voice, *others)))
    return Score(voices, np.concatenate([np.zeros(0, NOTE), *notes]), np.array([duration]))


def make_moments(run: Run, preset: Preset) -> list[Moment]:
    """Returns the steps of a run with their alarms."""
    steps = [*run.steps]
    alarms = RunDetector(run.header, preset.thresholds).detect(make_block(steps))
    return [
        Moment(step.number, step, its_alarms) for step, its_alarms in zip(steps, alarms)
    ]


def compose(composer: Composer, moments: list[Moment], begin: float) -> Score:
    """Returns the score of a run's next moments, from a time in seconds on."""
    durations = composer.layout.duration * composer.duration_factors(moments)
    begins = np.add.accumulate([begin, *durations])[:-1]
    return composer.compose(moments, begins, durations)


def compose_run(run: Run, preset: Preset) -> Score:
    """Returns the score of a whole run, without its end."""
    composer = Composer(run.header.layers, preset)
    return compose(composer, make_moments(run, preset), 0.0)


def play_run(
    run: Run, preset: Preset, sample_rate: int, moments_at_once: int = 1
) -> np.ndarray:
    """Returns the samples of a run and its end, composed so many moments at a time."""
    composer, moments = Composer(run.header.layers, preset), make_moments(run, preset)
    mixer, blocks = Mixer(sample_rate, preset.channels), []
    for k in range(0, len(moments), moments_at_once):
        some = moments[k : k + moments_at_once]
        mixer.add(compose(composer, some, mixer.sequencer.next_start))
        blocks.append(mixer.read(mixer.frames_left))
    mixer.add(composer.finish([], mixer.sequencer.next_start))
    return np.concatenate([*blocks, mixer.read(mixer.frames_left)])
