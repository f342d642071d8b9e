"""The heatmap of the page: every norm has its colour or pattern, however columns come."""

import numpy as np
import pytest
from helpers.browser import expect_state, open_page
from helpers.pages import served
from playwright.sync_api import Browser

# Paints columns in parts of a size; returns the pixels of the canvas.
PAINT = """async ({ columns, size, pixelsPerUnit, rowHeight }) => {
  const { Heatmap } = await import("./heatmap.js");
  const { Palette } = await import("./colours.js");
  const rowCount = columns[0].length;
  const range = { low: 0.1, high: 10 };
  const colours = { ground: "#efeeeb", faint: "#667079" };
  const palette = new Palette(range, colours, 1, rowHeight);
  const parts = { width: 60, rowCount, rowHeight, origin: 0, pixelsPerUnit, pixelRatio: 1 };
  const heatmap = new Heatmap(parts, palette);
  const number = (norm) => (typeof norm === "string" ? Number(norm) : norm);
  const all = columns.map((norms, k) => ({
    start: k, end: k + 1, norms: Float32Array.from(norms, number),
  }));
  for (let k = 0; k < all.length; k += size) heatmap.paint(all.slice(k, k + size));
  const { width, height } = heatmap.canvas;
  const { data } = heatmap.canvas.getContext("2d").getImageData(0, 0, width, height);
  return Array.from(new Uint32Array(data.buffer));
}"""
NORMS = ("NaN", "Infinity", 0.0, -1.0, 0.5, 2.0, 5.0)


@pytest.mark.parametrize("pixels_per_column", [3.0, 1.0, 0.4])
@pytest.mark.parametrize("row_height", [3, 20])
def test_one_painting_equals_many(
    browser: Browser, save, pixels_per_column: float, row_height: int
) -> None:
    """Columns that come one by one, or all at once, give the same pixels."""
    random = np.random.default_rng(0)
    count = int(50 / pixels_per_column)
    columns = [[NORMS[k] for k in row] for row in random.integers(0, 7, (count, 4))]
    columns[:8] = [[norm] * 4 for norm in NORMS[2:6] for _ in range(2)]
    with served(save([[1.0]])) as (url, _), open_page(browser, url) as page:
        expect_state(page, "waiting")

        def paint(size: int) -> np.ndarray:
            settings = {"pixelsPerUnit": pixels_per_column, "rowHeight": row_height}
            painted = page.evaluate(PAINT, {"columns": columns, "size": size, **settings})
            return np.array(painted).reshape(-1, 60)

        whole = paint(count)
        for size in (1, 7):
            np.testing.assert_array_equal(paint(size), whole)
    assert len(np.unique(whole)) >= 7


def test_a_colour_fills_its_cell(browser: Browser, save) -> None:
    """A cell has one colour in its whole height, without the gap to the row below."""
    columns = [[0.5, 2.0], [5.0, 0.2]]
    with served(save([[1.0]])) as (url, _), open_page(browser, url) as page:
        expect_state(page, "waiting")
        settings = {"size": 2, "pixelsPerUnit": 30, "rowHeight": 20}
        painted = page.evaluate(PAINT, {"columns": columns, **settings})
    image = np.array(painted).reshape(40, 60)
    for top in (0, 20):
        for left in (0, 30):
            assert len(np.unique(image[top : top + 19, left : left + 30])) == 1
        assert not image[top + 19].any()
    assert len(np.unique(image)) == 5
