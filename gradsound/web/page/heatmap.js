// The norms as an image: a row for each layer, painted from left to right.

const MARK = 6; // CSS pixels that a NaN or infinity is wide at least: one step must be seen
const GAP_FROM = 12; // device pixels of a row from which on it is set apart from the next

export class Strip {
  #context;
  #image;
  #pixels;
  #palette;
  #rowHeight;
  #mark;
  #reached = -1; // the last pixel that was painted
  #merged = null; // norms there, shape (L,)

  // width: device pixels. origin: the position of pixel 0, in pixels since position 0, so
  // that patterns stay with what they show when the strip is made anew.
  constructor({ width, layerCount, rowHeight, origin, pixels }, palette) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = layerCount * rowHeight;
    this.origin = origin;
    this.#context = this.canvas.getContext("2d");
    this.#image = this.#context.createImageData(this.canvas.width, this.canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.#palette = palette;
    this.#rowHeight = rowHeight;
    this.#mark = Math.round(MARK * pixels);
  }

  get end() {
    return this.origin + this.canvas.width;
  }

  // Paints columns, given the device pixels to a unit of position. Several that share a
  // pixel become one there: Math.max puts NaN above infinity above numbers above -1.
  paint(columns, scale) {
    let [from, to] = [this.canvas.width, 0]; // what has changed
    for (const { start, end, norms } of columns) {
      const left = Math.floor(start * scale) - this.origin;
      const right = Math.max(left + 1, Math.floor(end * scale) - this.origin);
      if (right <= 0 || left >= this.canvas.width) continue;
      const shared = left === this.#reached;
      const merged = (norm, layer) => Math.max(norm, this.#merged[layer]);
      const first = shared ? norms.map(merged) : norms;
      this.#paintCells(first, left, left + 1);
      if (right > left + 1) this.#paintCells(norms, left + 1, right);
      this.#reached = right - 1;
      this.#merged = right > left + 1 ? norms : first;
      from = Math.max(0, Math.min(from, left - this.#mark));
      to = Math.max(to, right);
    }
    if (to <= from) return;
    this.#context.putImageData(this.#image, 0, 0, from, 0, to - from, this.canvas.height);
  }

  #paintCells(norms, from, to) {
    const right = Math.min(to, this.canvas.width);
    const height = this.#rowHeight - (this.#rowHeight >= GAP_FROM ? 1 : 0);
    for (let layer = 0; layer < norms.length; layer++) {
      const top = (norms.length - 1 - layer) * this.#rowHeight; // the first is the lowest
      const colour = this.#palette.plain(norms[layer]);
      if (colour !== null) this.#fill(colour, Math.max(0, from), right, top, height);
      else this.#pattern(norms[layer], from, right, top, height);
    }
  }

  #fill(colour, left, right, top, height) {
    for (let y = top; y < top + height; y++) {
      this.#pixels.fill(colour, y * this.canvas.width + left, y * this.canvas.width + right);
    }
  }

  #pattern(norm, from, right, top, height) {
    const finite = Number.isFinite(norm);
    const left = Math.max(0, finite ? from : Math.min(from, right - this.#mark));
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < right; x++) {
        const colour = this.#palette.patterned(norm, this.origin + x, y);
        this.#pixels[y * this.canvas.width + x] = colour;
      }
    }
  }
}
