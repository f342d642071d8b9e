// From a norm to its colour or pattern, and the colours of the page for the canvas.

// Viridis (van der Walt and Smith 2015, CC0): equal steps look equal, to the colour-blind too.
const VIRIDIS = [
  "440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725",
];
const SHADES = 256; // of the table; finer is not seen
const LOWEST = 0.1; // of viridis, for the lowest norm: what is darker is kept for zero
const WHITE = "ffffff";
const BLACK = "000000";
const LILAC = "c9b8dc"; // stands out from the darkest colour
const CRIMSON = "c8102e"; // not in viridis

// Patterns repeat after this many CSS pixels: smaller is a grey, larger needs large areas.
const PERIOD = 6;
const SHIFT = 0.382; // of dashes from row to row; the golden ratio lines them up nowhere

export const PATTERNS = [
  { value: NaN, name: "NaN", meaning: "NaN: crimson with white diagonals" },
  { value: Infinity, name: "infinite", meaning: "infinite: black and white bars" },
  { value: 0, name: "exactly 0", meaning: "exactly 0: darkest, with dashes" },
  { value: -1, name: "no gradient", meaning: "no gradient: a dotted line" },
];

export class Palette {
  #table = new Uint32Array(SHADES);
  #low = 0;
  #perDecade = 0; // shades
  #period;
  #rowHeight;
  #apart; // device pixels from dash to dash
  #special;

  // low and high are norms; ground and faint are CSS colours "#rrggbb"; pixels are device
  // pixels to a CSS pixel, rowHeight is in device pixels.
  constructor({ low, high }, { ground, faint }, pixels, rowHeight) {
    this.#low = Math.log10(low);
    this.#perDecade = (SHADES - 1) / (Math.log10(high) - this.#low);
    this.#period = Math.max(4, Math.round(PERIOD * pixels));
    this.#rowHeight = rowHeight;
    // The lower the rows the fewer to each, or hundreds of rows would be one bright bar.
    this.#apart = 2 * this.#period * Math.max(1, (2 * this.#period) / rowHeight);
    this.#special = {
      nan: word(CRIMSON), stripe: word(WHITE), bar: word(BLACK), gap: word(WHITE),
      zero: word(VIRIDIS[0]), dash: word(LILAC),
      ground: word(ground.slice(1)), dot: word(faint.slice(1)),
    };
    for (let shade = 0; shade < SHADES; shade++) {
      this.#table[shade] = word(viridis(LOWEST + (1 - LOWEST) * (shade / (SHADES - 1))));
    }
  }

  // The colour of all pixels of a cell, or null if it has a pattern.
  plain(norm) {
    if (!(norm > 0 && norm < Infinity)) return null;
    const shade = Math.round((Math.log10(norm) - this.#low) * this.#perDecade);
    return this.#table[Math.min(SHADES - 1, Math.max(0, shade))];
  }

  // The colour of one pixel of a pattern; x and y count on from cell to cell, so that
  // neighbours join.
  patterned(norm, x, y) {
    const { nan, stripe, bar, gap, zero, dash, ground, dot } = this.#special;
    const period = this.#period;
    if (Number.isNaN(norm)) return within(x + y, period) < period / 3 ? stripe : nan;
    if (norm === Infinity) return within(x, period) < period / 2 ? bar : gap;
    const row = Math.floor(y / this.#rowHeight);
    const middle = y - row * this.#rowHeight === (this.#rowHeight - 1) >> 1;
    const marked = (apart, width) => middle && within(x + row * SHIFT * apart, apart) < width;
    if (norm === 0) return marked(this.#apart, period) ? dash : zero;
    return marked(this.#apart / 2, period / 3) ? dot : ground;
  }
}

// The colours of the page that the canvas needs, as they are in the present scheme.
export function pageColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    paper: colour("paper"), ground: colour("ground"), line: colour("line"),
    ink: colour("ink"), muted: colour("muted"), faint: colour("faint"),
    accent: colour("accent"), warning: colour("warning"),
  };
}

// The scale from its lowest colour to its highest, as a CSS gradient.
export function gradient() {
  const stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1];
  const colours = stops.map((stop) => `#${viridis(LOWEST + (1 - LOWEST) * stop)} ${100 * stop}%`);
  return `linear-gradient(to right, ${colours.join(", ")})`;
}

function viridis(part) {
  const place = part * (VIRIDIS.length - 1);
  const below = Math.min(VIRIDIS.length - 2, Math.floor(place));
  const between = place - below;
  let colour = "";
  for (const channel of [0, 2, 4]) {
    const [from, to] = [below, below + 1].map((index) => byteAt(VIRIDIS[index], channel));
    colour += Math.round(from + (to - from) * between).toString(16).padStart(2, "0");
  }
  return colour;
}

function byteAt(hex, start) {
  return parseInt(hex.slice(start, start + 2), 16);
}

// The place within a period, from 0 on; of negative places too, unlike %.
function within(place, period) {
  return ((place % period) + period) % period;
}

// "rrggbb" as a pixel of ImageData, whose bytes are red, green, blue, alpha.
function word(hex) {
  const [red, green, blue] = [0, 2, 4].map((start) => byteAt(hex, start));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
