"""The browser's synthesizer: its samples equal the mixer's to the last bit.

The tests run in a real Chromium, under the page's own policy: it loads scripts only from
the server and forbids eval, but not WebAssembly. The page plays by a module; it plays by
JavaScript while a track fades, or where there is no module.
"""

import base64
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from helpers.events import random_events
from helpers.runs import make_run, with_signals
from helpers.scores import compose_run, note, score

from gradsound import read_run
from gradsound.music.presets import PRESETS
from gradsound.runs.model import Run
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import javascript, numpy_kernel
from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.synth.limiter import limit
from gradsound.synth.mixer import render
from gradsound.synth.score import Score
from gradsound.synth.sequencer import Sequencer
from gradsound.synth.voices.builtin import VOICES, Voice, clang, find_voice, trace_builtin
from gradsound.synth.voices.program import PADDING, Program, evaluate
from gradsound.synth.voices.tracer import trace
from gradsound.web import messages

RATE = 44_100
MARGIN = 882  # frames by which the page is behind the server
FADE = 256  # frames of a fade before and after a jump, in whole quanta
LATER = 128 * 300  # frame of a later message
RUN = Path(__file__).parents[3] / "samples/runs/3-sgd-lr1-batch10.jsonl"
POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
STRICT = POLICY.replace(" 'wasm-unsafe-eval'", "")
SERVED = Path(messages.__file__).with_name("page")
# Makes a voice fail that is played by JavaScript.
MODULE_ALONE = """
for (const voice of globalThis.gradsoundVoices) {
  voice.evaluate = () => { throw new Error("played by JavaScript"); };
}
"""
WRITERS = {
    "module": lambda programs: to_page_voices(programs) + MODULE_ALONE,
    "javascript": javascript.to_javascript,
}
BOTH = pytest.mark.parametrize("writer", WRITERS)
EACH = pytest.mark.parametrize("voice", [*VOICES.values(), clang], ids=lambda v: v.__name__)

_RESULT = (("select", 3, 1.0, 0.0),)  # of a bool
# Values 0 and 1 are any numbers; value 2 is a whole number within -126..127.
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
# Renders; stops at some frames, posts messages to the worklet and waits until it has them.
TEST = rb"""
import { Sound } from "./sound.js";

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const text = (floats) => {
  const all = new Uint8Array(floats.buffer);
  let binary = "";
  for (let k = 0; k < all.length; k += 8192) {
    binary += String.fromCharCode(...all.subarray(k, k + 8192));
  }
  return btoa(binary);
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
  const reports = [];
  let answered;
  node.port.onmessage = ({ data }) => (data.pong ? answered() : reports.push(data));
  for (const [frame, messages] of schedule) {
    context.suspend(frame / rate).then(async () => {
      for (const one of messages) {
        node.port.postMessage(one.events ? { events: bytes(one.events) } : one);
      }
      await new Promise((resolve) => {
        answered = resolve;
        node.port.postMessage({ ping: true });
      });
      context.resume();
    });
  }
  const rendered = await context.startRendering();
  const channels = [0, 1].map((k) => text(rendered.getChannelData(k)));
  return [...channels, reports];
};

// Evaluates each program on the same inputs, in this thread.
window.evaluate = async ([values, count]) => {
  await import("./voices.js");
  const inputs = Object.fromEntries(
    Object.entries(values).map(([name, floats]) => [name, new Float32Array(bytes(floats))]),
  );
  return globalThis.gradsoundVoices.map((voice) => {
    const out = new Float32Array(count);
    voice.evaluate(count, inputs, out);
    return text(out);
  });
};
"""
# Makes the worklet answer a ping, after all messages before it.
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

# Uses the page's sound module and waits for its reports, by the browser's clock.
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
  sound.volume = 0.25;
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
    """A web server on this machine with a page that Chromium has open."""

    def __init__(self, browser) -> None:
        files = {"/": PAGE, "/test.js": TEST, "/probe.js": PROBE}
        files |= {f"/{path.name}": path.read_bytes() for path in SERVED.iterdir()}
        self.files = files
        self.policy = POLICY
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                self.send_response(200 if body is not None else 404)
                kind = "text/html" if self.path == "/" else "text/javascript"
                self.send_header("Content-Type", kind)
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Security-Policy", site.policy)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.page = browser.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))

    def open(
        self,
        programs: Sequence[Program],
        write: Callable[[Sequence[Program]], str] = to_page_voices,
    ) -> None:
        self.files["/voices.js"] = write(programs).encode()
        self.page.goto(self.address)

    def render(
        self,
        frames: int,
        schedule: Sequence[tuple[int, Sequence[object]]],
        *,
        live: bool = True,
    ) -> tuple[np.ndarray, list[dict[str, float]]]:
        """Renders with messages at frames; returns samples, shape (N, 2), and reports."""
        wired_schedule = [(frame, [*map(wired, some)]) for frame, some in schedule]
        left, right, reports = self.page.evaluate(
            "render", [frames, RATE, wired_schedule, live]
        )
        return np.stack([floats(left), floats(right)], axis=1), reports


def wired(message: object) -> object:
    """Returns a message as JSON can hold it."""
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
    errors, _site.errors[:] = _site.errors[:], []
    assert not errors


def message(
    events: np.ndarray,
    now: int = 0,
    voices: object = 0,
    tracks: object = -1,
    begin: int = 0,
) -> bytes:
    """Encodes events as the server does."""
    each = (
        np.broadcast_to(np.asarray(numbers), len(events)) for numbers in (voices, tracks)
    )
    return messages.encode_events(events, *each, now, begin, None)


def rendered(events: np.ndarray, frames: int, voice: Voice = "sine") -> np.ndarray:
    """Returns the samples of events of one voice by numpy, shape (N, 2)."""
    events = events[np.lexsort((events["slot"], events["first"]))]  # the mixer's order
    out = np.zeros((2, frames + PADDING), np.float32)
    numpy_kernel.make_kernel(find_voice(voice), 2)(out, 0, 1 / RATE, events)
    return limit(out[:, :frames].T)


def drone(first: int, count: int, hertz: float = 441.0) -> np.ndarray:
    """Returns the event of a tone; a jump or a cut within it would click."""
    event = np.zeros(1, EVENT)
    event["first"], event["count"], event["fade"] = first, count, 441
    event["increment"], event["gain"] = hertz / RATE * 2**32, 1 / 3
    event["pan"] = 1, 2 / 3
    return event


def assert_plays_from(
    samples: np.ndarray, start: int, end: int, whole: np.ndarray, frame: int
) -> None:
    """Asserts that the samples from start to end are the whole from a frame on."""
    np.testing.assert_array_equal(samples[start:end], whole[frame : frame + end - start])


def assert_smooth(samples: np.ndarray, hertz: float = 441.0) -> None:
    """Asserts that no two samples differ by more than in a sine at 1/3 with a fade."""
    steepest = 1 / 3 * (2 * np.pi * hertz / RATE + 1.5 / 220)
    assert np.abs(np.diff(samples, axis=0)).max() < steepest


def assert_plays(site: Site, scored: Score, channels: int) -> None:
    """Asserts that the page plays a score, which it gets a second ahead, as of a server."""
    programs = [*dict.fromkeys(scored.voices)]
    numbers = np.array([programs.index(voice) for voice in scored.voices])
    events = Sequencer(RATE, channels).schedule(scored)
    voices = numbers[scored.notes["voice"]]
    expected = render(scored, RATE, channels)
    schedule = []
    for now in range(0, len(expected), RATE // 4 // 128 * 128):
        first = events["first"] - now
        some = (first >= (RATE if now else 0)) & (first < RATE + RATE // 4 // 128 * 128)
        schedule.append((now, [message(events[some], now, voices[some])]))
    site.open(programs)
    samples, _ = site.render(MARGIN + len(expected), schedule)

    assert np.abs(expected).max() > 0.01
    assert not samples[:MARGIN].any()
    np.testing.assert_array_equal(
        samples[MARGIN:], np.broadcast_to(expected, samples[MARGIN:].shape)
    )


@BOTH
@EACH
def test_a_browser_computes_numpys_samples(voice, writer: str, site: Site) -> None:
    """The samples of 300 random events are equal, with events of one frame and glides."""
    events = random_events(300)
    expected = rendered(events, 20_700, trace_builtin(voice))
    site.open([trace_builtin(voice)], WRITERS[writer])
    samples, _ = site.render(MARGIN + len(expected), [(0, [message(events)])])

    assert np.abs(expected).max() > 0.05
    np.testing.assert_array_equal(samples[MARGIN:], expected)


def test_a_thousand_notes_at_once_are_played(site: Site) -> None:
    """They are more than the memory of the module holds, so it plays them in parts."""
    events = np.concatenate([drone(k, 5000, 100.0 + k) for k in range(1000)])
    events["gain"] /= 100
    site.open([find_voice("saw")], WRITERS["module"])
    samples, _ = site.render(MARGIN + 6000, [(0, [message(events)])])

    np.testing.assert_array_equal(samples[MARGIN:], rendered(events, 6000, "saw"))


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        (STRICT, ""),
        (POLICY, "WebAssembly.Memory = () => { throw new RangeError(); };"),
        (POLICY, "delete globalThis.WebAssembly;"),
        (POLICY, 'globalThis.gradsoundModule = "00";'),
    ],
    ids=["policy", "memory", "engine", "module"],
)
def test_a_browser_without_the_module_plays(policy: str, line: str, site: Site) -> None:
    """Where a browser cannot or may not compile the module, it plays by JavaScript."""
    events = random_events(30)
    expected = rendered(events, 20_700, "bell")
    site.policy = policy
    site.open([find_voice("bell")], lambda programs: to_page_voices(programs) + line)
    samples, _ = site.render(MARGIN + len(expected), [(0, [message(events)])])
    site.policy = POLICY

    assert [error for error in site.errors if "WebAssembly" not in error] == []
    site.errors.clear()
    np.testing.assert_array_equal(samples[MARGIN:], expected)


def test_phases_stay_exact_for_minutes(site: Site) -> None:
    """At the end of the longest event, the phase has wrapped as uint32 does."""
    longest = 2**24
    event = drone(20_000 - longest, longest)
    event["glide"], event["phase"] = -1_234_567_891, 2**32 - 1
    site.open([find_voice("soft")])
    samples, _ = site.render(RATE, [(0, [message(event)])])

    assert_plays_from(samples, MARGIN, RATE, rendered(event, RATE, "soft"), 0)
    assert np.abs(samples[10_000:20_000]).max() > 0.1


def test_voices_add_up_and_are_limited(site: Site) -> None:
    """Three voices, each far above the limiter's knee, equal the mixer's sum."""
    names = ("organ", "hiss", "growl")
    notes = [
        note((110.0, 440.0), voice=k, slot=5 * k, level=2.0, pan=k - 1, deviation=(-1, 1))
        for k in range(3)
    ]
    scored = score(*notes, voice=names[0], others=names[1:])

    assert np.abs(render(scored, RATE, 2)).max() > 0.95
    assert_plays(site, scored, 2)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_a_run_sounds_like_its_file(preset, site: Site) -> None:
    """The page plays the demo's diverging run, with its alarms, in every preset."""
    run = read_run(RUN)
    scored = compose_run(Run(run.header, [*islice(run.steps, 24)], run.name), preset)

    assert_plays(site, scored, preset.channels)


@pytest.mark.parametrize("name", ["notes", "ambient"])
def test_signals_sound_as_in_the_file(name: str, site: Site) -> None:
    """The page holds notes as long, and they have as much breath."""
    run = make_run([[0.3, 1.0, 4.0]] * 4)
    ratios, snrs = [0.0, 1e-4, 1e-2], [0.05, 0.2, 0.6]
    scored = compose_run(with_signals(run, update_ratio=ratios, snr=snrs), PRESETS[name])

    assert len(scored.notes) > len(compose_run(run, PRESETS[name]).notes)
    assert_plays(site, scored, PRESETS[name].channels)


@BOTH
def test_a_users_voice_is_played(writer: str, site: Site) -> None:
    """Where it returns NaN, the page and numpy are silent."""

    def own(phase, time, deviation, depth, noise):
        steps = np.rint(8 * phase) / 8 + np.trunc(3 * phase) * np.floor(phase)
        loud = (phase < 0.25) & ~(deviation <= 0.1) | (np.floor(4 * phase) == 1)
        power = np.exp2(3 * deviation - 4) + np.sqrt(np.abs(depth - phase))
        unchecked = (time > 0.003) & (time < 0.006)  # between the tracer's times
        hole = np.where(unchecked, (phase - phase) / (phase - phase), 0.0)
        return np.where(loud, steps, power) / 4 + noise / 16 + hole

    events = random_events(40)
    events["count"], events["gain"] = 800, 1 / 3
    expected = rendered(events, 20_700, own)
    site.open([trace(own)], WRITERS[writer])
    samples, _ = site.render(MARGIN + len(expected), [(0, [message(events)])])

    assert (expected[:, 0] == 0).sum() > 1000
    assert np.abs(expected).max() > 0.05
    np.testing.assert_array_equal(samples[MARGIN:], expected)


def test_operations_are_those_of_numpy(site: Site) -> None:
    """Each operation has numpy's result for any float32, with zeros, infinities and NaN."""
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
    random = np.random.default_rng(1).integers(0, 2**32, 4000, dtype=np.uint32)
    ones = np.concatenate([halves, edges, np.negative(edges), [0.49999997, -0.49999997]])
    a = np.concatenate([ones.astype(np.float32), random.view(np.float32)])
    b = np.roll(a, 7)
    b[::3] = a[::3]  # equal
    values = {"phase": a, "dt": b}
    whole = np.resize(np.arange(-126, 128), len(a)).astype(np.float32)
    programs, expected = [], []
    for name, operations in OPERATIONS.items():
        programs.append(Program(name, ("phase", "dt", "time"), operations))
        with np.errstate(all="ignore"):
            result = evaluate(programs[-1], values | {"time": whole})
        expected.append(result.astype(np.float32))
    site.open(programs)
    encoded_inputs = {name: encoded(x) for name, x in (values | {"time": whole}).items()}
    results = site.page.evaluate("evaluate", [encoded_inputs, len(a)])

    for name, one, other in zip(OPERATIONS, map(floats, results), expected):
        np.testing.assert_array_equal(one, other, err_msg=name)
        number = ~np.isnan(other)  # a NaN has no sign
        assert np.array_equal(np.signbit(one)[number], np.signbit(other)[number]), name


def test_a_users_text_is_no_code() -> None:
    """The module contains no text that a user may choose, only numbers."""
    hostile = "*/ }; globalThis.x = `${1}`; /*\n//</script>"
    plain = trace_builtin(VOICES["bell"])
    renamed = Program(hostile, plain.inputs, plain.operations)

    assert javascript.to_javascript([renamed]) == javascript.to_javascript([plain])
    assert to_page_voices([renamed]) == to_page_voices([plain])
    for inputs, operations in (
        ((hostile,), (("abs", 0),)),
        (("phase",), ((hostile, 0),)),
        (("phase",), (("add", 0, hostile),)),
    ):
        with pytest.raises((ValueError, KeyError, IndexError)):
            javascript.to_javascript([Program("hostile", inputs, operations)])


def test_a_server_without_llvmlite_has_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page then plays by JavaScript."""
    programs = [Program("other", ("phase",), (("mul", 0, 0.123),))]  # not compiled before
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    without = to_page_voices(programs)
    monkeypatch.undo()

    assert without == javascript.to_javascript(programs)
    assert to_page_voices(programs).startswith(without)
    assert "gradsoundModule" in to_page_voices(programs)


def test_a_late_event_is_played_whole(site: Site) -> None:
    """The page jumps back to before the event and stays behind, without a click."""
    tone = np.concatenate([drone(0, 4 * RATE), drone(33_700, 1_000, 220.5)])
    late = drone(34_500, 8_820, 882.0)
    both = np.concatenate([tone, late])
    back = 34_500 - MARGIN
    site.open([find_voice("sine")])
    samples, reports = site.render(
        2 * RATE, [(0, [message(tone)]), (LATER, [message(late, LATER)])]
    )

    assert_plays_from(samples, MARGIN, LATER, rendered(tone, RATE), 0)
    assert_plays_from(
        samples, LATER + 2 * FADE, 2 * RATE, rendered(both, 2 * RATE), back + FADE
    )
    assert_smooth(samples, 441.0 + 882.0 + 220.5)
    assert {"frame": back, "time": (LATER + FADE) / RATE, "processed": 2} in reports


def test_messages_after_a_gap_do_not_delay_the_page(site: Site) -> None:
    """Of messages that come at once after seconds, the last has the server's time."""
    whole, later = drone(0, 9 * RATE), 4 * LATER
    delayed = range(later - 3 * RATE, later + 1, RATE // 4)
    burst = [message(drone(now + 441, 8_820, 882.0), now) for now in delayed]
    site.open([find_voice("sine")])
    samples, _ = site.render(5 * RATE, [(0, [message(whole)]), (later, burst)])
    notes = [drone(now + 441, 8_820, 882.0) for now in delayed]
    expected = rendered(np.concatenate([whole, *notes]), 5 * RATE)
    begun = later + 2 * FADE

    assert_plays_from(samples, begun, 5 * RATE, expected, begun - MARGIN)
    assert_smooth(samples, 441.0 + 882.0)


def test_a_finished_run_resumes_where_it_stopped(site: Site) -> None:
    """After messages that are three seconds late, the page plays every event.

    The server sends events a second ahead, so those before the late ones still sound.
    """
    apart, stalled, released = RATE // 2, 2 * RATE, 5 * RATE // 128 * 128
    notes = [drone(k * apart, apart + 8_820, 441.0 + 441.0 * (k % 2)) for k in range(34)]
    schedule: dict[int, list[bytes]] = {}
    for k, one in enumerate(notes):
        sent_frame = max(0, k * apart - RATE) // 128 * 128
        arrival = released if stalled < sent_frame < released else sent_frame
        schedule.setdefault(arrival, []).append(message(one, sent_frame, begin=k * apart))
    stop_frame = next(k for k in range(34) if stalled < k * apart - RATE) * apart
    site.open([find_voice("sine")])
    samples, _ = site.render(18 * RATE, [*schedule.items()], live=False)
    whole = rendered(np.concatenate(notes), 18 * RATE)
    back = stop_frame - MARGIN

    assert_plays_from(samples, MARGIN, stop_frame + MARGIN, whole, 0)
    assert not samples[stop_frame + MARGIN + 8_820 : released].any()
    assert_plays_from(samples, released + 2 * FADE, 18 * RATE, whole, back + FADE)
    assert_smooth(samples, 441.0 + 882.0)


def test_a_finished_run_that_begins_late_is_whole(site: Site) -> None:
    """All new events may come while the cleared ones still fade."""
    old, new = drone(0, 9 * RATE), [drone(k * RATE, RATE, 882.0) for k in range(5)]
    burst = [message(one, k * RATE, begin=k * RATE) for k, one in enumerate(new)]
    site.open([find_voice("sine")])
    schedule = [(0, [message(old)]), (LATER, [{"clear": True}, *burst])]
    samples, _ = site.render(3 * RATE, schedule, live=False)
    begun, whole = LATER + FADE + MARGIN, rendered(np.concatenate(new), 3 * RATE)

    assert_plays_from(samples, begun, 3 * RATE, whole, 0)
    assert_smooth(samples, 441.0 + 882.0)


@pytest.mark.parametrize(
    ("behind", "skipped"),
    [([4410] * 12, 4410), ([4410] * 6 + [0] + [4410] * 5, 0), ([441] * 12, 0)],
)
def test_it_catches_up(behind: list[int], skipped: int, site: Site) -> None:
    """A page that is over 15 ms late for ten seconds jumps ahead, without a click."""
    tone, second = drone(0, 14 * RATE), 44_032
    schedule = [
        (k * second, [message(tone[: k == 0], k * second + more * (k > 0))])
        for k, more in enumerate(behind)
    ]
    site.open([find_voice("sine")])
    samples, reports = site.render(12 * RATE, schedule)
    whole = rendered(tone, 13 * RATE)

    assert_plays_from(samples, MARGIN, 10 * RATE, whole, 0)
    assert_plays_from(samples, 11 * RATE, 12 * RATE, whole, 11 * RATE - MARGIN + skipped)
    assert_smooth(samples)
    assert reports[-1]["frame"] == round(reports[-1]["time"] * RATE) - MARGIN + skipped


def test_it_jumps_ahead_after_sleep(site: Site) -> None:
    """A page that is over a second behind the server catches up at once."""
    tone = drone(0, 9 * RATE)
    woken = LATER + 4 * RATE
    site.open([find_voice("sine")])
    samples, _ = site.render(
        2 * RATE, [(0, [message(tone)]), (LATER, [message(tone, woken)])]
    )
    whole = rendered(np.concatenate([tone, tone]), 6 * RATE)

    assert_plays_from(samples, LATER + 2 * FADE, 2 * RATE, whole, woken - MARGIN + 2 * FADE)
    assert_smooth(samples, 882.0)


def test_a_listener_who_joins_later_hears_present_events(site: Site) -> None:
    """An event that began long before the first message neither delays nor clicks."""
    long, longer = drone(-4 * RATE, 9 * RATE), drone(-3 * RATE, 9 * RATE, 882.0)
    site.open([find_voice("sine")])
    samples, _ = site.render(
        RATE, [(0, [message(long)]), (LATER, [message(longer, LATER)])]
    )
    both = np.concatenate([long, longer])
    begun = LATER + 2 * FADE

    assert_plays_from(samples, MARGIN, LATER, rendered(long, RATE), 0)
    assert_plays_from(samples, begun, RATE, rendered(both, RATE), begun - MARGIN)
    assert_smooth(samples, 441.0 + 882.0)


def test_cleared_events_are_gone(site: Site) -> None:
    """They fade out, and the next event may have any frame."""
    tone, new = drone(0, 9 * RATE), drone(7 * RATE, 9 * RATE)
    again = 128 * 320
    site.open([find_voice("sine")])
    samples, reports = site.render(
        2 * RATE,
        [
            (0, [message(tone)]),
            (LATER, [message(tone, 0), {"clear": True}]),
            (again, [message(new, 7 * RATE), {"clear": True}, message(new, 7 * RATE)]),
        ],
    )

    assert_plays_from(samples, MARGIN, LATER, rendered(tone, RATE), 0)
    assert not samples[LATER + FADE : again + MARGIN].any()
    assert_plays_from(samples, again + MARGIN, 2 * RATE, rendered(tone, 2 * RATE), 0)
    assert_smooth(samples)
    assert [one["processed"] for one in reports][-1] == 6


def test_another_playback_discards_the_old_events(site: Site) -> None:
    """If the server's frames go back by more than a second, playback has begun again."""
    old = np.concatenate([drone(5 * RATE, RATE), drone(6 * RATE, RATE, 882.0)])
    new = drone(0, 9 * RATE)
    site.open([find_voice("sine")])
    samples, _ = site.render(
        2 * RATE, [(0, [message(old, 5 * RATE)]), (LATER, [message(new, 0)])]
    )

    assert_plays_from(samples, MARGIN, LATER, rendered(old, 7 * RATE), 5 * RATE)
    assert_plays_from(samples, LATER + MARGIN, 2 * RATE, rendered(new, 2 * RATE), 0)
    assert_smooth(samples)


def test_a_track_is_silenced_and_resumed(site: Site) -> None:
    """It fades within 12 ms without a click; other tracks and alarms stay as they were."""
    tones = np.concatenate([drone(0, 2 * RATE, hertz) for hertz in (441.0, 882.0, 220.5)])
    without = np.delete(tones, 1)
    back, ramp = 128 * 320, 512
    site.open([find_voice("sine")])
    samples, _ = site.render(
        RATE,
        [
            (0, [message(tones, 0, 0, [0, 1, -1])]),
            (LATER, [{"silence": [1, True]}]),
            (back, [{"silence": [1, False]}]),
        ],
    )

    assert_plays_from(samples, MARGIN, LATER, rendered(tones, RATE), 0)
    assert_plays_from(
        samples, LATER + ramp, back, rendered(without, RATE), LATER + ramp - MARGIN
    )
    assert_plays_from(
        samples, back + ramp, RATE, rendered(tones, RATE), back + ramp - MARGIN
    )
    assert_smooth(samples, 441.0 + 882.0 + 220.5)


def test_its_memory_is_limited(site: Site) -> None:
    """It drops events while it has 32,768 of them, and plays later ones."""
    many = np.repeat(drone(99 * RATE, RATE), 20_000)
    site.open([find_voice("sine")])
    samples, _ = site.render(
        2 * RATE,
        [
            (0, [message(many), message(many), message(drone(441, RATE // 2))]),
            (RATE // 128 * 128, [{"clear": True}, message(drone(441, RATE // 2))]),
        ],
    )

    assert not samples[:RATE].any()
    assert samples[RATE:].any()


def test_malformed_messages_do_no_harm(site: Site) -> None:
    """Events without a voice or a length are left out, and half an event too."""
    odd = np.repeat(drone(0, RATE), 2)
    odd["count"][1] = 0
    tone = message(np.concatenate([odd, odd]), 0, [0, 0, 7, 65_535])
    site.open([find_voice("sine")])
    samples, _ = site.render(RATE, [(0, [tone[:-40], message(odd[:0])])])

    assert_plays_from(samples, MARGIN, RATE, rendered(odd, RATE), 0)


def test_the_pages_sound_module(site: Site) -> None:
    """It plays, follows volume, mute and silenced tracks, and reports its frame."""
    site.open([find_voice("sine")])
    long = [drone(0, 600 * RATE, hertz) for hertz in (441.0, 882.0)]
    tones = wired(message(np.concatenate(long), 0, 0, [0, 1]))["events"]
    observed = site.page.evaluate(LISTEN, [RATE, tones])

    assert observed["frames"] == sorted(observed["frames"])
    assert observed["frames"][0] < observed["frames"][-1]
    assert observed["before"] == [False, None]
    assert observed["unknown"] == [-math.inf] * 2  # older reports do not count
    assert observed["contexts"] == 1
    assert observed["running"] == [True, True, False, True]
    assert observed["levels"]["both"] > 0.3
    assert 0.05 < observed["levels"]["half"] < observed["levels"]["both"] / 3
    assert 0.2 < observed["levels"]["one"] < 0.35
    assert observed["levels"]["muted"] < 1e-3
    assert observed["stopped"] is None


def test_a_page_without_sound_has_a_reason(site: Site) -> None:
    """On an insecure address it says what to type; without its code, what may be wrong."""
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
    site.errors[:] = [error for error in site.errors if "404" not in error]

    assert missing == (
        "The page cannot load its synthesizer: does the run's server still run?"
    )
    assert 'type "ssh -L 8000:127.0.0.1:8000 far.test" and open http://127' in insecure
