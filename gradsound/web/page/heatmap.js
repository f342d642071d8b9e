// The heatmap: an image of the norms in rows, painted from left to right.

const MIN_ALARM_WIDTH = 6; // CSS pixels of a NaN or infinity; one step of it must be visible
const GAP_HEIGHT = 12; // device pixels of a row from which on a gap separates rows

export class Heatmap {
  #context;
  #image;
  #pixels;
  #palette;
  #rowHeight;
  #minAlarmWidth; // device pixels
  #lastPixel = -1; // the rightmost painted pixel
  #lastNorms = null; // its norms, one for each row

  // width: device pixels. origin: device pixels from position 0 to the left edge, so that a
  // pattern keeps its place when the heatmap is painted again. pixelsPerUnit: device pixels of
  // a unit of position.
  constructor({ width, rowCount, rowHeight, origin, pixelsPerUnit, pixelRatio }, palette) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = rowCount * rowHeight;
    this.origin = origin;
    this.pixelsPerUnit = pixelsPerUnit;
    this.#context = this.canvas.getContext("2d");
    this.#image = this.#context.createImageData(this.canvas.width, this.canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.#palette = palette;
    this.#rowHeight = rowHeight;
    this.#minAlarmWidth = Math.round(MIN_ALARM_WIDTH * pixelRatio);
  }

  // Returns whether it covers a viewport, at its number of pixels per unit.
  covers({ start, pixelsPerUnit, layout }) {
    if (this.pixelsPerUnit !== pixelsPerUnit) return false;
    const end = start + layout.plotPixels;
    return this.origin <= start && end <= this.origin + this.canvas.width;
  }

  // Copies what a viewport shows to the place of its plot.
  copyTo(context, { start, layout }) {
    const { left, top, pixelRatio, plotPixels } = layout;
    const source = [start - this.origin, 0, plotPixels, this.canvas.height];
    const corner = [Math.round(left * pixelRatio), Math.round(top * pixelRatio)];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.canvas, ...source, ...corner, plotPixels, this.canvas.height);
    context.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
  }

  // Paints columns.
  paint(columns) {
    const stretches = this.#stretches(columns);
    if (stretches.length === 0) return;
    const left = Math.max(0, stretches[0].left);
    const right = Math.min(this.canvas.width, stretches.at(-1).right);
    const height = this.#rowHeight - (this.#rowHeight >= GAP_HEIGHT ? 1 : 0);
    const rowCount = this.#lastNorms.length;
    for (let row = 0; row < rowCount; row++) {
      const top = (rowCount - 1 - row) * this.#rowHeight; // the first row is lowest
      const patterns = this.#paintLine(stretches, row, top);
      const line = top * this.canvas.width;
      for (let y = 1; y < height; y++) {
        this.#pixels.copyWithin(line + y * this.canvas.width + left, line + left, line + right);
      }
      for (const one of patterns) this.#fillPattern(one.norms[row], one, top, height);
    }
    const from = Math.max(0, left - this.#minAlarmWidth);
    this.#context.putImageData(this.#image, 0, 0, from, 0, right - from, this.canvas.height);
  }

  // Returns stretches of pixels with the norms of columns, from left to right. Columns in the
  // same pixel merge to the largest norm: Math.max orders NaN above infinity, norms, and -1
  // for no gradient.
  #stretches(columns) {
    const stretches = [];
    for (const { start, end, norms } of columns) {
      const left = Math.floor(start * this.pixelsPerUnit) - this.origin;
      const right = Math.max(left + 1, Math.floor(end * this.pixelsPerUnit) - this.origin);
      if (right <= 0 || left >= this.canvas.width) continue;
      const merge = (norm, row) => Math.max(norm, this.#lastNorms[row]);
      const shared = left === this.#lastPixel;
      const first = shared ? norms.map(merge) : norms;
      if (shared && stretches.length) {
        const before = stretches.at(-1);
        before.right -= 1;
        if (before.right <= before.left) stretches.pop();
      }
      stretches.push({ left, right: left + 1, norms: first });
      if (right > left + 1) stretches.push({ left: left + 1, right, norms });
      this.#lastPixel = right - 1;
      this.#lastNorms = right > left + 1 ? norms : first;
    }
    return stretches;
  }

  // Paints the top line of a row. Returns the stretches that have a pattern instead.
  #paintLine(stretches, row, top) {
    const line = top * this.canvas.width;
    const patterns = [];
    for (const stretch of stretches) {
      const colour = this.#palette.colour(stretch.norms[row]);
      if (colour === null) patterns.push(stretch);
      else {
        const right = Math.min(stretch.right, this.canvas.width);
        this.#pixels.fill(colour, line + Math.max(0, stretch.left), line + right);
      }
    }
    return patterns;
  }

  #fillPattern(norm, stretch, top, height) {
    const right = Math.min(stretch.right, this.canvas.width);
    const widened = Math.min(stretch.left, right - this.#minAlarmWidth);
    const left = Math.max(0, Number.isFinite(norm) ? stretch.left : widened);
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < right; x++) {
        const colour = this.#palette.patternColour(norm, this.origin + x, y);
        this.#pixels[y * this.canvas.width + x] = colour;
      }
    }
  }
}
