"""A page of one file in Chromium: where it works, what it shows, and what it never runs."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers.browser import expect_state, open_page
from helpers.processes import until
from helpers.runs import make_run, with_signals
from playwright.sync_api import expect

import gradsound
from gradsound.runs.model import Run
from gradsound.runs.step import Step

pytestmark = pytest.mark.usefixtures("own_folder")
EVIL = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script><!-- \u2028 ' \" ]]> &amp; ${alert(3)}"
# Lists the steps that the page shows from now on.
LIST_STEPS = """() => {
  window.shown = [];
  const list = (records) => {
    const nodes = records.flatMap(({ addedNodes }) => [...addedNodes]);
    shown.push(...nodes.map(({ data }) => data));
  };
  const number = document.getElementById("step-number");
  new MutationObserver(list).observe(number, { childList: true });
}"""
# What would set the title if the policy let any markup run a script.
INJECTED = [
    "<img src=x onerror='document.title = `ran`'>",
    "<svg onload='document.title = `ran`'></svg>",
    "<button onclick='document.title = `ran`'>go</button>",
    "<a href='javascript:void(document.title = `ran`)'>go</a>",
    "<iframe srcdoc='<script>parent.document.title = `ran`</script>'></iframe>",
]


def with_losses(run: Run) -> Run:
    """Returns a run that logs a loss at each step, NaN at step 2, and evaluates twice."""
    losses = [2.5, 0.5, float("nan"), 0.25]

    def values(step: Step) -> dict[str, float]:
        found = {"loss": losses[step.number % 4], "lr": 0.1}
        return found | ({"val_loss": 1.75} if step.number in (1, 3) else {})

    fields = ("number", "time", "norms", "absent")
    steps = [
        Step(*(getattr(step, name) for name in fields), values=values(step))
        for step in run.steps
    ]
    return Run(run.header, steps, run.name)


def address(name: str) -> str:
    return Path(name).absolute().as_uri()


@contextmanager
def hosted() -> Iterator[str]:
    """Serves the working directory as any static host does; yields its address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Handler, directory=str(Path.cwd()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", ["file", "http"])
@pytest.mark.parametrize("frame", ["", '<iframe src="run.html">', "sandboxed"])
def test_it_plays_anywhere(browser, scheme: str, frame: str) -> None:
    """From a file and from a host, alone, in a frame, and in one with an origin of none."""
    gradsound.render(make_run([[1.0, 2.0]] * 30), "run.html")
    page_text = escape(Path("run.html").read_text())
    sandbox = f'<iframe sandbox="allow-scripts" srcdoc="{page_text}">'
    markup = sandbox if frame == "sandboxed" else frame
    Path("outer.html").write_text(f'<link rel="icon" href="data:,">{markup}</iframe>')
    name = "outer.html" if frame else "run.html"
    with hosted() as host:
        url = host + name if scheme == "http" else address(name)
        with open_page(browser, url) as page:
            inside = page.frames[-1]
            expect(inside.locator("body")).to_have_attribute("data-state", "waiting")
            inside.click("#listen")
            expect(inside.locator("#step-number")).to_have_text(re.compile("^[1-9]"))
            assert inside.locator("#sound-error").inner_text() == ""


def test_nothing_is_requested(browser) -> None:
    """The page asks nobody for anything, and its own policy would refuse any request."""
    gradsound.render(make_run([[1.0]] * 9), "run.html")
    with open_page(browser, address("run.html"), "Refused|violates") as page:
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.reload()
        expect_state(page, "waiting")
        page.keyboard.press("Space")
        expect_state(page, "listening")
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        assert sum(url.startswith("file:") for url in requests) == 1
        refused = page.evaluate(
            "fetch('http://localhost:9/').then(() => '', ({ message }) => message)"
        )
        assert refused == "Failed to fetch"
        for markup in INJECTED:
            page.evaluate(
                """(markup) => {
                    document.body.insertAdjacentHTML("beforeend", markup);
                    document.body.lastElementChild.dispatchEvent(new MouseEvent("click"));
                }""",
                markup,
            )
        page.wait_for_timeout(100)
        assert page.title() != "ran"


def test_names_are_never_markup(browser) -> None:
    """Layers, comment, values, title and the names of runs are text, whatever they are."""
    run = with_losses(make_run([[1.0, float("nan")]] * 4, (EVIL, SCRIPT), f"{EVIL}&amp;"))
    run = Run(run.header, run.steps, f"{SCRIPT}.jsonl")
    for title in (None, SCRIPT, "half a character \udcff"):
        gradsound.render(run, "run.html", title=title)
        with open_page(browser, address("run.html")) as page:
            expect_state(page, "waiting")
            expect(page.locator("#comment")).to_have_text(f"{EVIL}&amp;")
            expect(page.locator("#bands button").first).to_contain_text(EVIL)
            heading = page.locator("#run").text_content()
            assert heading == {
                None: "script><!-- \u2028 ' \" ]]> &amp; ${alert(3)}.jsonl"
            }.get(title, title)
            assert title != SCRIPT or page.title().startswith("</script><script>alert(2)")
            page.locator("#picture").press("Home")
            expect(page.locator("#cursor-text")).to_contain_text(f"NaN in {SCRIPT[:9]}")
            assert page.locator("img").count() == 0
            assert page.locator("script").count() == 4


def test_it_shows_what_a_server_would(browser) -> None:
    """Norms, marks, losses and signals are those of the run, at any step."""
    run = with_losses(
        make_run([[1.0, 2.5], [0.125, float("inf")], [3.0, None], [0.0, 1.0]])
    )
    gradsound.render(run, "run.html", title="A <run>")
    with open_page(browser, address("run.html")) as page:
        expect(page.locator("h1")).to_have_text("A <run>")
        text = page.locator("#cursor-text")
        page.locator("#picture").press("Home")
        expect(text).to_have_text("step 0 at 0:00, layer0: norm 1 · loss 2.5")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
        expect(text).to_contain_text("step 1 at 0:00, layer1: infinite")
        expect(text).to_contain_text("step 1: infinity in layer1")
        expect(text).to_contain_text(" · loss 0.5 · val_loss 1.75")
        page.keyboard.press("ArrowRight")
        expect(text).to_contain_text("the loss is NaN · loss NaN · val_loss 1.75")
        page.keyboard.press("End")
        page.keyboard.press("ArrowDown")
        expect(text).to_contain_text("layer0: exactly 0 · loss 0.25 · val_loss 1.75")
        page.keyboard.press("Enter")  # plays from here, and then it is over
        expect(page.locator("#captions")).to_contain_text("end of the run: 4 steps")
        expect(page.locator("#losses li").first).to_have_text("loss 0.25")
        label = page.locator("#losses > canvas").get_attribute("aria-label")
        assert label == (
            "loss: 2.5 at first, 0.25 at last; val_loss: 1.75 at first, 1.75 at last"
        )


def test_signals_follow_the_sound(browser) -> None:
    """Before the run plays, the table has its last numbers; then those that sound."""
    run = make_run([[1.0, 2.0]] * 20)
    run = with_signals(run, snr=lambda number: [0.25 if number < 19 else 0.75, 0.5])
    gradsound.render(run, "run.html")
    with open_page(browser, address("run.html")) as page:
        expect(page.locator("#signals-step")).to_have_text("at step 19")
        expect(page.locator("#signal-rows tr").first).to_contain_text("0.75")
        page.keyboard.press("Space")
        expect(page.locator("#signals-step")).to_have_text("at step 0")
        expect(page.locator("#signal-rows tr").first).to_contain_text("0.25")


def test_a_pause_goes_on_where_it_was(browser) -> None:
    """While it is paused, nothing moves; then it plays the step again at which it was."""
    gradsound.render(make_run([[1.0]] * 60), "run.html")
    with open_page(browser, address("run.html")) as page:
        number = page.locator("#step-number")
        page.keyboard.press("Space")
        expect(number).to_have_text(re.compile("^[3-9]"))
        page.keyboard.press("Space")
        expect_state(page, "paused")
        paused = int(number.inner_text())
        page.evaluate(LIST_STEPS)
        page.wait_for_timeout(600)
        assert page.evaluate("shown") == []
        page.keyboard.press("Space")
        until(lambda: len(page.evaluate("shown")) > 1, "the run does not go on")
        assert page.evaluate("shown")[:2] == [str(paused + 1), str(paused + 2)]


def test_groups_open_while_it_plays(browser) -> None:
    """A deep model has a row for each band; a key opens one, and the sound goes on."""
    names = tuple(f"h.{k}.{part}" for k in range(30) for part in ("attn", "mlp"))
    gradsound.render(make_run([[1.0] * 60] * 30, names), "run.html")
    with open_page(browser, address("run.html")) as page:
        expect(page.locator("#rows [role=row]")).to_have_count(2)
        page.click("#listen")
        expect(page.locator("#step-number")).to_have_text(re.compile("^[1-9]"))
        page.locator("#rows [role=row]").last.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#rows [role=row]")).to_have_count(8)
        before = int(page.locator("#step-number").inner_text())
        expect(page.locator("#step-number")).not_to_have_text(str(before))


def test_a_long_run_keeps_its_first_alarm(browser) -> None:
    """Of thousands of alarms, each has a mark, as a finished run has no old ones."""
    gradsound.render(make_run([*[[1.0]] * 5, [float("nan")]] * 1100), "run.html")
    with open_page(browser, address("run.html")) as page:
        text = page.locator("#cursor-text")
        page.locator("#picture").press("Home")
        page.keyboard.press("ArrowRight")
        expect(text).to_contain_text("steps 4 to 7 at 0:02, layer0: NaN")
        expect(text).to_contain_text("step 5: NaN in layer0")
        page.keyboard.press("End")
        expect(text).to_contain_text("step 6,599: NaN in layer0")


def test_two_runs_have_rows_and_bands_of_their_own(browser) -> None:
    """Each row, band and loss says whose it is, and an alarm is at its own run's row."""
    runs = [
        Run(run.header, [*run.steps], name)
        for run, name in (
            (with_losses(make_run([[1.0, 2.0]] * 5)), "sweep-sgd.jsonl"),
            (with_losses(make_run([[4.0, 3.0], [4.0, float("nan")]])), "sweep-adam.jsonl"),
        )
    ]
    gradsound.render(runs[0], "run.html", other=runs[1])
    with open_page(browser, address("run.html")) as page:
        expect(page.locator("h1")).to_have_text(
            "sweep-sgd.jsonl (left) and sweep-adam.jsonl (right)"
        )
        bands = [f"{run}: layer{k}" for run in ("sgd", "adam") for k in (0, 1)]
        expect(page.locator("#bands button span")).to_have_text(bands)
        page.locator("#picture").press("Home")
        for name, norm in zip(bands, ("1", "2", "4", "3")):
            expect(page.locator("#cursor-text")).to_contain_text(f"{name}: norm {norm} ")
            page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        text = page.locator("#cursor-text")
        expect(text).to_contain_text("adam: layer1: NaN")
        expect(text).to_contain_text("step 1: sweep-adam.jsonl, NaN in layer1")
        expect(text).to_contain_text("sgd: loss 0.5 · adam: loss 0.5")
        page.keyboard.press("End")
        expect(text).to_contain_text("step 4 at 0:01, adam: layer1: no gradient")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(browser, scheme: str, width: int) -> None:
    """No rule of axe-core is broken, with losses, signals, captions, and with the help."""
    run = with_losses(with_signals(make_run([[1.0, float("nan")]] * 4), snr=[0.1, 0.5]))
    gradsound.render(run, "run.html")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with open_page(browser, address("run.html"), **options) as page:
        expect_state(page, "waiting")
        page.keyboard.press("Space")
        expect(page.locator("#captions li").first).to_be_visible()
        for _ in ("the page", "its help"):
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert len(found.response["passes"]) > 20
            page.keyboard.press("?")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_old_browser_gets_a_sentence(browser) -> None:
    """Without DecompressionStream, an alert says what helps."""
    gradsound.render(make_run([[1.0]]), "run.html")
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(address("run.html"))
    expect(page.locator("#sound-error")).to_have_text(
        "This browser cannot decompress the run in this page. Use a newer browser."
    )
    context.close()
