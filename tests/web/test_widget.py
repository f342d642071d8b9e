"""The widget of a notebook: what its pages show, whatever the kernel hears and loses."""

import json
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from helpers.browser import expect_state
from helpers.runs import make_run
from helpers.widget import Batch, Widget, Worker, shown_widget
from playwright.sync_api import expect

from gradsound.music.captions import Caption
from gradsound.music.presets import find_preset
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.columns import Columns
from gradsound.web.layer_places import make_page_tree
from gradsound.web.messages import encode_alive, encode_caption, encode_columns
from gradsound.web.row_view import RowView

DEEP = tuple(f"h.{k}.{part}" for k in range(40) for part in ("attn", "mlp"))


@pytest.fixture
def set_up(tmp_path) -> Iterator[Batch]:
    """Returns the first batch of a worker, about a deep model: its page and its layers."""
    writer = RunWriter(tmp_path / "run.jsonl", make_run([[1.0] * 80], DEEP).header)
    worker = Worker(tmp_path / "run.jsonl", find_preset("notes", None))
    yield next(worker.batches)
    assert not worker.close()
    writer.close()


@pytest.fixture
def widget(browser, set_up) -> Iterator[Widget]:
    """Returns a widget with that page, shown once."""
    with shown_widget(browser) as shown:
        shown.receive(set_up)
        shown.show()
        expect_state(player(shown), "waiting")
        yield shown


def player(widget: Widget, index: int = 0) -> object:
    """Returns a page that the widget shows."""
    return widget.page.locator("iframe").nth(index).content_frame


def columns(*steps: int) -> bytes:
    """Returns columns of steps: the norm of a layer is its place in the tree, plus 1."""
    numbers = np.array(steps)
    norms = np.tile(np.arange(1, 81, dtype=np.float32), (len(steps), 1))
    return encode_columns(Columns(numbers / 4, numbers, numbers, norms))


def caption(step: int) -> str:
    """Returns a caption of an alarm."""
    return encode_caption(
        Caption(0.0, f"step {step}: spike", "spike", step), SAMPLE_RATE, layer=7, rows=[3]
    )


def batch(*messages: str | bytes, **facts: object) -> Batch:
    """Returns a batch with messages."""
    texts = [one if isinstance(one, str) else None for one in messages]
    return {**facts, "messages": texts}, [one for one in messages if isinstance(one, bytes)]


def test_lost_messages_are_told_of_and_come_again(widget) -> None:
    """The picture has no hole: it waits for the past, which the kernel sends again."""
    page = player(widget)
    newest, told = page.locator("#step-number"), page.locator("#countdown")
    widget.receive(batch(columns(0, 1), history=[""]))
    widget.receive(batch(columns(2), number=1))
    expect(newest).to_have_text("2")
    asked = widget.asked
    widget.receive(batch(columns(5), caption(5), number=4))
    expect(page.locator("#captions")).to_contain_text("step 5: spike")
    expect(told).to_contain_text("Messages lost: 2")
    assert (newest.inner_text(), widget.asked) == ("2", asked + 1)
    widget.receive(batch(columns(*range(7)), caption(4), history=["of another tab", ""]))
    expect(newest).to_have_text("6")
    expect(told).to_be_empty()
    widget.receive(batch(columns(7), number=5))
    expect(newest).to_have_text("7")
    page.locator("#picture").press("End")
    for step in range(6, -1, -1):
        page.locator("#picture").press("ArrowLeft")
        expect(page.locator("#cursor-text")).to_contain_text(f"step {step}")


def test_the_past_that_another_tab_asked_for_changes_nothing(widget) -> None:
    """A tab that misses nothing ignores it."""
    widget.receive(batch(columns(0, 1), history=[""]))
    widget.receive(batch(columns(2), number=1))
    widget.receive(batch(columns(0, 1, 2, 3), history=["of another tab"]))
    widget.receive(batch(columns(4), number=2))
    expect(player(widget).locator("#step-number")).to_have_text("4")
    widget.show()
    second = player(widget, 1)
    expect(second.locator("#step-number")).to_have_text("4")
    second.locator("#picture").press("End")
    second.locator("#picture").press("ArrowLeft")
    expect(second.locator("#cursor-text")).to_contain_text("step 2")  # not 3


def test_each_cell_has_the_past(widget) -> None:
    """A second cell has what the first one has; so has a cell that JupyterLab moves."""
    widget.receive(batch(columns(0, 1), caption(1), history=[""]))
    widget.receive(batch(columns(2), caption(2), number=1))
    asked = widget.asked
    widget.show()
    widget.page.evaluate("document.body.append(document.body.firstElementChild)")
    for page in player(widget), player(widget, 1):
        expect_state(page, "waiting")
        expect(page.locator("#step-number")).to_have_text("2")
        expect(page.locator("#captions li")).to_have_count(2)
    assert widget.asked == asked


def test_groups_open_while_the_kernel_is_busy(widget) -> None:
    """Opened rows are those of the server's page, with their norms, and nobody is asked."""
    page = player(widget)
    widget.receive(batch(columns(0, 1), caption(1), history=[""]))
    asked = widget.asked
    tree = make_page_tree(DEEP, find_preset("notes", None))
    page.get_by_role("row").last.click()
    view = RowView(tree, (0,))
    labels = [row.group.label for row in reversed(view.rows)]
    rows = page.get_by_role("row")
    expect(rows).to_have_count(len(labels))
    for row, label in zip(rows.all(), labels, strict=True):
        expect(row).to_contain_text(label)
    page.locator("#picture").press("End")
    group = view.rows[0].group
    expect(page.locator("#cursor-text")).to_contain_text(f"layers: norm {group.end}")
    assert widget.asked == asked


def test_a_silent_kernel_is_told_of(browser, set_up) -> None:
    """After 15 s without a message the page says so; it goes on with the next one."""
    with shown_widget(browser) as widget:
        widget.page.context.clock.install()
        widget.receive(set_up)
        widget.show()
        page = player(widget)
        widget.page.context.clock.run_for(1000)
        expect_state(page, "waiting")
        widget.page.context.clock.run_for(16_000)
        expect_state(page, "lost")
        expect(page.locator("#state")).to_contain_text("No word from the kernel")
        widget.receive(batch(encode_alive(), number=1))
        expect_state(page, "waiting")


def test_a_worker_sends_the_past_to_whoever_asks(tmp_path) -> None:
    """The past has the steps so far, in the name of who asked; the end comes last."""
    run = make_run([[1.0, 2.0]] * 5)
    writer = RunWriter(tmp_path / "run.jsonl", run.header)
    worker = Worker(tmp_path / "run.jsonl", find_preset("notes", None))
    facts, _ = next(worker.batches)
    assert facts["page"].startswith("<!doctype html>")
    writer.write(make_block([*run.steps]))
    last = -1
    while last < 4:  # the number of the last step
        facts, buffers = next(worker.batches)
        for one in buffers:
            if one.startswith(b"\x02") and "number" in facts:
                last = struct.unpack_from("<I", one, 8 + 12)[0]
    worker.process.send("history some-tab")
    while "some-tab" not in facts.get("history", ()):
        facts, buffers = next(worker.batches)
    count, _, first = struct.unpack_from("<IdI", buffers[0], 4)
    end = struct.unpack_from("<I", buffers[0], 8 + (count - 1) * (16 + 2 * 4) + 12)[0]
    assert (first, end) == (0, 4)
    writer.close()
    worker.process.send("ended ")
    worker.process.send("end")
    *_, (facts, _) = worker.batches
    assert json.loads(facts["messages"][-1]) == {"kind": "over", "how": ""}
    assert not worker.close()
