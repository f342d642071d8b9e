"""What is played block by block is what is rendered whole."""

import numpy as np
import pytest
from conftest import make_run

from gradsound.music.mapping import compose
from gradsound.music.preset import PRESETS, at_speed
from gradsound.score import Note, Score
from gradsound.synth.mixer import Mixer
from gradsound.synth.render import render

RATE = 44_100
RUN = make_run([[1.0, 2.0, 0.5], [float("nan"), 3.0, 1.0], [0.1, float("inf"), 9.0]])


def note(hertz: float, onset: float, duration: float) -> Note:
    """A sine without edges."""
    return Note("sine", onset, duration, hertz, 0.3, 0.0)


@pytest.mark.parametrize("frames", [1, 63, 512, 8193])
@pytest.mark.parametrize("speed", [1.0, 1.7])
def test_blocks_of_any_size_are_the_whole(frames: int, speed: float) -> None:
    """To the last bit, for scores that follow each other."""
    preset = at_speed(PRESETS["notes"], speed)
    scores = [compose(step, preset) for step in list(RUN.steps) * 3]
    whole = render(scores, RATE)
    mixer = Mixer(RATE)
    blocks, waiting = [], [*scores]
    while waiting or mixer.ahead > 0:
        while waiting and mixer.ahead < frames / RATE:
            mixer.add(waiting.pop(0))
        blocks.append(mixer.read(frames))
    played = np.concatenate(blocks)

    assert all(block.shape == (frames, 1) for block in blocks)
    assert len(played) - len(whole) in range(frames)
    assert np.array_equal(played[: len(whole)], whole)
    assert not played[len(whole) :].any()


def test_a_score_that_comes_late_begins_at_once() -> None:
    """What was silent meanwhile stays silent."""
    score = Score((note(441.0, 0.0, 0.01),), 0.02)
    mixer = Mixer(RATE)
    before = mixer.read(1000)
    mixer.add(score)
    after = mixer.read(1000)

    assert not before.any()
    assert np.array_equal(after[:882], render([score], RATE))
    assert not after[441:].any()


def test_notes_that_overlap_add_up() -> None:
    """Whichever began first."""
    score = Score((note(882.0, 0.01, 0.03), note(441.0, 0.0, 0.05)), 0.05)
    mixer = Mixer(RATE)
    mixer.add(score)
    played = np.concatenate([mixer.read(100) for _ in range(23)])

    whole = render([score], RATE)
    assert np.abs(whole).max() > 0.5
    assert np.allclose(played[: len(whole)], whole, atol=1e-7)
    assert not played[len(whole) :].any()


def test_it_says_how_far_ahead_it_is() -> None:
    """In seconds, and never less than none."""
    mixer = Mixer(RATE)
    mixer.add(Score((), 0.02))
    mixer.read(441)

    assert mixer.now == pytest.approx(0.01)
    assert mixer.ahead == pytest.approx(0.01)
    mixer.read(4410)
    assert mixer.ahead == 0.0
