// The heatmap: an image of the norms with a row for each layer, painted from left to right.

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
  #lastNorms = null; // its norms, shape (L,)

  // width: device pixels. origin: device pixels from position 0 to the left edge, so that a
  // pattern keeps its place when the heatmap is painted again.
  constructor({ width, layerCount, rowHeight, origin, pixelRatio }, palette) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = layerCount * rowHeight;
    this.origin = origin;
    this.#context = this.canvas.getContext("2d");
    this.#image = this.#context.createImageData(this.canvas.width, this.canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.#palette = palette;
    this.#rowHeight = rowHeight;
    this.#minAlarmWidth = Math.round(MIN_ALARM_WIDTH * pixelRatio);
  }

  get end() {
    return this.origin + this.canvas.width;
  }

  // Paints columns. Columns in the same pixel merge to the largest norm: Math.max orders NaN
  // above infinity, norms, and -1 for no gradient.
  paint(columns, pixelsPerUnit) {
    let [from, to] = [this.canvas.width, 0]; // pixels that changed
    for (const { start, end, norms } of columns) {
      const left = Math.floor(start * pixelsPerUnit) - this.origin;
      const right = Math.max(left + 1, Math.floor(end * pixelsPerUnit) - this.origin);
      if (right <= 0 || left >= this.canvas.width) continue;
      const shared = left === this.#lastPixel;
      const merge = (norm, layer) => Math.max(norm, this.#lastNorms[layer]);
      const first = shared ? norms.map(merge) : norms;
      this.#paintCells(first, left, left + 1);
      if (right > left + 1) this.#paintCells(norms, left + 1, right);
      this.#lastPixel = right - 1;
      this.#lastNorms = right > left + 1 ? norms : first;
      from = Math.max(0, Math.min(from, left - this.#minAlarmWidth));
      to = Math.max(to, right);
    }
    if (to <= from) return;
    this.#context.putImageData(this.#image, 0, 0, from, 0, to - from, this.canvas.height);
  }

  #paintCells(norms, from, to) {
    const right = Math.min(to, this.canvas.width);
    const height = this.#rowHeight - (this.#rowHeight >= GAP_HEIGHT ? 1 : 0);
    for (let layer = 0; layer < norms.length; layer++) {
      const top = (norms.length - 1 - layer) * this.#rowHeight; // the first layer is lowest
      const colour = this.#palette.colour(norms[layer]);
      if (colour !== null) this.#fillCell(colour, Math.max(0, from), right, top, height);
      else this.#fillPattern(norms[layer], from, right, top, height);
    }
  }

  #fillCell(colour, left, right, top, height) {
    for (let y = top; y < top + height; y++) {
      this.#pixels.fill(colour, y * this.canvas.width + left, y * this.canvas.width + right);
    }
  }

  #fillPattern(norm, from, right, top, height) {
    const finite = Number.isFinite(norm);
    const left = Math.max(0, finite ? from : Math.min(from, right - this.#minAlarmWidth));
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < right; x++) {
        const colour = this.#palette.patternColour(norm, this.origin + x, y);
        this.#pixels[y * this.canvas.width + x] = colour;
      }
    }
  }
}
