"""What a browser makes of the server's events is what the mixer renders, to the last bit.

In a real Chromium, under the page's own policy: no code but what is served, no eval.
"""

import base64
import math
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from helpers.events import by_chance
from helpers.scores import composed, note, score

from gradsound import read_run
from gradsound.music.presets import PRESETS
from gradsound.runs.model import Run
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import javascript, numpy_kernel
from gradsound.synth.limiter import limited
from gradsound.synth.mixer import render
from gradsound.synth.score import Score
from gradsound.synth.sequencer import Sequencer
from gradsound.synth.voices.builtin import VOICES, Voice, clang, find_voice, program_of
from gradsound.synth.voices.program import ROOM, Program, evaluate
from gradsound.synth.voices.tracer import trace
from gradsound.web import messages

RATE = 44_100
MARGIN = 882  # frames that the page is behind the server
FADE = 256  # frames, in whole quanta, that it fades out for, and in
LATER = 128 * 300  # frame at which something is told
RUN = Path(__file__).parents[3] / "samples/runs/3-sgd-lr1-batch10.jsonl"
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'"
SERVED = Path(messages.__file__).with_name("page")
EACH = pytest.mark.parametrize("voice", [*VOICES.values(), clang], ids=lambda v: v.__name__)

_RESULT = (("select", 3, 1.0, 0.0),)  # of a truth
# Of phase and dt, which are any numbers, and time, which is a whole one within -126..127.
OPERATIONS = {
    **{name: ((name, 0, 1),) for name in ("add", "sub", "mul", "div")},
    **{name: ((name, 0),) for name in ("abs", "sqrt", "floor", "rint", "trunc")},
    **{name: ((name, 0, 1), *_RESULT) for name in ("lt", "le", "eq")},
    "exp2i": (("exp2i", 2),),
    "whole": (("rint", 0), ("eq", 3, 0), ("select", 4, 1.0, 0.0)),
    "not": (("lt", 0, 1), ("not", 3), ("select", 4, 1.0, 0.0)),
    "select": (("lt", 0, 1), ("select", 3, 0, 1)),
    **{
        name: (("lt", 0, 1), ("lt", 0.1, 1), (name, 3, 4), ("select", 5, 0, -0.0))
        for name in ("and", "or")
    },
    "third": (("mul", 0, 1 / 3), ("sub", -1e-45, 3), ("add", 4, 1e30)),
    "infinite": (("div", 0, float("inf")), ("add", 3, float("-inf"))),
}

PAGE = b'<!doctype html><title>test</title><script type="module" src="test.js"></script>'
# Renders, and stops at frames to give the synthesizer messages; goes on once it has them.
TEST = rb"""
import { Sound } from "./sound.js";

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const text = (floats) => {
  const all = new Uint8Array(floats.buffer);
  let made = "";
  for (let k = 0; k < all.length; k += 8192) {
    made += String.fromCharCode(...all.subarray(k, k + 8192));
  }
  return btoa(made);
};

window.Sound = Sound;
window.bytes = bytes;
window.render = async ([frames, rate, schedule, live]) => {
  const context = new OfflineAudioContext(2, frames, rate);
  for (const file of ["probe.js", "worklet.js", "voices.js"]) {
    await context.audioWorklet.addModule(file);
  }
  const node = new AudioWorkletNode(context, "gradsound", {
    numberOfInputs: 0,
    outputChannelCount: [2],
    processorOptions: { live },
  });
  node.connect(context.destination);
  const said = [];
  let answered;
  node.port.onmessage = ({ data }) => (data.pong ? answered() : said.push(data));
  for (const [frame, given] of schedule) {
    context.suspend(frame / rate).then(async () => {
      for (const one of given) {
        node.port.postMessage(one.events ? { events: bytes(one.events) } : one);
      }
      await new Promise((resolve) => {
        answered = resolve;
        node.port.postMessage({ ping: true });
      });
      context.resume();
    });
  }
  const made = await context.startRendering();
  return [text(made.getChannelData(0)), text(made.getChannelData(1)), said];
};

// What each program makes of the same numbers, in this thread.
window.evaluate = async ([given, count]) => {
  await import("./voices.js");
  const inputs = Object.fromEntries(
    Object.entries(given).map(([name, floats]) => [name, new Float32Array(bytes(floats))]),
  );
  return globalThis.gradsoundVoices.map((voice) => {
    const out = new Float32Array(count);
    voice.evaluate(count, inputs, out);
    return text(out);
  });
};
"""
# Has the synthesizer answer when it has had the messages before.
PROBE = b"""
const register = globalThis.registerProcessor;
globalThis.registerProcessor = (name, Processor) => {
  register(name, class extends Processor {
    constructor(options) {
      super(options);
      const receive = this.port.onmessage;
      this.port.onmessage = (message) => {
        if (message.data.ping) this.port.postMessage({ pong: true });
        else receive(message);
      };
    }
  });
};
"""

# Listens to the sound's module; waits for what it tells by the browser's clock.
LISTEN = """
async ([rate, tones]) => {
  let analyser;
  let contexts = 0;
  window.AudioContext = class extends AudioContext {
    constructor(options) {
      super(options);
      contexts += 1;
    }
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to) {
    if (to instanceof AudioDestinationNode) {
      analyser = new AnalyserNode(this.context);
      connect.call(this, analyser);
    }
    return connect.call(this, to);
  };
  const loudest = () => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    return Math.max(...samples);
  };
  const until = async (done) => {
    const end = performance.now() + 20000;
    while (!done()) {
      if (performance.now() > end) throw new Error(`not within 20 s: ${done}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const later = async () => {
    const reached = sound.frame + 0.2 * rate;
    await until(() => sound.frame > reached);
    return loudest();
  };
  const sound = new Sound({ sample_rate: rate, live: true });
  await sound.stop();
  sound.clear();
  sound.silence(1, true);
  sound.silence(1, false);
  sound.events(bytes(tones));
  const before = [sound.running, sound.frame];
  await Promise.all([sound.start(), sound.start()]);
  await sound.start();
  const running = [sound.running];
  sound.events(bytes(tones));
  const unknown = [sound.frame];
  await until(() => Number.isFinite(sound.frame));
  const levels = {}, frames = [sound.frame];
  levels.both = await later();
  sound.volume = 0.5;
  levels.half = await later();
  sound.volume = 1;
  sound.silence(1, true);
  levels.one = await later();
  sound.muted = true;
  levels.muted = await later();
  sound.muted = false;
  frames.push(sound.frame);
  sound.events(bytes(tones), sound.frame + 1);
  frames.push(sound.frame);
  sound.events(bytes(tones), sound.frame - 1);
  unknown.push(sound.frame);
  await until(() => Number.isFinite(sound.frame));
  running.push(sound.running);
  await sound.stop();
  running.push(sound.running);
  const stopped = sound.frame;
  await sound.start();
  running.push(sound.running);
  sound.stop();
  return { before, contexts, running, levels, frames, unknown, stopped };
}
"""


class Site:
    """A page served on this machine, and Chromium that has it open."""

    def __init__(self, browser) -> None:
        files = {"/": PAGE, "/test.js": TEST, "/probe.js": PROBE}
        files |= {f"/{path.name}": path.read_bytes() for path in SERVED.iterdir()}
        self.files = files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                self.send_response(200 if body is not None else 404)
                kind = "text/html" if self.path == "/" else "text/javascript"
                self.send_header("Content-Type", kind)
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Security-Policy", POLICY)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.page = browser.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: self.wrong.append(message.text))

    def open(self, programs: Sequence[Program]) -> None:
        self.files["/voices.js"] = javascript.module(programs).encode()
        self.page.goto(self.address)

    def render(
        self,
        frames: int,
        schedule: Sequence[tuple[int, Sequence[object]]],
        *,
        live: bool = True,
    ) -> tuple[np.ndarray, list[dict[str, float]]]:
        """Samples, shape (N, 2), and what was said, of messages given at frames."""
        given = [(frame, [*map(wired, some)]) for frame, some in schedule]
        left, right, said = self.page.evaluate("render", [frames, RATE, given, live])
        return np.stack([floats(left), floats(right)], axis=1), said


def wired(message: object) -> object:
    if isinstance(message, bytes):
        return {"events": base64.b64encode(message).decode()}
    return message


def encoded(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.astype(np.float32).tobytes()).decode()


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float32)


@pytest.fixture(scope="module")
def _site(browser) -> Iterator[Site]:
    site = Site(browser)
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.page.close()
    site.server.shutdown()
    thread.join()
    site.server.server_close()


@pytest.fixture
def site(_site: Site) -> Iterator[Site]:
    yield _site
    wrong, _site.wrong[:] = _site.wrong[:], []
    assert not wrong


def message(
    events: np.ndarray,
    now: int = 0,
    voices: object = 0,
    lines: object = -1,
    begin: int = 0,
) -> bytes:
    """Events as they go over the wire."""
    each = (
        np.broadcast_to(np.asarray(numbers), len(events)) for numbers in (voices, lines)
    )
    return messages.events(events, *each, now, begin, None)


def sounded(events: np.ndarray, frames: int, voice: Voice = "sine") -> np.ndarray:
    """The samples of events of one voice by numpy, shape (N, 2)."""
    events = events[np.lexsort((events["slot"], events["first"]))]  # as the mixer adds them
    out = np.zeros((2, frames + ROOM), np.float32)
    numpy_kernel.kernel(find_voice(voice), 2)(out, 0, 1 / RATE, events)
    return limited(out[:, :frames].T)


def drone(first: int, count: int, hertz: float = 441.0) -> np.ndarray:
    """A tone so long that a step or a cut of it would click."""
    made = np.zeros(1, EVENT)
    made["first"], made["count"], made["fade"] = first, count, 441
    made["increment"], made["gain"], made["pan"] = hertz / RATE * 2**32, 1 / 3, (1, 2 / 3)
    return made


def assert_at(
    heard: np.ndarray, start: int, end: int, whole: np.ndarray, frame: int
) -> None:
    """From start to end, what is heard is the whole from a frame on."""
    np.testing.assert_array_equal(heard[start:end], whole[frame : frame + end - start])


def assert_smooth(samples: np.ndarray, hertz: float = 441.0) -> None:
    """No step from a sample to the next that a third of a sine and a fade do not have."""
    steepest = 1 / 3 * (2 * np.pi * hertz / RATE + 1.5 / 220)
    assert np.abs(np.diff(samples, axis=0)).max() < steepest


def assert_plays(site: Site, scored: Score, channels: int) -> None:
    """The page sounds as a score, which it is told a second ahead, as a server does."""
    programs = [*dict.fromkeys(scored.voices)]
    numbers = np.array([programs.index(voice) for voice in scored.voices])
    events = Sequencer(RATE, channels).place(scored)
    voices = numbers[scored.notes["voice"]]
    right = render(scored, RATE, channels)
    schedule = []
    for now in range(0, len(right), RATE // 4 // 128 * 128):
        first = events["first"] - now
        some = (first >= (RATE if now else 0)) & (first < RATE + RATE // 4 // 128 * 128)
        schedule.append((now, [message(events[some], now, voices[some])]))
    site.open(programs)
    heard, _ = site.render(MARGIN + len(right), schedule)

    assert np.abs(right).max() > 0.01
    assert not heard[:MARGIN].any()
    np.testing.assert_array_equal(
        heard[MARGIN:], np.broadcast_to(right, heard[MARGIN:].shape)
    )


@EACH
def test_a_browser_plays_what_numpy_does(voice, site: Site) -> None:
    """300 events of any kind, those of one frame and those that glide."""
    made = by_chance(300)
    right = sounded(made, 20_700, program_of(voice))
    site.open([program_of(voice)])
    heard, _ = site.render(MARGIN + len(right), [(0, [message(made)])])

    assert np.abs(right).max() > 0.05
    np.testing.assert_array_equal(heard[MARGIN:], right)


def test_phases_are_whole_numbers_for_minutes(site: Site) -> None:
    """At the end of the longest event that there may be, they have wrapped as they do."""
    longest = 2**24
    made = drone(20_000 - longest, longest)
    made["glide"], made["phase"] = -1_234_567_891, 2**32 - 1
    site.open([find_voice("soft")])
    heard, _ = site.render(RATE, [(0, [message(made)])])

    assert_at(heard, MARGIN, RATE, sounded(made, RATE, "soft"), 0)
    assert np.abs(heard[10_000:20_000]).max() > 0.1


def test_voices_add_up_and_are_limited(site: Site) -> None:
    """As loud as nothing else: three voices, each far beyond the knee."""
    names = ("organ", "hiss", "growl")
    notes = [
        note((110.0, 440.0), voice=k, slot=5 * k, level=2.0, pan=k - 1, deviation=(-1, 1))
        for k in range(3)
    ]
    scored = score(*notes, voice=names[0], others=names[1:])

    assert np.abs(render(scored, RATE, 2)).max() > 0.95
    assert_plays(site, scored, 2)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_a_run_sounds_as_its_file(preset, site: Site) -> None:
    """Steps of the demo that diverges, with its alarms, in every preset."""
    run = read_run(RUN)
    scored = composed(Run(run.header, [*islice(run.steps, 24)], run.name), preset)

    assert_plays(site, scored, preset.channels)


def test_a_voice_of_ones_own_is_played(site: Site) -> None:
    """Where it makes what is no number, both are silent."""

    def own(phase, time, deviation, depth, noise):
        steps = np.rint(8 * phase) / 8 + np.trunc(3 * phase) * np.floor(phase)
        loud = (phase < 0.25) & ~(deviation <= 0.1) | (np.floor(4 * phase) == 1)
        power = np.exp2(3 * deviation - 4) + np.sqrt(np.abs(depth - phase))
        wrong = (time > 0.003) & (time < 0.006)  # between the times that are tried
        hole = np.where(wrong, (phase - phase) / (phase - phase), 0.0)
        return np.where(loud, steps, power) / 4 + noise / 16 + hole

    made = by_chance(40)
    made["count"], made["gain"] = 800, 1 / 3
    right = sounded(made, 20_700, own)
    site.open([trace(own)])
    heard, _ = site.render(MARGIN + len(right), [(0, [message(made)])])

    assert (right[:, 0] == 0).sum() > 1000
    assert np.abs(right).max() > 0.05
    np.testing.assert_array_equal(heard[MARGIN:], right)


def test_operations_are_those_of_numpy(site: Site) -> None:
    """Each by itself, to the last bit, of all that is a float32."""
    halves = np.arange(-9, 9, 0.5)
    edges = [
        0.0,
        2**22,
        2**23,
        2**24,
        2**31,
        2**32,
        2.0**106,
        3e38,
        1e-45,
        np.inf,
        np.nan,
        8388607.5,
    ]
    chance = np.random.default_rng(1).integers(0, 2**32, 4000, dtype=np.uint32)
    ones = np.concatenate([halves, edges, np.negative(edges), [0.49999997, -0.49999997]])
    a = np.concatenate([ones.astype(np.float32), chance.view(np.float32)])
    b = np.roll(a, 7)
    b[::3] = a[::3]  # equal
    given = {"phase": a, "dt": b}
    whole = np.resize(np.arange(-126, 128), len(a)).astype(np.float32)
    programs, right = [], []
    for name, operations in OPERATIONS.items():
        programs.append(Program(name, ("phase", "dt", "time"), operations))
        with np.errstate(all="ignore"):
            made = evaluate(programs[-1], given | {"time": whole})
        right.append(made.astype(np.float32))
    site.open(programs)
    sent = {name: encoded(x) for name, x in (given | {"time": whole}).items()}
    made = site.page.evaluate("evaluate", [sent, len(a)])

    for name, one, other in zip(OPERATIONS, map(floats, made), right):
        np.testing.assert_array_equal(one, other, err_msg=name)
        number = ~np.isnan(other)  # a NaN has no sign
        assert np.array_equal(np.signbit(one)[number], np.signbit(other)[number]), name


def test_nothing_of_a_name_is_code() -> None:
    """Of what users may choose, numbers alone are in the module."""
    hostile = "*/ }; globalThis.x = `${1}`; /*\n//</script>"
    plain = program_of(VOICES["bell"])
    named = Program(hostile, plain.inputs, plain.operations)

    assert javascript.module([named]) == javascript.module([plain])
    for inputs, operations in (
        ((hostile,), (("abs", 0),)),
        (("phase",), ((hostile, 0),)),
        (("phase",), (("add", 0, hostile),)),
    ):
        with pytest.raises((ValueError, KeyError, IndexError)):
            javascript.module([Program("hostile", inputs, operations)])


def test_what_comes_late_is_played_whole(site: Site) -> None:
    """The page steps back to before it, and stays so far behind; nothing clicks."""
    tone = np.concatenate([drone(0, 4 * RATE), drone(33_700, 1_000, 220.5)])
    late = drone(34_500, 8_820, 882.0)
    both = np.concatenate([tone, late])
    back = 34_500 - MARGIN
    site.open([find_voice("sine")])
    heard, said = site.render(
        2 * RATE, [(0, [message(tone)]), (LATER, [message(late, LATER)])]
    )

    assert_at(heard, MARGIN, LATER, sounded(tone, RATE), 0)
    assert_at(heard, LATER + 2 * FADE, 2 * RATE, sounded(both, 2 * RATE), back + FADE)
    assert_smooth(heard, 441.0 + 882.0 + 220.5)
    assert {"frame": back, "time": (LATER + FADE) / RATE, "taken": 2} in said


def test_what_comes_after_a_gap_is_not_waited_for(site: Site) -> None:
    """Messages that were held up for seconds, and come at once: the last says the time."""
    whole, later = drone(0, 9 * RATE), 4 * LATER
    held = range(later - 3 * RATE, later + 1, RATE // 4)
    burst = [message(drone(now + 441, 8_820, 882.0), now) for now in held]
    site.open([find_voice("sine")])
    heard, _ = site.render(5 * RATE, [(0, [message(whole)]), (later, burst)])
    notes = [drone(now + 441, 8_820, 882.0) for now in held]
    right = sounded(np.concatenate([whole, *notes]), 5 * RATE)
    begun = later + 2 * FADE

    assert_at(heard, begun, 5 * RATE, right, begun - MARGIN)
    assert_smooth(heard, 441.0 + 882.0)


def test_a_finished_run_goes_on_where_it_stopped(site: Site) -> None:
    """Messages that were held up for three seconds: nothing is passed over, then or later.

    They have been sent a second ahead; that before them still sounds when they begin.
    """
    apart, stalled, released = RATE // 2, 2 * RATE, 5 * RATE // 128 * 128
    notes = [drone(k * apart, apart + 8_820, 441.0 + 441.0 * (k % 2)) for k in range(34)]
    schedule: dict[int, list[bytes]] = {}
    for k, one in enumerate(notes):
        sent = max(0, k * apart - RATE) // 128 * 128
        come = released if stalled < sent < released else sent
        schedule.setdefault(come, []).append(message(one, sent, begin=k * apart))
    held = next(k for k in range(34) if stalled < k * apart - RATE) * apart
    site.open([find_voice("sine")])
    heard, _ = site.render(18 * RATE, [*schedule.items()], live=False)
    whole = sounded(np.concatenate(notes), 18 * RATE)
    back = held - MARGIN

    assert_at(heard, MARGIN, held + MARGIN, whole, 0)
    assert not heard[held + MARGIN + 8_820 : released].any()
    assert_at(heard, released + 2 * FADE, 18 * RATE, whole, back + FADE)
    assert_smooth(heard, 441.0 + 882.0)


def test_a_finished_run_that_is_begun_late_is_whole(site: Site) -> None:
    """What was cleared before may fade still while all of the new comes."""
    old, new = drone(0, 9 * RATE), [drone(k * RATE, RATE, 882.0) for k in range(5)]
    burst = [message(one, k * RATE, begin=k * RATE) for k, one in enumerate(new)]
    site.open([find_voice("sine")])
    told = [(0, [message(old)]), (LATER, [{"clear": True}, *burst])]
    heard, _ = site.render(3 * RATE, told, live=False)
    begun, whole = LATER + FADE + MARGIN, sounded(np.concatenate(new), 3 * RATE)

    assert_at(heard, begun, 3 * RATE, whole, 0)
    assert_smooth(heard, 441.0 + 882.0)


@pytest.mark.parametrize(
    ("behind", "skipped"),
    [([4410] * 12, 4410), ([4410] * 6 + [0] + [4410] * 5, 0), ([441] * 12, 0)],
)
def test_it_catches_up(behind: list[int], skipped: int, site: Site) -> None:
    """With a server that is ahead for ten seconds, by what is worth a step; no click."""
    tone, second = drone(0, 14 * RATE), 44_032
    told = [
        (k * second, [message(tone[: k == 0], k * second + more * (k > 0))])
        for k, more in enumerate(behind)
    ]
    site.open([find_voice("sine")])
    heard, said = site.render(12 * RATE, told)
    whole = sounded(tone, 13 * RATE)

    assert_at(heard, MARGIN, 10 * RATE, whole, 0)
    assert_at(heard, 11 * RATE, 12 * RATE, whole, 11 * RATE - MARGIN + skipped)
    assert_smooth(heard)
    assert said[-1]["frame"] == round(said[-1]["time"] * RATE) - MARGIN + skipped


def test_it_does_not_wait_after_sleep(site: Site) -> None:
    """Far behind the server, it steps at once."""
    tone = drone(0, 9 * RATE)
    woken = LATER + 4 * RATE
    site.open([find_voice("sine")])
    heard, _ = site.render(
        2 * RATE, [(0, [message(tone)]), (LATER, [message(tone, woken)])]
    )
    whole = sounded(np.concatenate([tone, tone]), 6 * RATE)

    assert_at(heard, LATER + 2 * FADE, 2 * RATE, whole, woken - MARGIN + 2 * FADE)
    assert_smooth(heard, 882.0)


def test_who_comes_later_hears_what_sounds(site: Site) -> None:
    """What began long before the first message is no delay, and does not click."""
    long, longer = drone(-4 * RATE, 9 * RATE), drone(-3 * RATE, 9 * RATE, 882.0)
    site.open([find_voice("sine")])
    heard, _ = site.render(RATE, [(0, [message(long)]), (LATER, [message(longer, LATER)])])
    both = np.concatenate([long, longer])
    begun = LATER + 2 * FADE

    assert_at(heard, MARGIN, LATER, sounded(long, RATE), 0)
    assert_at(heard, begun, RATE, sounded(both, RATE), begun - MARGIN)
    assert_smooth(heard, 441.0 + 882.0)


def test_what_is_cleared_is_gone(site: Site) -> None:
    """It fades, all is forgotten, and what comes next may be of any frame."""
    tone, new = drone(0, 9 * RATE), drone(7 * RATE, 9 * RATE)
    again = 128 * 320
    site.open([find_voice("sine")])
    heard, said = site.render(
        2 * RATE,
        [
            (0, [message(tone)]),
            (LATER, [message(tone, 0), {"clear": True}]),
            (again, [message(new, 7 * RATE), {"clear": True}, message(new, 7 * RATE)]),
        ],
    )

    assert_at(heard, MARGIN, LATER, sounded(tone, RATE), 0)
    assert not heard[LATER + FADE : again + MARGIN].any()
    assert_at(heard, again + MARGIN, 2 * RATE, sounded(tone, 2 * RATE), 0)
    assert_smooth(heard)
    assert [one["taken"] for one in said][-1] == 6


def test_another_playing_is_another_sound(site: Site) -> None:
    """A server whose frames go back has begun anew; what was to come does not."""
    old = np.concatenate([drone(5 * RATE, RATE), drone(6 * RATE, RATE, 882.0)])
    new = drone(0, 9 * RATE)
    site.open([find_voice("sine")])
    heard, _ = site.render(
        2 * RATE, [(0, [message(old, 5 * RATE)]), (LATER, [message(new, 0)])]
    )

    assert_at(heard, MARGIN, LATER, sounded(old, 7 * RATE), 5 * RATE)
    assert_at(heard, LATER + MARGIN, 2 * RATE, sounded(new, 2 * RATE), 0)
    assert_smooth(heard)


def test_a_line_goes_and_comes(site: Site) -> None:
    """Within 10 ms, without click; the others, and alarms, sound as before."""
    tones = np.concatenate([drone(0, 2 * RATE, hertz) for hertz in (441.0, 882.0, 220.5)])
    without = np.delete(tones, 1)
    back, ramp = 128 * 320, 512
    site.open([find_voice("sine")])
    heard, _ = site.render(
        RATE,
        [
            (0, [message(tones, 0, 0, [0, 1, -1])]),
            (LATER, [{"silence": [1, True]}]),
            (back, [{"silence": [1, False]}]),
        ],
    )

    assert_at(heard, MARGIN, LATER, sounded(tones, RATE), 0)
    assert_at(heard, LATER + ramp, back, sounded(without, RATE), LATER + ramp - MARGIN)
    assert_at(heard, back + ramp, RATE, sounded(tones, RATE), back + ramp - MARGIN)
    assert_smooth(heard, 441.0 + 882.0 + 220.5)


def test_its_memory_has_an_end(site: Site) -> None:
    """Of what comes while 32,768 events are kept nothing is; once they are gone, it is."""
    many = np.repeat(drone(99 * RATE, RATE), 20_000)
    site.open([find_voice("sine")])
    heard, _ = site.render(
        2 * RATE,
        [
            (0, [message(many), message(many), message(drone(441, RATE // 2))]),
            (RATE // 128 * 128, [{"clear": True}, message(drone(441, RATE // 2))]),
        ],
    )

    assert not heard[:RATE].any()
    assert heard[RATE:].any()


def test_numbers_that_are_none_do_no_harm(site: Site) -> None:
    """Events of no voice, of no length, and half a message."""
    odd = np.repeat(drone(0, RATE), 2)
    odd["count"][1] = 0
    tone = message(np.concatenate([odd, odd]), 0, [0, 0, 7, 65_535])
    site.open([find_voice("sine")])
    heard, _ = site.render(RATE, [(0, [tone[:-40], message(odd[:0])])])

    assert_at(heard, MARGIN, RATE, sounded(odd, RATE), 0)


def test_a_page_sounds(site: Site) -> None:
    """By the module that the page has: volume, mute, a line, and where it is."""
    site.open([find_voice("sine")])
    long = [drone(0, 600 * RATE, hertz) for hertz in (441.0, 882.0)]
    tones = wired(message(np.concatenate(long), 0, 0, [0, 1]))["events"]
    told = site.page.evaluate(LISTEN, [RATE, tones])

    assert told["frames"] == sorted(told["frames"])
    assert told["frames"][0] < told["frames"][-1]
    assert told["before"] == [False, None]
    assert told["unknown"] == [-math.inf] * 2  # what was heard before is no measure
    assert told["contexts"] == 1
    assert told["running"] == [True, True, False, True]
    assert told["levels"]["both"] > 0.3
    assert 0.05 < told["levels"]["half"] < told["levels"]["both"] / 3
    assert 0.2 < told["levels"]["one"] < 0.35
    assert told["levels"]["muted"] < 1e-3
    assert told["stopped"] is None


def test_a_page_says_why_it_cannot_sound(site: Site) -> None:
    """Under an address that is no secure one, what to type; and where code is missing."""
    site.open([find_voice("sine")])
    start = (
        "() => new Sound({ sample_rate: 44100 }).start().catch(({ message }) => message)"
    )
    del site.files["/voices.js"]
    missing = site.page.evaluate(start)

    def answer(route) -> None:
        name = route.request.url.removeprefix("http://far.test:8000")
        kind = "text/html" if name == "/" else "text/javascript"
        route.fulfill(body=site.files[name], content_type=kind)

    site.page.route("http://far.test:8000/**", answer)
    site.page.goto("http://far.test:8000/")
    insecure = site.page.evaluate(start)
    site.wrong[:] = [wrong for wrong in site.wrong if "404" not in wrong]

    assert missing == "The sound's code did not come: is the run's server still there?"
    assert 'type "ssh -L 8000:127.0.0.1:8000 far.test" and open http://127' in insecure
