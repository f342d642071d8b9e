"""What is played block by block is what is rendered whole."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import composed, note, played, score

from gradsound.music.presets import PRESETS, Preset, at_speed
from gradsound.synth import mixer as mixing
from gradsound.synth.kernels import llvm_kernel
from gradsound.synth.mixer import Mixer, render

RATE = 44_100
RUN = make_run([[1.0, 2.0, 0.5], [float("nan"), 3.0, 1.0], [0.1, float("inf"), 9.0]])


def blunt(hertz: float, onset: float, duration: float) -> np.ndarray:
    """A sine without edges."""
    return note(hertz, onset=onset, duration=duration, level=0.3, fade=0.0)


@pytest.mark.parametrize("frames", [1, 63, 64, 441, 512, 8193])
@pytest.mark.parametrize("change", [{}, {"voice": "bell", "spread": 1.0}])
def test_blocks_of_any_size_are_the_whole(frames: int, change: dict[str, object]) -> None:
    """To the last bit, for steps that follow each other, on one channel or two."""
    preset = replace(at_speed(PRESETS["notes"], 1.7), **change)
    scored = composed(RUN, preset)
    whole = render(scored, RATE, preset.channels)
    mixer = Mixer(RATE, preset.channels)
    mixer.add(scored)
    blocks = []
    while mixer.left:
        blocks.append(mixer.read(frames))
    heard = np.concatenate(blocks)

    assert all(block.shape == (frames, preset.channels) for block in blocks)
    assert len(heard) - len(whole) in range(frames)
    assert np.array_equal(heard[: len(whole)], whole)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
@pytest.mark.parametrize("together", [1, 7])
def test_steps_one_by_one_are_the_whole(preset: Preset, together: int) -> None:
    """To the last bit, in every texture, with alarms and where pitches glide."""
    rng = np.random.default_rng(3)
    norms = 10 ** rng.normal(0, 0.3, (90, 5))
    norms[50], norms[60:64, 2], norms[70:, 1] = 1e4, np.nan, 0
    run = make_run(norms.tolist())
    wanted = played(run, preset, RATE, together=len(norms))

    np.testing.assert_array_equal(played(run, preset, RATE, together), wanted)


def test_numpy_plays_until_voices_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for that, and where one takes over from the other nobody hears."""
    wait, made = threading.Event(), []

    def slowly(program, channels: int):
        assert wait.wait(10)
        made.append(llvm_kernel.kernel(program, channels))
        return made[-1]

    monkeypatch.setattr(mixing, "kernel", slowly)
    preset = replace(PRESETS["notes"], voice="organ")
    scored = composed(RUN, preset)
    mixer = Mixer(RATE, 1)
    used = dict.fromkeys(scored.voices[k] for k in scored.notes["voice"])
    compiler = mixer.warm(used)
    compiler.start()
    mixer.add(scored)
    blocks = [mixer.read(1000)]
    assert not made
    wait.set()
    compiler.join()
    while mixer.left:
        blocks.append(mixer.read(1000))
    monkeypatch.undo()
    played = np.concatenate(blocks)

    assert len(made) == 2
    np.testing.assert_array_equal(played[: len(render(scored, RATE))], render(scored, RATE))


def test_a_score_that_comes_late_begins_at_once() -> None:
    """What was silent meanwhile stays silent."""
    late = score(blunt(441.0, 0.0, 0.01), duration=0.02)
    mixer = Mixer(RATE, 1)
    before = mixer.read(1000)
    mixer.add(late)
    after = mixer.read(1000)

    assert not before.any()
    assert np.array_equal(after[:882], render(late, RATE))
    assert after[:441].any()
    assert not after[441:].any()


def test_notes_that_overlap_add_up() -> None:
    """Whichever began first."""
    both = score(blunt(882.0, 0.01, 0.03), blunt(441.0, 0.0, 0.05), duration=0.05)
    mixer = Mixer(RATE, 1)
    mixer.add(both)
    played = np.concatenate([mixer.read(100) for _ in range(23)])

    whole = render(both, RATE)
    assert np.abs(whole).max() > 0.5
    assert np.array_equal(played[: len(whole)], whole)
    assert not played[len(whole) :].any()


def test_it_says_how_far_ahead_it_is() -> None:
    """In frames, and never less than none."""
    mixer = Mixer(RATE, 1)
    mixer.add(score(duration=0.02))
    mixer.read(441)

    assert mixer.placer.now == pytest.approx(0.01)
    assert mixer.left == 441
    mixer.read(4410)
    assert mixer.left == 0
