"""A training in a real JupyterLab, in a real browser: it is heard without a port."""

import base64
import re
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from helpers.browser import expect_state, open_page
from helpers.jupyter import LISTEN, Lab, jupyter_lab
from helpers.page_files import READ
from playwright.sync_api import expect

import gradsound

STEPS = 4
_DURATION = """async (audio) => {
  while (!(audio.duration > 0)) await new Promise((done) => setTimeout(done, 50));
  return audio.duration;
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Starts a JupyterLab for all tests of this module."""
    with jupyter_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


def samples_of(frame: object) -> np.ndarray:
    """Returns all samples that a page has played, shape (N, 2)."""
    channels = frame.locator("body").evaluate(READ)
    return np.stack(
        [np.frombuffer(base64.b64decode(one), np.float32) for one in channels], axis=1
    )


def sounds_of_steps(log: object) -> list[np.ndarray]:
    """Renders each step of a run alone; returns the samples while its notes begin."""
    run, sounds = gradsound.read_run(log), []
    for step in run.steps:
        gradsound.render(gradsound.Run(run.header, [step]), "one.wav", subtype="FLOAT")
        samples = soundfile.read("one.wav", dtype="float32", always_2d=True)[0]
        sounds.append(samples[: round(len(run.header.layers) * 0.07 * 44_100)])
    return sounds


def is_in(sound: np.ndarray, recording: np.ndarray) -> bool:
    """Returns whether a recording has a sound, to the last bit."""
    first = np.flatnonzero(sound.any(axis=1))[0]
    sound = sound[first:]
    for begin in np.flatnonzero((recording == sound[0]).all(axis=1)):
        if np.array_equal(recording[begin : begin + len(sound)], sound):
            return True
    return False


@pytest.mark.realtime
@pytest.mark.usefixtures("own_folder")
def test_a_busy_cell_is_heard_as_it_is_rendered(lab, browser) -> None:
    """The page plays each step while the cell runs, with the samples of a rendering."""
    cells = LISTEN, f"train({STEPS}, 0.8)\nwait_for_file()"
    with lab.notebook(browser, *cells) as notebook:
        notebook.run(0)
        player = notebook.player(0)
        player.locator("#listen").click()
        expect_state(player, "listening")
        notebook.start(1)
        expect(player.locator("#step-number")).to_have_text(str(STEPS - 1), timeout=30_000)
        notebook.page.wait_for_timeout(500)  # until the last step has sounded
        recording = samples_of(player)
        assert notebook.status == "busy"
        notebook.let_go_on()
    sounds = sounds_of_steps(notebook.path.with_suffix(".jsonl"))
    assert len(sounds) == STEPS
    assert min(np.abs(sound).max() for sound in sounds) > 0.02
    assert all(is_in(sound, recording) for sound in sounds)


@pytest.mark.usefixtures("own_folder")
def test_a_finished_run_is_in_the_place_of_its_widget(lab, browser) -> None:
    """Each cell shows the player once; after the end, the notebook plays without a kernel.

    An interrupted cell ends nothing. A notebook that is opened elsewhere, where nobody
    trusts it, has the player too, and so has its export.
    """
    cells = LISTEN + "run", "run", "train(10**6, 0.05)", "run.close()"
    with lab.notebook(browser, *cells) as notebook:
        notebook.run(0)
        expect_state(notebook.player(0), "waiting")
        assert notebook.cell(0).locator("iframe").count() == 1
        notebook.run(1)
        notebook.start(2)
        second = notebook.player(1)
        number = second.locator("#step-number")
        expect(number).to_have_text(re.compile("[0-9]"), timeout=30_000)
        notebook.interrupt()
        expect(notebook.cell(2)).to_contain_text("KeyboardInterrupt", timeout=30_000)
        expect_state(second, "waiting")
        notebook.run(3)
        players = notebook.page.locator(".jp-Notebook audio")
        expect(players).to_have_count(2, timeout=30_000)
        assert notebook.page.locator(".jp-Notebook iframe").count() == 0
        notebook.save()
    shutil.copy(notebook.path, lab.folder / "elsewhere.ipynb")
    with lab.reading(browser, "elsewhere.ipynb") as notebook:
        plays(notebook.page.locator(".jp-Notebook audio").first)
    nbconvert = pytest.importorskip("nbconvert", reason="needs nbconvert")
    html, _ = nbconvert.HTMLExporter().from_filename(str(notebook.path))
    with open_page(browser, "about:blank", ".*", offline=True) as page:
        page.set_content(html)
        plays(page.locator("audio").first)


def plays(audio: object) -> None:
    """Fails if the browser cannot decode the sound of an element."""
    assert audio.evaluate(_DURATION) > 0.5
