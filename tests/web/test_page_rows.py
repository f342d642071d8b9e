"""The rows of a deep model on the page: bands first, groups and layers on demand."""

from pathlib import Path

import pytest
from helpers.browser import expect_state, open_page, point_at_first_step
from helpers.pages import served
from playwright.sync_api import Browser, Locator, Page, expect

NAN = float("nan")
BLOCKS = tuple(f"h.{k}.{part}" for k in range(40) for part in ("attn", "mlp"))
EXPERTS = tuple(
    f"model.layers.{k}.mlp.experts.{expert}.{part}"
    for k in range(27)
    for expert in range(64)
    for part in ("gate_proj", "up_proj", "down_proj")
) + tuple(f"model.layers.{k}.self_attn.q_proj" for k in range(27))
PHONE = {"width": 390, "height": 844}
SCREEN = {"width": 1280, "height": 800}
LAPTOP = {"width": 1280, "height": 640}


@pytest.fixture(autouse=True)
def _isolate(own_folder) -> None:
    """Runs each test in its own folder."""


@pytest.fixture
def deep_run(save) -> Path:
    """Returns a run of 80 layers, one of which is NaN at the last of four steps."""
    norms = [[1.0 + k / 100 for k in range(len(BLOCKS))] for _ in range(4)]
    norms[3][BLOCKS.index("h.17.mlp")] = NAN
    return save(norms, layers=BLOCKS)


def row_of(page: Page, name: str) -> Locator:
    """Returns the row of a group, or of a layer."""
    return page.locator(f'#rows [role="row"][aria-label^="{name}"]')


def row_count(page: Page) -> int:
    return page.locator('#rows [role="row"]').count()


def expect_focus(page: Page, name: str) -> None:
    """Waits until a row has the focus."""
    expect(row_of(page, name)).to_be_focused()


def test_few_layers_have_no_tree(browser: Browser, save) -> None:
    """With 48 layers at most, the picture has a row for each, and names on the canvas."""
    run = save([[1.0] * 48] * 3, layers=tuple(f"h.{k}.attn" for k in range(48)))
    with served(run) as (url, _), open_page(browser, url) as page:
        point_at_first_step(page)
        page.locator("#picture").press("ArrowUp")
        expect(page.locator("#cursor-text")).to_contain_text("h.1.attn: norm 1")
        expect(page.locator("#rows")).to_be_hidden()
        expect(page.locator("#group-help")).to_be_hidden()


@pytest.mark.parametrize("viewport", [SCREEN, PHONE])
def test_keys_open_and_close_groups(browser: Browser, deep_run: Path, viewport) -> None:
    """Arrow keys, Home, End and Enter do what they do in any tree grid."""
    with served(deep_run) as (url, _), open_page(browser, url, viewport=viewport) as page:
        expect_state(page, "waiting")
        expect(page.locator("#rows")).to_have_attribute("role", "treegrid")
        expect(row_of(page, "mlp, largest norm of 40 layers")).to_be_visible()
        assert row_count(page) == 2
        volume = page.locator("#volume").input_value()
        page.locator("#rows [tabindex='0']").focus()
        expect_focus(page, "mlp")
        page.keyboard.press("ArrowDown")
        expect_focus(page, "attention")
        expect(row_of(page, "attention")).to_have_attribute("aria-expanded", "false")
        page.keyboard.press("ArrowRight")
        expect(row_of(page, "attention")).to_have_attribute("aria-expanded", "true")
        expect_focus(page, "attention")
        assert row_count(page) == 2 + 5
        page.keyboard.press("ArrowRight")
        expect_focus(page, "h.32 to 39")
        expect(row_of(page, "h.32 to 39")).to_have_attribute("aria-level", "2")
        page.keyboard.press("Enter")
        expect(row_of(page, "h.39.attn")).not_to_have_attribute("aria-expanded", "true")
        expect(row_of(page, "h.39.attn")).to_have_attribute("aria-level", "3")
        page.keyboard.press("ArrowRight")
        expect_focus(page, "h.39.attn")
        page.keyboard.press("ArrowRight")  # a layer opens nothing
        page.keyboard.press("ArrowLeft")
        expect_focus(page, "h.32 to 39")
        page.keyboard.press("ArrowLeft")
        expect(row_of(page, "h.39.attn")).to_have_count(0)
        page.keyboard.press("End")
        expect_focus(page, "h.0 to 7")
        page.keyboard.press("Home")
        expect_focus(page, "mlp")
        page.keyboard.press("ArrowRight")  # closes the other band
        expect(row_of(page, "attention")).to_have_attribute("aria-expanded", "false")
        assert page.locator("#volume").input_value() == volume
        row_of(page, "mlp").click()
        expect(row_of(page, "mlp")).to_have_attribute("aria-expanded", "false")


def test_a_group_shows_its_largest_norm(browser: Browser, deep_run: Path) -> None:
    """The cursor's text says that the norm is the largest, and of how many layers."""
    with served(deep_run) as (url, _), open_page(browser, url) as page:
        expect_state(page, "waiting")
        text = page.locator("#cursor-text")
        point_at_first_step(page)
        expect(text).to_contain_text("attention, largest of 40 layers: norm 1.78")
        page.locator("#picture").press("ArrowUp")
        expect(text).to_contain_text("mlp, largest of 40 layers: norm 1.79")
        page.locator("#picture").press("End")
        page.locator("#picture").press("ArrowUp")
        expect(text).to_contain_text("mlp, largest of 40 layers: NaN")
        row_of(page, "attention").click()
        expect(row_of(page, "attention")).to_have_attribute("aria-expanded", "true")
        point_at_first_step(page)
        expect(text).to_contain_text("h.0 to 7, largest of 8 layers: norm 1.14")


def test_a_caption_leads_to_its_layer(browser: Browser, deep_run: Path) -> None:
    """A user who chooses an alarm sees its layer's row, in groups that were closed."""
    with served(deep_run) as (url, _), open_page(browser, url) as page:
        expect_state(page, "waiting")
        page.keyboard.press("Space")
        caption = page.locator("#captions button", has_text="NaN in h.17.mlp")
        caption.press("Enter")
        expect(page.locator("#cursor-text")).to_contain_text(
            "step 3 at 0:01, h.17.mlp: NaN"
        )
        expect(row_of(page, "h.17.mlp")).to_have_attribute("aria-level", "3")
        expect(page.locator("#picture")).to_be_focused()


@pytest.mark.parametrize("viewport", [LAPTOP, PHONE])
def test_the_picture_is_at_most_a_screen_high(browser: Browser, save, viewport) -> None:
    """With 5,000 layers, each group down to a layer opens within one screen and quickly."""
    run = save([[1.0] * len(EXPERTS)] * 3, layers=EXPERTS)
    with served(run) as (url, _), open_page(browser, url, viewport=viewport) as page:
        expect_state(page, "waiting")
        page.locator("#rows [tabindex='0']").focus()
        depth = 1
        while True:
            focused = page.locator("#rows :focus")
            expect(focused).to_have_attribute("aria-level", str(depth))
            height = page.locator("#picture").evaluate("(canvas) => canvas.clientHeight")
            assert height <= viewport["height"]
            assert (
                page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            )
            if focused.get_attribute("aria-expanded") is None:
                break
            before = row_count(page)
            page.keyboard.press("ArrowRight")
            expect(focused).to_have_attribute("aria-expanded", "true")
            assert before < row_count(page) <= 48
            page.keyboard.press("ArrowRight")
            depth += 1
        assert depth > 4
