"""A run with signals sounds live, and from any step on, as it is rendered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run, with_signals
from helpers.scores import compose_run

import gradsound
from gradsound import PRESETS
from gradsound.live.conductor import Conductor
from gradsound.runs.model import Run
from gradsound.synth.sequencer import Sequencer

NOTES = replace(PRESETS["notes"], alarms=0.0)
RANDOM = np.random.default_rng(28)


NORMS = RANDOM.lognormal(0, 1, (20, 3)).tolist()
RATIOS, SNRS = RANDOM.lognormal(-6, 2, (20, 3)), RANDOM.uniform(0, 0.5, (20, 3))
RATIOS[np.arange(20) % 4 > 0] = np.nan  # measured at every fourth step
SIGNALS = {"update_ratio": RATIOS.__getitem__, "snr": SNRS.__getitem__}


def play(run: Run, first_step: int = 0) -> list[np.ndarray]:
    """Returns the notes of each step that is played; nobody waits for the sound."""
    conductor = Conductor(run, NOTES, live=False, hold=0.1, first_step=first_step)
    sequencer, played = Sequencer(44_100, 2), []
    conductor.start()
    while not conductor.finished:
        for passage in conductor.next_passages(sequencer):
            played.append(passage.score.notes)
            sequencer.schedule(passage.score)
        sequencer.frame += sequencer.frames_left or 441
    return played


@pytest.mark.parametrize("first_step", [0, 7])
def test_playback_sounds_as_the_file(first_step: int) -> None:
    """The last ratio holds from before the step at which a listener begins."""
    made = with_signals(make_run(NORMS), **SIGNALS)
    rendered = compose_run(made, NOTES).notes
    *played, _ = play(made, first_step)

    assert len(played) == 20 - first_step
    fields = [name for name in rendered.dtype.names if name != "step"]
    for step, notes in enumerate(played, first_step):
        expected = rendered[rendered["step"] == step]
        order = np.lexsort((expected["track"], expected["slot"]))
        same = np.lexsort((notes["track"], notes["slot"]))
        np.testing.assert_array_equal(notes[same][fields], expected[order][fields])
        assert len(notes) == 6  # each note has breath


def test_a_run_file_sounds_as_its_run(tmp_path: Path, save) -> None:
    """Signals that were written and read sound as those in memory, and differ from none."""
    sources = {
        "file": save(NORMS, signals=SIGNALS),
        "memory": with_signals(make_run(NORMS), **SIGNALS),
        "none": make_run(NORMS),
    }
    sounds = {}
    for name, source in sources.items():
        gradsound.render(source, tmp_path / f"{name}.wav")
        sounds[name] = (tmp_path / f"{name}.wav").read_bytes()

    assert sounds["file"] == sounds["memory"] != sounds["none"]
