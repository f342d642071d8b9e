"""The mixer: blocks of any size and scores in any parts make the same samples."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run
from helpers.scores import compose_run, note, play_run, score

from gradsound.music.presets import PRESETS, Preset, at_speed
from gradsound.synth.kernels import llvm_kernel
from gradsound.synth.mixer import Mixer, render

RATE = 44_100
RUN = make_run([[1.0, 2.0, 0.5], [float("nan"), 3.0, 1.0], [0.1, float("inf"), 9.0]])


def abrupt(hertz: float, onset: float, duration: float) -> np.ndarray:
    """Returns a note without fades."""
    return note(hertz, onset=onset, duration=duration, level=0.3, fade=0.0)


@pytest.mark.parametrize("frames", [1, 63, 64, 441, 512, 8193])
@pytest.mark.parametrize("change", [{}, {"voice": "bell", "spread": 1.0}])
def test_blocks_of_any_size_are_the_whole(frames: int, change: dict[str, object]) -> None:
    """Blocks together equal the render of consecutive steps, in mono and in stereo."""
    preset = replace(at_speed(PRESETS["notes"], 1.7), **change)
    run_score = compose_run(RUN, preset)
    whole = render(run_score, RATE, preset.channels)
    mixer = Mixer(RATE, preset.channels)
    mixer.add(run_score)
    blocks = []
    while mixer.frames_left:
        blocks.append(mixer.read(frames))
    joined = np.concatenate(blocks)

    assert all(block.shape == (frames, preset.channels) for block in blocks)
    assert len(joined) - len(whole) in range(frames)
    assert np.array_equal(joined[: len(whole)], whole)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
@pytest.mark.parametrize("together", [1, 7])
def test_steps_one_by_one_are_the_whole(preset: Preset, together: int) -> None:
    """Every texture, with alarms and glides, has the same samples in parts and whole."""
    rng = np.random.default_rng(3)
    norms = 10 ** rng.normal(0, 0.3, (90, 5))
    norms[50], norms[60:64, 2], norms[70:, 1] = 1e4, np.nan, 0
    run = make_run(norms.tolist())
    whole = play_run(run, preset, RATE, moments_at_once=len(norms))

    np.testing.assert_array_equal(play_run(run, preset, RATE, together), whole)


def test_numpy_renders_until_voices_are_compiled() -> None:
    """Playing does not wait for the compiler, and its kernel has the same samples."""
    compiler_may_end, kernels = threading.Event(), []

    def slow_kernel(program, channels: int):
        assert compiler_may_end.wait(10)
        kernels.append(llvm_kernel.make_kernel(program, channels))
        return kernels[-1]

    preset = replace(PRESETS["notes"], voice="organ")
    run_score = compose_run(RUN, preset)
    mixer = Mixer(RATE, 1, kernel=slow_kernel)
    programs = dict.fromkeys(run_score.voices[k] for k in run_score.notes["voice"])
    mixer.render_by_numpy(programs)
    compiler = threading.Thread(target=mixer.compile)
    compiler.start()
    mixer.add(run_score)
    blocks = [mixer.read(1000)]
    assert not kernels
    compiler_may_end.set()
    compiler.join()
    while mixer.frames_left:
        blocks.append(mixer.read(1000))
    played = np.concatenate(blocks)
    whole = render(run_score, RATE)

    assert len(kernels) == 2
    np.testing.assert_array_equal(played[: len(whole)], whole)


def test_a_kernel_is_made_at_its_first_event() -> None:
    """A voice without notes is not compiled, and one with many only once."""
    programs = []

    def counted_kernel(program, channels: int):
        programs.append((program.name, channels))
        return llvm_kernel.make_kernel(program, channels)

    mixer = Mixer(RATE, 2, kernel=counted_kernel)
    mixer.add(score(note(441.0, onset=0.5), duration=1.0, others=("organ",)))
    mixer.read(RATE // 4)
    assert programs == []
    mixer.read(RATE // 2)
    mixer.add(score(note(441.0), duration=1.0, others=("organ",)))
    mixer.read(RATE)
    assert programs == [("sine", 2)]


def test_a_late_score_begins_at_once() -> None:
    """The gap before a score that comes late is silent."""
    late = score(abrupt(441.0, 0.0, 0.01), duration=0.02)
    mixer = Mixer(RATE, 1)
    before = mixer.read(1000)
    mixer.add(late)
    after = mixer.read(1000)

    assert not before.any()
    assert np.array_equal(after[:882], render(late, RATE))
    assert after[:441].any()
    assert not after[441:].any()


def test_notes_that_overlap_add_up() -> None:
    """The order of notes in a score does not matter, nor the blocks between them."""
    both = score(abrupt(882.0, 0.01, 0.03), abrupt(441.0, 0.0, 0.05), duration=0.05)
    mixer = Mixer(RATE, 1)
    mixer.add(both)
    played = np.concatenate([mixer.read(100) for _ in range(23)])

    whole = render(both, RATE)
    assert np.abs(whole).max() > 0.5
    assert np.array_equal(played[: len(whole)], whole)
    assert not played[len(whole) :].any()


def test_a_note_may_outlast_its_score() -> None:
    """A note goes on beneath the next score, as a drone does."""
    long = score(abrupt(441.0, 0.0, 0.05), duration=0.02)
    mixer = Mixer(RATE, 1)
    mixer.add(long)
    first = mixer.read(882)
    mixer.add(score(duration=0.04))
    rest = mixer.read(1764)
    alone = render(score(abrupt(441.0, 0.0, 0.05), duration=0.06), RATE)

    assert np.array_equal(np.concatenate([first, rest]), alone)


def test_frames_left_are_those_before_the_last_scores_end() -> None:
    """They are never negative."""
    mixer = Mixer(RATE, 1)
    mixer.add(score(duration=0.02))
    mixer.read(441)

    assert mixer.sequencer.time == pytest.approx(0.01)
    assert mixer.sequencer.next_start == pytest.approx(0.02)
    assert mixer.frames_left == 441
    mixer.read(4410)
    assert mixer.frames_left == 0
    assert mixer.sequencer.next_start == mixer.sequencer.time
