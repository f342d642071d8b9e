"""Runs in a notebook, in TensorBoard and in W&B, read back by these tools."""

import base64
import io
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import wandb
from helpers.models import small, train
from helpers.runs import make_run
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from playwright.sync_api import Browser, expect
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import gradsound
from gradsound.errors import MissingExtraError

pytestmark = pytest.mark.usefixtures("own_folder")
NASTY = """<script>document.title = "ran"</script>'"><img src=x onerror=alert(1)>"""
RUN = [[1 / 3, 2 / 3], [1 / 7, np.nan], [1 / 3, None]] * 4


def display(notebook: InteractiveShell, code: str, **names: object) -> dict[str, str]:
    """Runs a cell and returns its output by MIME type, as IPython formats it."""
    notebook.user_ns |= names
    execution = notebook.run_cell(code)
    execution.raise_error()
    data, _ = notebook.display_formatter.format(execution.result)
    return data


def public_run(norms: list[list[float | None]]) -> gradsound.Run:
    """Returns a run of the public class, which notebooks display."""
    run = make_run(norms)
    return gradsound.Run(run.header, run.steps, run.name)


def embedded(html: str, kind: str) -> bytes:
    (encoded,) = re.findall(rf'src="data:{kind};base64,([^"]*)"', html)
    return base64.b64decode(encoded)


def sound_in(html: str) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(embedded(html, "audio/flac")), dtype="int16")


def rendered(run: gradsound.Run, name: str = "own.flac") -> np.ndarray:
    gradsound.render(run, name, duration=20)
    return soundfile.read(name, dtype="int16")[0]


def test_a_run_in_a_notebook(notebook, save) -> None:
    """A run shows a player of the sound of `render`, a picture, and its events."""
    run = gradsound.read_run(save(RUN, comment="try 7"))
    html = display(notebook, "gradsound.read_run('run.jsonl')")["text/html"]
    samples, rate = sound_in(html)

    assert rate == 44_100
    np.testing.assert_array_equal(samples, rendered(run))
    assert embedded(html, "image/png").startswith(b"\x89PNG")
    assert f"<b>try 7</b>: 12 steps in {len(samples) / rate:.1f} s of sound" in html
    assert "step 1: NaN in layer1" in html
    assert "http" not in html  # the browser loads nothing else


def test_a_run_in_a_browser(browser: Browser, save, notebook) -> None:
    """In a browser the player loads, the picture shows, and names are escaped."""
    save([row[::-1] for row in RUN], layers=(NASTY, "b"), comment=NASTY)
    html = display(notebook, "gradsound.read_run('run.jsonl')")["text/html"]
    page, errors = browser.new_page(), []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.set_content(html)
    page.wait_for_function("document.querySelector('audio').readyState >= 1")
    seconds = page.evaluate("document.querySelector('audio').duration")

    assert page.locator("audio, img").count() == 2
    assert page.evaluate("document.querySelector('img').naturalWidth") > 1000
    assert seconds == pytest.approx(len(rendered(gradsound.read_run("run.jsonl"))) / 44_100)
    assert page.locator("b").text_content() == NASTY
    assert f"step 1: NaN in {NASTY}" in page.locator("img").get_attribute("alt")
    assert f"step 1: NaN in {NASTY}" in page.locator("p").first.text_content()
    assert page.title() == ""
    assert errors == []
    page.close()


def test_a_long_run_is_a_time_lapse(notebook) -> None:
    """A long run becomes at most 20 s of sound and 3 MB of HTML."""
    run = public_run([[0.1 + k % 7, 2.0] for k in range(3_000)])
    html = display(notebook, "run", run=run)["text/html"]

    assert 15 < len(sound_in(html)[0]) / 44_100 <= 20
    assert len(html) < 3e6


def test_a_run_that_can_be_read_once_is_not_consumed(notebook) -> None:
    """A run with an iterator of steps shows as text, and keeps its steps."""
    run = public_run(RUN)
    run = replace(run, steps=iter(run.steps))

    assert "text/html" not in display(notebook, "run", run=run)
    assert len([*run.steps]) == 12


def test_a_selection_of_it_is_not_consumed(notebook) -> None:
    """A selection of a run with an iterator of steps shows as text, and keeps them."""
    run = public_run(RUN)
    selection = replace(run, steps=iter(run.steps)).select("layer1")

    assert "text/html" not in display(notebook, "selection", selection=selection)
    assert [step.norms.shape for step in selection.steps] == [(1,)] * 12
    assert "<audio" in display(notebook, "run", run=run.select("layer1"))["text/html"]


def test_errors_are_shown(notebook, save) -> None:
    """A run without steps, with a broken line or without its file shows the error."""
    run = gradsound.read_run(save([], layers=("a<b", "c")))

    assert "has no steps" in display(notebook, "run", run=run)["text/html"]
    with Path("run.jsonl").open("a") as file:
        file.write('{"step": "<i>"}\n')
    assert "run.jsonl, line 2: " in (html := display(notebook, "run")["text/html"])
    assert "<i>" not in html
    Path("run.jsonl").unlink()
    assert "No such file" in display(notebook, "run")["text/html"]


def test_without_matplotlib_there_is_sound(notebook, save, monkeypatch) -> None:
    """Without matplotlib a run shows its player, and how to install matplotlib."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    html = display(notebook, "run", run=gradsound.read_run(save(RUN)))["text/html"]

    assert len(sound_in(html)[0]) > 44_100
    assert "No picture: matplotlib is not installed: pip install" in html


def test_an_attachment_in_a_notebook(notebook) -> None:
    """An attachment shows its own run, also when it is closed or its file is renamed."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    attachment = gradsound.attach(model, optimizer, comment="first")
    before = display(notebook, "attachment", attachment=attachment)["text/html"]
    train(model, optimizer, 1)
    during = display(notebook, "attachment")["text/html"]
    train(model, optimizer, 3)
    attachment.close()
    with gradsound.attach(model, optimizer, comment="second"):
        train(model, optimizer, 2)
    after = display(notebook, "attachment")["text/html"]

    assert "has no steps" in before
    assert "<b>first</b>: 1 step in" in during
    assert "<b>first</b>: 4 steps in" in after
    Path("run.1.jsonl").unlink()
    assert "the file no longer exists" in display(notebook, "attachment")["text/html"]


def test_an_attachment_shows_every_step(notebook) -> None:
    """An attachment shows every step at any time, also those not yet written."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with gradsound.attach(model, optimizer) as attachment:
        for steps in (30, 60, 90):
            train(model, optimizer, 30)
            html = display(notebook, "attachment", attachment=attachment)["text/html"]
            assert f": {steps} steps in" in html


@pytest.fixture
def _frequent_thread_switches() -> Iterator[None]:
    """Python switches threads every microsecond, to provoke races."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_frequent_thread_switches")
def test_an_attachment_shown_by_other_threads() -> None:
    """While other threads show an attachment, every step is recorded once, in order."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    attachment, closed = gradsound.attach(model, optimizer), threading.Event()

    def show() -> None:
        while not closed.is_set():
            attachment._monitor.flush()  # the display's first action

    threads = [threading.Thread(target=show) for _ in range(3)]
    for thread in threads:
        thread.start()
    train(model, optimizer, 3000)
    closed.set()
    for thread in threads:
        thread.join()
    attachment.close()

    numbers = [step.number for step in gradsound.read_run("run.jsonl").steps]
    assert numbers == [*range(3000)]


def test_an_attachment_without_a_run_file(notebook) -> None:
    """An attachment without a run file shows a sentence that says so."""
    model = small()
    with gradsound.attach(model, log=None, wav="it.wav") as attachment:
        train(model, torch.optim.SGD(model.parameters(), lr=0.01))
        html = display(notebook, "attachment", attachment=attachment)["text/html"]

    assert "This training writes no run file" in html


def test_an_attachment_on_a_page(notebook) -> None:
    """During training an attachment shows its page and a link, afterwards its run."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with gradsound.listen(model, optimizer, web=0) as attachment:
        train(model, optimizer)
        url = attachment.url
        html = display(notebook, "attachment", attachment=attachment)["text/html"]

    assert f'<a href="{url}"' in html
    assert f'<iframe src="{url}"' in html
    assert "<audio" in display(notebook, "attachment")["text/html"]


def test_tensorboard(save) -> None:
    """TensorBoard gets the rendered sound, mono, and the picture, at the last step."""
    run = gradsound.read_run(save(RUN))
    with SummaryWriter("logs") as writer:
        run.to_tensorboard(writer)
        run.select("layer0").to_tensorboard(writer, "first")
    events = EventAccumulator("logs", {"audio": 0, "images": 0}).Reload()
    (sound,), (image,) = (
        events.Audio("gradsound/sound"),
        events.Images("gradsound/picture"),
    )
    samples, rate = soundfile.read(io.BytesIO(sound.encoded_audio_string), dtype="int16")
    expected = rendered(run).mean(axis=1)

    assert events.Tags()["audio"] == ["gradsound/sound", "first/sound"]
    assert (sound.step, image.step) == (11, 11)
    assert (rate, samples.ndim) == (44_100, 1)
    # TensorBoard rounds towards 0, and rounding to 16 bits happens twice.
    assert np.abs(samples - expected).max() <= 2
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert image.width > 1000


def test_tensorboard_needs_matplotlib(save, monkeypatch) -> None:
    """Without matplotlib, to_tensorboard raises before it adds the sound."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    run = gradsound.read_run(save(RUN))
    with (
        SummaryWriter("logs") as writer,
        pytest.raises(MissingExtraError, match="matplotlib"),
    ):
        run.to_tensorboard(writer)

    assert EventAccumulator("logs").Reload().Tags()["audio"] == []


def test_wandb(save, monkeypatch) -> None:
    """An offline W&B run has the rendered sound, with the run's comment as caption."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = gradsound.read_run(save(RUN, comment="try 7"))
    with wandb.init(mode="offline", project="p", dir=Path.cwd()) as logging:
        sound = run.audio()
        logging.log({"sound": sound})
    (path,) = Path("wandb").glob("offline-run-*/files/media/audio/sound_*.wav")
    samples, rate = soundfile.read(path, dtype="int16")

    assert isinstance(sound, wandb.Audio)
    assert sound._caption == "try 7"
    assert rate == 44_100
    np.testing.assert_array_equal(samples, rendered(run))


def test_plot_on_axes(save) -> None:
    """plot(ax=) draws on these axes and leaves the rest of the figure unchanged."""
    gradsound.plot(save(RUN, comment="$try$ 7"), "own.png")
    figure = Figure()
    left, right = figure.subplots(1, 2)
    gradsound.plot(save(RUN, comment="$try$ 7"), ax=right, preset="chord")
    figure.savefig("both.png")

    assert right.get_title().replace("\n", " ") == "$try$ 7: 12 steps, preset chord"
    first = next(one for one in right.lines if one.get_label() == " layer0")
    np.testing.assert_allclose(first.get_data(), [np.arange(12), [1 / 3, 1 / 7, 1 / 3] * 4])
    assert right.get_xlabel() == "step"
    (time_axis,) = right.child_axes
    assert time_axis.get_xlabel() == "time in the sound"
    assert time_axis.spines["top"].get_visible()  # not over the steps
    assert "nonfinite" in [text.get_text() for text in right.get_yticklabels()]
    assert not left.has_data()
    assert figure.get_suptitle() == ""
    assert [axes for axes in figure.axes if axes.get_ylabel() == "pitch, Hz"]


@pytest.mark.parametrize(
    ("arguments", "description"),
    [({}, "neither"), ({"path": "x.png", "ax": 1}, "'x.png' and int")],
)
def test_plot_takes_a_path_or_axes(arguments: dict[str, object], description: str) -> None:
    """`plot` refuses both and neither of path and ax."""
    with pytest.raises(
        ValueError, match=f"a path to write, or ax to draw on, got {description}"
    ):
        gradsound.plot(make_run(RUN), **arguments)


@contextmanager
def host(page: bytes) -> Iterator[int]:
    """Serves a page as a notebook's server does, and yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "elsewhere.localhost"])
def test_the_page_in_a_notebook_of_this_machine(
    browser: Browser, notebook, name: str
) -> None:
    """A notebook on this machine may frame the page; one of another name may not."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with gradsound.listen(model, optimizer, web=0) as attachment:
        html = display(notebook, "attachment", attachment=attachment)["text/html"]
        with host(html.encode()) as port:
            page, url = browser.new_page(), f"http://{name}:{port}/"
            if name == "elsewhere.localhost":
                with page.expect_console_message(
                    lambda message: "frame-ancestors" in message.text
                ):
                    page.goto(url)
            else:
                page.goto(url)
                body = page.frame_locator("iframe").locator("body")
                expect(body).to_have_attribute("data-state", "waiting")
            page.close()
