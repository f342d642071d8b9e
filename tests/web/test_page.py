"""The page in a real browser: its sound, its picture, its texts and its failures."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.browser import chromium, expect_state, open_page, point_at_first_step
from helpers.models import sgd, small, train
from helpers.pages import GRADSOUND, served
from helpers.pages import Page as Listener
from helpers.processes import MARK, processes, until
from helpers.sound_server import RATE, SoundServer
from playwright.sync_api import Page, expect

import gradsound

RUNS = Path(__file__).parents[2] / "samples" / "runs"
BELL = """
import torch

def bell(phase, bright):
    turn = 6.283185307179586 * phase
    rung = torch.sin(turn + (1 + bright) * torch.sin(2 * turn))
    return torch.where(phase < 0, 0.5 * rung, rung)
"""
# Lines that Chromium writes to the console.
LOST = r"net::ERR_(CONNECTION|EMPTY|SOCKET)|Connection closed before"
REFUSED = r"code: 403|status of 403"
# Colours of a norm of 0.
DARKEST = (0x44, 0x01, 0x54)
DASH = (0xC9, 0xB8, 0xDC)


@pytest.fixture(autouse=True)
def _isolate(monkeypatch, tmp_path) -> Iterator[None]:
    """Runs each test in its own folder; no process may survive it."""
    monkeypatch.setenv(MARK, tmp_path.name + os.urandom(4).hex())
    monkeypatch.chdir(tmp_path)
    yield
    until(lambda: not processes(), "a process still runs")


def found_share(recording: np.ndarray, parts: list[np.ndarray]) -> float:
    """Returns the share of parts that a recording has to within 1e-3, at any place."""
    both = recording.sum(axis=1, dtype=np.float64)
    power, count = np.concatenate([[0.0], np.cumsum(both**2)]), 0
    size = 1 << (2 * len(recording)).bit_length()
    spectrum = np.fft.rfft(both, size)
    for part in parts:
        other = np.fft.rfft(part.sum(axis=1, dtype=np.float64), size)
        correlation = np.fft.irfft(spectrum * other.conj())
        correlation = correlation[: len(recording) - len(part) + 1]
        # The place of the least difference: correlation alone favours a louder place if the
        # part ends in silence.
        difference = power[len(part) :] - power[: -len(part)] - 2 * correlation
        at = int(np.argmin(difference))
        count += np.abs(recording[at : at + len(part)] - part).max() < 1e-3
    return count / len(parts)


@contextmanager
def playing_page(server: SoundServer, url: str) -> Iterator[Page]:
    """Opens a page that plays on the sound server at volume 1, as loud as a rendering."""
    with chromium() as browser, open_page(browser, url) as page:
        expect_state(page, "waiting")
        page.locator("#volume").fill("100")
        page.click("#listen")
        expect_state(page, "listening")
        until(server.playing, "the browser does not play")
        yield page


@pytest.mark.realtime
@pytest.mark.parametrize("voice", ["notes", "bells:bell"])
def test_a_finished_run_sounds_as_it_is_rendered(server, voice: str) -> None:
    """The page plays the rendering to within 1e-3, also with a voice written in torch."""
    Path("bells.py").write_text(BELL)
    run = RUNS / "3-sgd-lr1-batch10.jsonl"
    options = [] if voice == "notes" else ["--voice", voice]
    rendering = [*GRADSOUND, "render", run, "-o", "run.wav", "--subtype", "FLOAT"]
    subprocess.run([*rendering, *options], check=True)
    expected = soundfile.read("run.wav", dtype="float32", always_2d=True)[0]
    step = round(RATE * (4 * 0.07 + 0.14))
    parts = [expected[k * step : (k + 1) * step] for k in range(16)]
    assert min(np.abs(part).max() for part in parts) > 0.05
    with (
        server.recording() as recording,
        served(run, *options) as (url, _),
        playing_page(server, url) as page,
    ):
        for _ in range(3):  # on a busy machine any browser may drop some sound
            time.sleep(8)
            if (share := found_share(recording.both(), parts)) == 1:
                break
            page.locator("#picture").press("Home")
            page.locator("#picture").press("Enter")
    assert share == 1


@pytest.mark.realtime
def test_a_training_sounds_as_it_is_rendered(server) -> None:
    """The page plays each step of a training when it comes, and announces the end."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, web=True)
    with server.recording() as recording, playing_page(server, attachment.url) as page:
        for _ in range(4):
            train(model, optimizer, 1)
            time.sleep(0.8)
        expect(page.locator("#step")).to_contain_text("3")
        attachment.close()
        expect_state(page, "over")
        expect(page.locator("#captions")).to_contain_text("end of the run: 4 steps")
    sound = recording.both()
    loud = np.flatnonzero(np.abs(sound).max(axis=1))
    pauses = np.flatnonzero(np.diff(loud) > RATE // 4)
    assert len(pauses) == 4  # between four steps, and before the end of the run
    run, parts = gradsound.read_run("run.jsonl"), []
    for step in run.steps:
        gradsound.render(gradsound.Run(run.header, [step]), "one.wav", subtype="FLOAT")
        expected = soundfile.read("one.wav", dtype="float32", always_2d=True)[0]
        parts.append(expected[: round(len(run.header.layers) * 0.07 * RATE)])
    assert found_share(sound, parts) > 0.7


class Tunnel:
    """Forwards another port to a port of this machine, as ssh -L does.

    A test can clear `flows` to stall all data, and `cut` the connections.
    """

    def __init__(self, port: int) -> None:
        self._target, self._ends = port, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.open, self.flows = True, threading.Event()
        self.flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if not self.open:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Ends all connections and refuses new ones until `open` is True again."""
        self.open = False
        while self._ends:
            end = self._ends.pop()
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self.cut()
        self._listening.close()


@contextmanager
def tunnelled(url: str) -> Iterator[tuple[Tunnel, str]]:
    """Yields a tunnel to a page, and the page's address through it."""
    port = int(re.search(r":(\d+)/", url)[1])
    tunnel = Tunnel(port)
    try:
        yield tunnel, url.replace(f"127.0.0.1:{port}", f"localhost:{tunnel.port}")
    finally:
        tunnel.close()


def test_a_lost_connection_opens_again(browser) -> None:
    """After a loss the page connects again, and the picture has the missed steps."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, web=True)
    with tunnelled(attachment.url) as (tunnel, url), open_page(browser, url, LOST) as page:
        expect_state(page, "waiting")
        page.keyboard.press("Space")
        expect_state(page, "listening")
        train(model, optimizer, 1)
        expect(page.locator("#step-number")).to_have_text("0")
        tunnel.cut()
        expect_state(page, "lost")
        expect(page.locator("#state")).to_contain_text("Connection lost. Trying again")
        for _ in range(3):
            train(model, optimizer, 1)
            time.sleep(0.4)
        tunnel.open = True
        expect_state(page, "listening")
        train(model, optimizer, 1)
        expect(page.locator("#step-number")).to_have_text("4")
        page.locator("#picture").focus()

        def has_last_step() -> bool:
            page.keyboard.press("End")
            return "tep 4" in page.locator("#cursor-text").inner_text()

        until(has_last_step, "the picture does not get the last step")
        for number in (4, 3, 2, 1, 0):
            expect(page.locator("#cursor-text")).to_contain_text(f"tep {number}")
            page.keyboard.press("ArrowLeft")
        attachment.close()
        expect_state(page, "over")


# Lists the steps that the page shows, each with its time in ms.
LIST_STEPS = """() => {
  window.shown = [];
  const list = (records) => {
    const nodes = records.flatMap(({ addedNodes }) => [...addedNodes]);
    shown.push([nodes.map(({ data }) => data), performance.now()]);
  };
  const number = document.getElementById("step-number");
  new MutationObserver(list).observe(number, { childList: true });
}"""
# Measures the greatest lateness of a bare timer, in ms.
MEASURE_LATENESS = """() => {
  window.lateness = 0;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    lateness = Math.max(lateness, now - last - 50);
    last = now;
  }, 50);
}"""
STEP_MS = 420


@pytest.mark.realtime
def test_a_finished_run_waits_for_its_network(browser, save) -> None:
    """The page shows every step by itself, at most one step early, despite a stall of 5 s.

    A busy machine delays any page. The test grants the lateness of a timer in a blank page
    of the same browser at the same time: a few ms on a quiet machine.
    """
    run = save([[1.0, 2.0, 0.5, 3.0]] * 40)
    with (
        served(run) as (direct, _),
        tunnelled(direct) as (tunnel, url),
        open_page(browser, "about:blank") as blank,
        open_page(browser, url) as page,
    ):
        expect_state(page, "waiting")
        page.evaluate(LIST_STEPS)
        blank.evaluate(MEASURE_LATENESS)

        def last_step() -> int:
            shown = page.evaluate("shown.at(-1)?.[0].at(-1)")
            return -1 if shown is None else int(shown)

        page.keyboard.press("Space")
        until(lambda: last_step() >= 3, "the playback does not start")
        stalled = last_step()
        tunnel.flows.clear()
        time.sleep(5)
        tunnel.flows.set()
        until(lambda: last_step() == 39, "the playback does not resume", 30)
        shown, late = page.evaluate("shown"), blank.evaluate("lateness")
    assert [step for steps, _ in shown for step in steps] == [str(k) for k in range(40)]
    assert len(shown) == 40 or late > STEP_MS - 100  # else two steps at once
    times = [time for steps, time in shown for _ in steps]
    resumed = np.diff(times).argmax() + 1
    assert stalled < resumed < stalled + 9  # the page plays on what it has received
    for part in times[:resumed], times[resumed:]:
        early = STEP_MS * np.arange(len(part)) - np.subtract(part, part[0])
        assert early.max() < STEP_MS + late


def test_an_early_press_counts_later(browser, save) -> None:
    """A press of Listen before the connection starts the sound once it is open."""
    with served(save([[1.0]] * 200)) as (url, _):
        others = [Listener(url) for _ in range(64)]
        with open_page(browser, url, "503") as page:
            expect_state(page, "lost")
            page.keyboard.press("Space")
            expect(page.locator("#listen-text")).to_have_text("Pause")
            page.click("#listen")
            expect(page.locator("#listen-text")).to_have_text("Listen")
            page.click("#listen")
            others.pop().close()
            expect_state(page, "listening")
            expect(page.locator("#step-number")).to_have_text(re.compile(r"^[1-9]\d*$"))
        for other in others:
            other.close()


def test_the_page_shows_the_state_of_its_run(browser) -> None:
    """The page says that no step has come, that it is live, and how the run ended."""
    model = small()
    optimizer = sgd(model)
    text = None

    def train_and_fail(page: Page) -> None:
        expect_state(page, "waiting")
        expect(text).to_contain_text("No step has come yet.")
        page.locator("#picture").press("Home")  # there is no column to point at
        page.keyboard.press("Space")
        expect_state(page, "listening")
        expect(text).to_contain_text("Listening live. No step has come yet.")
        train(model, optimizer, 1)
        expect(text).to_have_text(re.compile("^Listening live. ?$"))
        raise RuntimeError("out of <memory>")

    attachment = gradsound.listen(model, optimizer, web=True)
    with open_page(browser, attachment.url) as page:
        text = page.locator("#state")
        with pytest.raises(RuntimeError), attachment:
            train_and_fail(page)
        expect_state(page, "over")
        expect(text).to_contain_text("The run is over: RuntimeError: out of <memory>.")
        expect(text).to_contain_text("The next run has another address")
        expect(page.locator("#listen")).to_be_disabled()


def test_the_address_of_an_earlier_run_is_refused(browser) -> None:
    """A page says that its address is old when a new training takes its port."""
    model = small()
    optimizer = sgd(model)
    first = gradsound.listen(model, optimizer, web=True)
    url = first.url
    port = int(re.search(r":(\d+)/", url)[1])
    with (
        tunnelled(url) as (tunnel, through),
        open_page(browser, through, f"{LOST}|{REFUSED}") as page,
    ):
        expect_state(page, "waiting")
        tunnel.cut()
        with pytest.warns(gradsound.errors.GradsoundWarning):
            first.close()
        second = gradsound.listen(model, optimizer, web=port)
        tunnel.open = True
        expect_state(page, "refused")
        expect(page.locator("#state")).to_contain_text("no longer valid")
        with pytest.warns(gradsound.errors.GradsoundWarning):
            second.close()


def test_keys_control_everything(browser, save) -> None:
    """Keys start the sound, change volume, bands and help, and move the cursor."""
    run = save([[1.0 + k, 2.0, 0.5] for k in range(40)])
    with served(run) as (url, _), open_page(browser, url) as page:
        expect_state(page, "waiting")
        expect(page.locator("#no-captions")).to_contain_text("appear here as they sound")
        page.keyboard.press("Space")
        expect_state(page, "listening")
        page.keyboard.press("m")
        expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
        before = int(page.locator("#volume").input_value())
        page.keyboard.press("ArrowDown")
        assert int(page.locator("#volume").input_value()) < before
        band = page.locator("#bands button").first
        expect(band).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("1")
        expect(band).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("?")
        expect(page.locator("dialog#help")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("dialog#help")).to_be_hidden()
        page.locator("#picture").focus()
        page.keyboard.press("End")
        expect(page.locator("#cursor-text")).to_contain_text("39")
        page.keyboard.press("Enter")
        expect(page.locator("#step-number")).to_have_text("39")
        expect_state(page, "over")
        page.keyboard.press("Space")  # at once; the last sound may not be over
        expect_state(page, "listening")
        expect(page.locator("#step-number")).to_have_text(re.compile("^[1-9]$"))


@pytest.mark.realtime
def test_play_resumes_after_a_pause(browser, save) -> None:
    """A playback resumes with the step at which the user paused it."""
    run = save([[1.0 + k] for k in range(400)])
    with served(run) as (url, _), open_page(browser, url) as page:
        page.click("#listen")
        expect(page.locator("#step-number")).to_have_text(re.compile("^[4-9]$"))
        page.click("#listen")
        expect_state(page, "paused")
        paused = int(page.locator("#step-number").inner_text())
        page.click("#listen")
        expect_state(page, "listening")
        numbers = []
        until(
            lambda: (
                numbers.append(int(page.locator("#step-number").inner_text()))
                or numbers[-1] > paused + 2
            ),
            "the playback does not resume",
        )
        assert min(numbers) >= paused


def test_half_the_volume_is_a_quarter_of_the_gain(browser, save) -> None:
    """The slider's gain is the square of its position: equal steps sound about equal."""
    with served(save([[1.0]])) as (url, _), open_page(browser, url) as page:
        page.locator("#volume").fill("50")
        gain = page.evaluate(
            """async () => {
                const { setUpControls } = await import("./controls.js");
                let gain = null;
                const ignore = () => {};
                const onVolume = (value) => { gain = value; };
                setUpControls({ onListen: ignore, onMute: ignore, onVolume });
                return gain;
            }"""
        )
        assert gain == 0.25


def test_names_are_never_markup(browser, save) -> None:
    """The page shows comment and layer names as text and runs no script in them."""
    evil = "<img src=x onerror=alert(1)>"
    run = save(
        [[1.0, float("nan")]] * 3,
        layers=(evil, "</script><script>alert(2)</script>"),
        comment=f"{evil}&amp;",
    )
    with served(run) as (url, _), open_page(browser, url) as page:
        expect(page.locator("#comment")).to_have_text(f"{evil}&amp;")
        expect(page.locator("#bands button").first).to_contain_text(evil)
        page.click("#listen")
        expect(page.locator("#captions")).to_contain_text("</script><script>alert(2)")
        assert page.locator("img").count() == 0


def test_captions_need_no_sound(browser) -> None:
    """A page that is not listening writes captions to a live region."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, web=True)
    with open_page(browser, attachment.url) as page:
        expect_state(page, "waiting")
        train(model, optimizer, 40)
        for parameter in model.parameters():
            parameter.data.fill_(float("nan"))
        for _ in range(3):  # fast steps are merged, and a later step reports them
            train(model, optimizer, 1)
            time.sleep(0.2)
        log = page.locator("#captions")
        expect(log).to_contain_text("NaN from")
        assert log.get_attribute("role") == "log"
        assert log.get_attribute("aria-live") == "polite"
        attachment.close()
        expect(log).to_contain_text("end of the run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_shows_every_norm(browser, scheme: str) -> None:
    """The picture has many colours, and names NaN, in light and dark."""
    run = RUNS / "3-sgd-lr1-batch10.jsonl"
    options = {"color_scheme": scheme, "viewport": {"width": 900, "height": 700}}
    with served(run) as (url, _), open_page(browser, url, **options) as page:
        expect_state(page, "waiting")
        point_at_first_step(page)
        expect(page.locator("#cursor-text")).to_contain_text("tep 0")
        image = page.locator("#picture").screenshot()
        page.keyboard.press("End")
        expect(page.locator("#cursor-text")).to_contain_text("NaN")
    colours = pixels(image)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 20


@pytest.mark.realtime
def test_a_young_run_is_on_the_left(browser) -> None:
    """A live picture shows a minute; the time to come is empty, and no stall."""
    model = small()
    optimizer = sgd(model)
    size = {"width": 900, "height": 700}
    with (
        gradsound.listen(model, optimizer, web=True) as attachment,
        open_page(browser, attachment.url, viewport=size) as page,
    ):
        expect_state(page, "waiting")
        train(model, optimizer, 3)
        expect(page.locator("#step-number")).to_have_text(re.compile(r"\d"))
        page.wait_for_timeout(200)  # until the next frame of the screen
        image = pixels(page.locator("#picture").screenshot())
    row = image[40].astype(int)  # through the upper layer
    names = 100
    coloured = np.flatnonzero(np.ptp(row, axis=1) > 40)
    assert len(coloured)
    assert coloured.max() < names + 100
    assert len(np.unique(row[-200:-20], axis=0)) == 1


@pytest.mark.parametrize("layers", [4, 40, 300])
def test_zero_is_dark_in_any_number_of_layers(browser, save, layers: int) -> None:
    """Norms of 0 are dark with 0.5 to 10 % dashes, which never join to columns."""
    with (
        served(save([[0.0] * layers] * 5)) as (url, _),
        open_page(browser, url, viewport={"width": 900, "height": 700}) as page,
    ):
        point_at_first_step(page)
        expect(page.locator("#cursor-text")).to_contain_text("exactly 0")
        page.keyboard.press("Escape")
        image = pixels(page.locator("#picture").screenshot())
    dark, dash = ((image == colour).all(axis=2) for colour in (DARKEST, DASH))
    rows = (dark | dash).any(axis=1)
    dark, dash = dark[rows], dash[rows]
    assert 0.005 < dash.sum() / (dark | dash).sum() < 0.1
    assert dash.mean(axis=0).max() < 1 / 3


def test_numbered_layers_get_the_word_layer(browser, save) -> None:
    """A name without letters gets the prefix "layer"; other names stay."""
    run = save([[1.0, 2.0, 3.0]] * 3, layers=("0", "2.1", "head"))
    with served(run) as (url, _), open_page(browser, url) as page:
        names = ["layer 0", "layer 2.1", "head"]
        expect(page.locator("#bands button span")).to_have_text(names)
        point_at_first_step(page)
        expect(page.locator("#cursor-text")).to_contain_text(", layer 0: norm 1")
        page.keyboard.press("ArrowUp")
        expect(page.locator("#cursor-text")).to_contain_text(", layer 2.1: norm 2")


def pixels(png: bytes) -> np.ndarray:
    """Returns the colours of a PNG image, shape (height, width, 3)."""
    import io

    from PIL import Image

    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))
