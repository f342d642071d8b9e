"""The page in a real browser: what is heard, seen and said there, and what may happen."""

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
from helpers.browser import chromium
from helpers.models import sgd, small, train
from helpers.pages import GRADSOUND, served
from helpers.pages import Page as Listener
from helpers.processes import MARK, processes, until
from helpers.sound_server import RATE, SoundServer
from playwright.sync_api import Browser, Page, expect

import gradsound

RUNS = Path(__file__).parents[2] / "samples" / "runs"
BELL = """
import torch

def bell(phase, bright):
    turn = 6.283185307179586 * phase
    rung = torch.sin(turn + (1 + bright) * torch.sin(2 * turn))
    return torch.where(phase < 0, 0.5 * rung, rung)
"""
GONE = r"net::ERR_(CONNECTION|EMPTY|SOCKET)|Connection closed before"  # in the console
DASH = (0xC9, 0xB8, 0xDC)
REFUSED = r"code: 403|status of 403"


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path) -> Iterator[None]:
    monkeypatch.setenv(MARK, tmp_path.name + os.urandom(4).hex())
    monkeypatch.chdir(tmp_path)
    yield
    until(lambda: not processes(), "a process is left")


@contextmanager
def opened(
    browser: Browser, url: str, expected: str = "^$", **options: object
) -> Iterator[Page]:
    """A page; whatever its console says is an error, but for what is expected."""
    context = browser.new_context(**options)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert not [text for text in wrong if not re.search(expected, text)]


def state(page: Page, name: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", name, timeout=15_000)


def louder(page: Page) -> None:
    """As loud as it is rendered."""
    page.locator("#volume").fill("100")


def heard_of(heard: np.ndarray, parts: list[np.ndarray]) -> float:
    """The share of parts of a sound that were heard, to within a thousandth."""
    both = heard.sum(axis=1, dtype=np.float64)
    power, count = np.concatenate([[0.0], np.cumsum(both**2)]), 0
    size = 1 << (2 * len(heard)).bit_length()
    spectrum = np.fft.rfft(both, size)
    for part in parts:
        other = np.fft.rfft(part.sum(axis=1, dtype=np.float64), size)
        alike = np.fft.irfft(spectrum * other.conj())[: len(heard) - len(part) + 1]
        # Where least is between them: what is alike may have more where a part is silent.
        at = int(np.argmin(power[len(part) :] - power[: -len(part)] - 2 * alike))
        count += np.abs(heard[at : at + len(part)] - part).max() < 1e-3
    return count / len(parts)


@contextmanager
def loud(server: SoundServer, url: str) -> Iterator[Page]:
    """A page whose browser plays on the server; it begins with a click."""
    with chromium() as browser, opened(browser, url) as page:
        state(page, "waiting")
        louder(page)
        page.click("#listen")
        state(page, "listening")
        until(server.playing, "nothing plays")
        yield page


@pytest.mark.parametrize("voice", ["notes", "bells:bell"])
def test_a_finished_run_sounds_as_it_is_rendered(server, voice: str) -> None:
    """Within a thousandth, and a voice that a user wrote in torch does, too."""
    Path("bells.py").write_text(BELL)
    run = RUNS / "3-sgd-lr1-batch10.jsonl"
    options = [] if voice == "notes" else ["--voice", voice]
    rendering = [*GRADSOUND, "render", run, "-o", "run.wav", "--subtype", "FLOAT"]
    subprocess.run([*rendering, *options], check=True)
    wanted = soundfile.read("run.wav", dtype="float32", always_2d=True)[0]
    step = round(RATE * (4 * 0.07 + 0.14))
    parts = [wanted[k * step : (k + 1) * step] for k in range(16)]
    assert min(np.abs(part).max() for part in parts) > 0.05
    with (
        server.recording() as recording,
        served(run, *options) as (url, _),
        loud(server, url) as page,
    ):
        for _ in range(3):  # a busy machine may lose a part of what any browser plays
            time.sleep(8)
            if (share := heard_of(recording.both(), parts)) == 1:
                break
            page.locator("#picture").press("Home")
            page.locator("#picture").press("Enter")
    assert share == 1


def test_a_training_sounds_as_it_is_rendered(server) -> None:
    """Each step when it comes, with the rhythm of the training; alarms and the end, too."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, web=True)
    with server.recording() as recording, loud(server, attachment.url) as page:
        for _ in range(4):
            train(model, optimizer, 1)
            time.sleep(0.8)
        expect(page.locator("#step")).to_contain_text("3")
        attachment.close()
        state(page, "over")
        expect(page.locator("#captions")).to_contain_text("end of the run: 4 steps")
    heard = recording.both()
    edges = np.flatnonzero(np.diff(np.flatnonzero(np.abs(heard).max(axis=1))) > RATE // 4)
    assert len(edges) == 4  # silence between four steps, and before the end is announced
    run, parts = gradsound.read_run("run.jsonl"), []
    for step in run.steps:
        gradsound.render(gradsound.Run(run.header, [step]), "one.wav", subtype="FLOAT")
        wanted = soundfile.read("one.wav", dtype="float32", always_2d=True)[0]
        parts.append(wanted[: round(len(run.header.layers) * 0.07 * RATE)])
    assert heard_of(heard, parts) > 0.7


class Tunnel:
    """Leads to a port of this machine from another, as ssh -L does; it can be cut."""

    def __init__(self, port: int) -> None:
        self._to, self._ends = port, []
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
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
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
    port = int(re.search(r":(\d+)/", url)[1])
    tunnel = Tunnel(port)
    try:
        yield tunnel, url.replace(f"127.0.0.1:{port}", f"localhost:{tunnel.port}")
    finally:
        tunnel.close()


def test_a_lost_connection_comes_again(browser) -> None:
    """Through a tunnel, as from another machine; what was missed is in the picture."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, web=True)
    with tunnelled(attachment.url) as (tunnel, url), opened(browser, url, GONE) as page:
        state(page, "waiting")
        page.keyboard.press("Space")
        state(page, "listening")
        train(model, optimizer, 1)
        expect(page.locator("#step-number")).to_have_text("0")
        tunnel.cut()
        state(page, "lost")
        expect(page.locator("#state")).to_contain_text("Connection lost. Trying again")
        for _ in range(3):
            train(model, optimizer, 1)
            time.sleep(0.4)
        tunnel.open = True
        state(page, "listening")
        train(model, optimizer, 1)
        expect(page.locator("#step-number")).to_have_text("4")
        page.locator("#picture").focus()

        def last() -> bool:
            page.keyboard.press("End")
            return "tep 4" in page.locator("#reading").inner_text()

        until(last, "the picture stands still")
        for number in (4, 3, 2, 1, 0):
            expect(page.locator("#reading")).to_contain_text(f"tep {number}")
            page.keyboard.press("ArrowLeft")
        attachment.close()
        state(page, "over")


def test_a_finished_run_waits_for_its_network(browser, save) -> None:
    """Every step is shown while it sounds, also when nothing came for some seconds."""
    run = save([[1.0, 2.0, 0.5, 3.0]] * 40)
    with (
        served(run) as (direct, _),
        tunnelled(direct) as (tunnel, url),
        opened(browser, url) as page,
    ):
        state(page, "waiting")
        page.evaluate(
            """() => {
              window.seen = [];
              const number = document.getElementById("step-number");
              const see = () => seen.push([number.textContent, performance.now()]);
              new MutationObserver(see).observe(number, { childList: true });
            }"""
        )
        page.keyboard.press("Space")
        expect(page.locator("#step-number")).to_have_text("3")
        tunnel.flows.clear()
        time.sleep(5)
        tunnel.flows.set()
        until(lambda: page.evaluate("seen.at(-1)[0]") == "39", "it stands still", 30)
        seen, times = zip(*page.evaluate("seen"))
    assert seen == tuple(str(k) for k in range(40))
    held = np.diff(times).argmax() + 1
    assert 3 < held < 12  # what had come before the tunnel stood still sounded on
    for part in times[:held], times[held:]:
        ahead = 420 * np.arange(len(part)) - np.subtract(part, part[0])  # ms
        assert ahead.max() < 420  # one step


def test_who_presses_early_hears_it_later(browser, save) -> None:
    """Before a page knows what there is to hear: there is no room for one more listener."""
    with served(save([[1.0]] * 200)) as (url, _):
        others = [Listener(url) for _ in range(64)]
        with opened(browser, url, "503") as page:
            state(page, "lost")
            page.keyboard.press("Space")
            expect(page.locator("#listen-text")).to_have_text("Pause")
            page.click("#listen")
            expect(page.locator("#listen-text")).to_have_text("Listen")
            page.click("#listen")
            others.pop().close()
            state(page, "listening")
            expect(page.locator("#step-number")).to_have_text(re.compile(r"^[1-9]\d*$"))
        for other in others:
            other.close()


def test_a_page_says_where_its_run_is(browser) -> None:
    """Before the first step, and after the last: how it ended, and what is next."""
    model = small()
    optimizer = sgd(model)
    words = None

    def trained(page: Page) -> None:
        state(page, "waiting")
        expect(words).to_contain_text("No step has come yet.")
        page.keyboard.press("Space")
        state(page, "listening")
        expect(words).to_contain_text("Listening live. No step has come yet.")
        train(model, optimizer, 1)
        expect(words).to_have_text(re.compile("^Listening live. ?$"))
        raise RuntimeError("out of <memory>")

    attachment = gradsound.listen(model, optimizer, web=True)
    with opened(browser, attachment.url) as page:
        words = page.locator("#state")
        with pytest.raises(RuntimeError), attachment:
            trained(page)
        state(page, "over")
        expect(words).to_contain_text("The run is over: RuntimeError: out of <memory>.")
        expect(words).to_contain_text("The next run has another address")
        expect(page.locator("#listen")).to_be_disabled()


def test_an_address_of_an_earlier_run_says_so(browser) -> None:
    """When the training was begun anew, on the same port."""
    model = small()
    optimizer = sgd(model)
    first = gradsound.listen(model, optimizer, web=True)
    url = first.url
    port = int(re.search(r":(\d+)/", url)[1])
    with (
        tunnelled(url) as (tunnel, through),
        opened(browser, through, f"{GONE}|{REFUSED}") as page,
    ):
        state(page, "waiting")
        tunnel.cut()
        with pytest.warns(gradsound.errors.GradsoundWarning):
            first.close()
        second = gradsound.listen(model, optimizer, web=port)
        tunnel.open = True
        state(page, "refused")
        expect(page.locator("#state")).to_contain_text("not valid any more")
        with pytest.warns(gradsound.errors.GradsoundWarning):
            second.close()


def test_everything_by_keys(browser, save) -> None:
    """Listening, volume, mute, bands, help, and the picture with where to play from."""
    run = save([[1.0 + k, 2.0, 0.5] for k in range(40)])
    with served(run) as (url, _), opened(browser, url) as page:
        state(page, "waiting")
        expect(page.locator("#nothing")).to_contain_text("written here as they sound")
        page.keyboard.press("Space")
        state(page, "listening")
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
        expect(page.locator("#reading")).to_contain_text("39")
        page.keyboard.press("Enter")
        expect(page.locator("#step-number")).to_have_text("39")
        state(page, "over")
        page.keyboard.press("Space")  # at once, though the last sound may not be over
        state(page, "listening")
        expect(page.locator("#step-number")).to_have_text(re.compile("^[1-9]$"))


def test_a_pause_and_on(browser, save) -> None:
    """It goes on with the step at which it paused."""
    run = save([[1.0 + k] for k in range(400)])
    with served(run) as (url, _), opened(browser, url) as page:
        page.click("#listen")
        expect(page.locator("#step-number")).to_have_text(re.compile("^[4-9]$"))
        page.click("#listen")
        state(page, "paused")
        paused = int(page.locator("#step-number").inner_text())
        page.click("#listen")
        state(page, "listening")
        numbers = []
        until(
            lambda: (
                numbers.append(int(page.locator("#step-number").inner_text()))
                or numbers[-1] > paused + 2
            ),
            "it does not go on",
        )
        assert min(numbers) >= paused


def test_what_a_run_is_called_is_text(browser, save) -> None:
    """Never markup, whoever named it; and the page runs nothing of it."""
    evil = "<img src=x onerror=alert(1)>"
    run = save(
        [[1.0, float("nan")]] * 3,
        layers=(evil, "</script><script>alert(2)</script>"),
        comment=f"{evil}&amp;",
    )
    with served(run) as (url, _), opened(browser, url) as page:
        expect(page.locator("#note")).to_have_text(f"{evil}&amp;")
        expect(page.locator("#bands button").first).to_contain_text(evil)
        page.click("#listen")
        expect(page.locator("#captions")).to_contain_text("</script><script>alert(2)")
        assert page.locator("img").count() == 0


def test_the_words_are_there_without_sound(browser) -> None:
    """Alarms come to a live region, for who reads or has them read."""
    model = small()
    optimizer = sgd(model)
    attachment = gradsound.listen(model, optimizer, web=True)
    with opened(browser, attachment.url) as page:
        state(page, "waiting")
        train(model, optimizer, 40)
        for parameter in model.parameters():
            parameter.data.fill_(float("nan"))
        for _ in range(3):  # what comes fast is told a tenth of a second later, by a step
            train(model, optimizer, 1)
            time.sleep(0.2)
        log = page.locator("#captions")
        expect(log).to_contain_text("NaN in")
        assert log.get_attribute("role") == "log"
        assert log.get_attribute("aria-live") == "polite"
        attachment.close()
        expect(log).to_contain_text("end of the run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_shows_every_layer(browser, scheme: str) -> None:
    """Each norm has its colour, in light and dark, and NaN none of these."""
    run = RUNS / "3-sgd-lr1-batch10.jsonl"
    options = {"color_scheme": scheme, "viewport": {"width": 900, "height": 700}}
    with served(run) as (url, _), opened(browser, url, **options) as page:
        state(page, "waiting")
        expect(page.locator("#picture")).to_be_visible()
        page.locator("#picture").focus()
        page.keyboard.press("Home")
        expect(page.locator("#reading")).to_contain_text("tep 0")
        image = page.locator("#picture").screenshot()
        page.keyboard.press("End")
        expect(page.locator("#reading")).to_contain_text("NaN")
    colours = pixels(image)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 20


def test_a_run_that_has_just_begun_is_on_the_left(browser) -> None:
    """A minute has room; what is not yet is empty, and no stall either."""
    model = small()
    optimizer = sgd(model)
    size = {"width": 900, "height": 700}
    with (
        gradsound.listen(model, optimizer, web=True) as attachment,
        opened(browser, attachment.url, viewport=size) as page,
    ):
        state(page, "waiting")
        train(model, optimizer, 3)
        expect(page.locator("#step-number")).to_have_text(re.compile(r"\d"))
        page.wait_for_timeout(200)  # it is painted with the next frame of the screen
        image = pixels(page.locator("#picture").screenshot())
    row = image[40].astype(int)  # through the upper layer
    names = 100
    coloured = np.flatnonzero(np.ptp(row, axis=1) > 40)
    assert len(coloured)
    assert coloured.max() < names + 100
    assert len(np.unique(row[-200:-20], axis=0)) == 1


@pytest.mark.parametrize("layers", [4, 40, 300])
def test_zero_is_dark_however_many_layers(browser, save, layers: int) -> None:
    """Of layers that are 0, some pixels in a hundred are dashes, and no column is."""
    with (
        served(save([[0.0] * layers] * 5)) as (url, _),
        opened(browser, url, viewport={"width": 900, "height": 700}) as page,
    ):
        state(page, "waiting")
        page.locator("#picture").focus()
        page.keyboard.press("Home")
        expect(page.locator("#reading")).to_contain_text("exactly 0")
        page.keyboard.press("Escape")
        image = pixels(page.locator("#picture").screenshot())
    dark, dash = ((image == colour).all(axis=2) for colour in ((68, 1, 84), DASH))
    there = (dark | dash).any(axis=1)
    dark, dash = dark[there], dash[there]
    assert 0.005 < dash.sum() / (dark | dash).sum() < 0.1
    assert dash.mean(axis=0).max() < 1 / 3


def test_layers_of_a_sequential_are_called_so(browser, save) -> None:
    """A name that is but a number says nothing; others are as they are."""
    run = save([[1.0, 2.0, 3.0]] * 3, layers=("0", "2.1", "head"))
    with served(run) as (url, _), opened(browser, url) as page:
        names = ["layer 0", "layer 2.1", "head"]
        expect(page.locator("#bands button span")).to_have_text(names)
        page.locator("#picture").focus()
        page.keyboard.press("Home")
        expect(page.locator("#reading")).to_contain_text(", layer 0: norm 1")
        page.keyboard.press("ArrowUp")
        expect(page.locator("#reading")).to_contain_text(", layer 2.1: norm 2")


def pixels(png: bytes) -> np.ndarray:
    """A picture's colours, shape (height, width, 3)."""
    import io

    from PIL import Image

    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))
