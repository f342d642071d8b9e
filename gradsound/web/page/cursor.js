// The cursor of the picture: where the pointer or the arrow keys are, and what is there.

import { clock, norm, steps } from "./format.js";
import { layerAt } from "./layout.js";

const NEAR = 6; // CSS pixels from a mark at which it is read
const MOST_READ = 3; // marks; where they are dense the list below has them all
const LEAP = 10; // columns, with Shift

export class Cursor {
  #place = null; // {x, y} of the pointer, or {column, layer} of the keys
  #changed;

  // start() is the place where the keys begin, moved(place, byColumns, byLayers) the one to
  // which they go; chosen() is called when the place is.
  constructor(canvas, { changed, start, moved, chosen }) {
    this.#changed = changed;
    const point = ({ offsetX, offsetY }) => this.#put({ x: offsetX, y: offsetY });
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType !== "touch") this.#put(null); // a finger is lifted to read
    });
    canvas.addEventListener("click", (event) => {
      point(event);
      chosen();
    });
    canvas.addEventListener("keydown", (event) => this.#press(event, { start, moved, chosen }));
    canvas.addEventListener("blur", () => this.#put(null));
  }

  get byKeys() {
    return this.#place !== null && "column" in this.#place;
  }

  // What is under it, or null: left and right in CSS pixels, from and to as positions, the
  // columns there, the layer or null, and whether it is exactly these columns.
  find(view, columns) {
    if (this.#place === null || columns.newest === null) return null;
    if (this.byKeys) {
      const { column, layer } = this.#place;
      const left = Math.max(view.layout.left, view.x(column.start));
      const right = Math.max(left, view.x(column.end));
      return { left, right, from: column.start, to: column.end, columns: [column], layer, exact: true };
    }
    const { x, y } = this.#place;
    if (x < view.layout.left || x >= view.layout.right) return null;
    const from = view.position(x);
    const to = from + view.layout.pixels / view.scale; // one CSS pixel
    const first = columns.after(from);
    const near = columns.all.slice(first, columns.after(to) + 1);
    const found = near.filter(({ start }) => start < to);
    const layer = layerAt(view.layout, y);
    return { left: x, right: x, from, to, columns: found, layer, exact: false };
  }

  #put(place) {
    if (place === null && this.#place === null) return;
    this.#place = place;
    this.#changed();
  }

  #press(event, { start, moved, chosen }) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const columns = event.shiftKey ? LEAP : 1;
    const moves = {
      ArrowLeft: [-columns, 0], ArrowRight: [columns, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
      Home: [-Infinity, 0], End: [Infinity, 0],
    };
    if (event.key in moves) {
      // An arrow shows the cursor first; where Home and End go, it is not asked.
      const shows = !this.byKeys && event.key.startsWith("Arrow");
      const from = this.byKeys ? this.#place : start();
      this.#put(shows ? from : moved(from, ...moves[event.key]));
    } else if (event.key === "Escape") this.#put(null);
    else if (event.key === "Enter") chosen();
    else return;
    event.preventDefault();
    event.stopPropagation(); // these keys are not the page's while the picture has the focus
  }
}

// Where the keys go from a place, by columns and layers.
export function moved(columns, layerCount, { column, layer }, byColumns, byLayers) {
  const index = columns.findIndex(({ end }) => end > column.start) + byColumns;
  return {
    column: columns[Math.min(columns.length - 1, Math.max(0, index))],
    layer: Math.min(layerCount - 1, Math.max(0, layer + byLayers)),
  };
}

// What the cursor found, in words.
export function reading(found, layers, marks, view) {
  if (found === null) return "";
  const reach = (NEAR * view.layout.pixels) / view.scale;
  const [from, to] = [found.from - reach, found.to + reach];
  const near = ({ position }) => position !== null && from <= position && position <= to;
  const within = ({ step }) => found.columns.some(({ first, last }) => first <= step && step <= last);
  const about = marks.filter(found.exact ? within : near);
  const texts = about.slice(0, MOST_READ).map(({ text }) => text);
  const more = about.length > MOST_READ ? [`and ${about.length - MOST_READ} more`] : [];
  return [place(found, layers), ...texts, ...more].join(" · ");
}

function place({ columns, layer }, layers) {
  if (columns.length === 0) return "no step here";
  const first = columns[0].first;
  const last = columns.at(-1).last;
  const when = `${steps(first, last)} at ${clock(columns.at(-1).time)}`;
  if (layer === null) return when;
  const value = Math.max(...columns.map(({ norms }) => norms[layer])); // NaN above all
  const what = value > 0 && value < Infinity ? (first === last ? "norm " : "greatest norm ") : "";
  return `${when}, ${layers[layer]}: ${what}${norm(value)}`;
}
