"""Live sound has its pitches where the norms lie, though it does not know the run's end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
from helpers.runs import make_run

from gradsound import PRESETS
from gradsound.live.conductor import Conductor
from gradsound.music.anchor import fit_anchor
from gradsound.runs.model import Run
from gradsound.synth.sequencer import Sequencer
from gradsound.web.on_demand_stream import OnDemandStream

PLAIN = replace(PRESETS["notes"], alarms=0.0)
SENTENCE = "1 octave = factor 10; norm 1e5 is C4"


def play(run: Run, *, live: bool) -> tuple[list[float], list[str]]:
    """Returns the pitches of all notes and the captions about pitch."""
    conductor = Conductor(run, PLAIN, live=live, hold=0.1)
    sequencer, pitches = Sequencer(44_100, 2), []
    conductor.start()
    while not conductor.finished:
        for passage in conductor.next_passages(sequencer):
            pitches += passage.score.notes["hertz"][:, 0].tolist()
            sequencer.schedule(passage.score)
        sequencer.frame += sequencer.frames_left or 441
    captions = [one for one in conductor.composer.captions if one.kind == "pitch"]
    return pitches, [f"{one.step}: {one.text}" for one in captions]


def test_live_sound_moves_at_the_first_step() -> None:
    """A training with norms of 2e5 is not held at the top of the range."""
    pitches, captions = play(make_run([[2e5]] * 30), live=True)

    np.testing.assert_allclose(pitches, 261.6 * 2 ** np.log10(2))
    assert captions == [f"0: {SENTENCE}"]


def test_playback_of_a_pipe_follows_the_norms() -> None:
    """Standard input cannot be read twice, so its anchor moves on the way."""
    run = make_run([[1.0]] * 4 + [[2e6]] * 60)
    piped = replace(run, steps=iter([*run.steps]))
    pitches, captions = play(piped, live=False)

    assert max(pitches[4:15]) == 2637.0
    assert len(pitches) == 64
    assert [caption.partition(":")[0] for caption in captions] == ["15"]


def test_playback_of_a_finished_run_keeps_the_anchor_that_it_got() -> None:
    """The caller fits the anchor to the whole run; nothing moves on the way."""
    pitches, captions = play(make_run([[1.0]] * 4 + [[2e6]] * 60), live=False)

    assert max(pitches[4:]) == 2637.0
    assert not captions


def test_a_page_of_a_finished_run_gets_the_pitches_of_its_whole() -> None:
    """From any step, a page hears the same pitch for a norm, and reads which."""
    run = make_run([[2e5]] * 40)

    async def listen() -> list[str | bytes]:
        stream = OnDemandStream(run, PLAIN)
        sent: list[str | bytes] = []

        class Page:
            since, path = -1, ()
            send = staticmethod(sent.append)

            @staticmethod
            async def messages():
                yield {"kind": "play", "from": 35}
                while not any("over" in text for text in sent if isinstance(text, str)):
                    await asyncio.sleep(0.01)

        running = asyncio.create_task(stream.run())
        await asyncio.wait_for(stream.serve_listener(Page()), 20)
        running.cancel()
        return sent

    texts = [message for message in asyncio.run(listen()) if isinstance(message, str)]
    (caption,) = [text for text in texts if '"pitch"' in text]
    assert SENTENCE in caption
    assert fit_anchor(PLAIN, [run]).pitch.norm == 1e5
