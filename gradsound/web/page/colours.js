// The colour or pattern of a norm, and the page's own colours for the canvas.

// Viridis (van der Walt and Smith 2015, CC0): equal differences look equal, also to colour-blind
// users.
const VIRIDIS = [
  "440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725",
];
const SHADES = 256; // of the table; the eye sees no finer ones
const DARKEST = 0.1; // place in viridis of the lowest norm; darker colours mean zero
const WHITE = "ffffff";
const BLACK = "000000";
const LILAC = "c9b8dc"; // contrasts with the darkest colour
const CRIMSON = "c8102e"; // not in viridis

const PERIOD = 6; // CSS pixels of a pattern; finer looks grey, coarser needs a large area
const ROW_SHIFT = 0.382; // of a dash spacing; the golden ratio aligns the dashes of no two rows

export const PATTERNS = [
  { value: NaN, name: "NaN", meaning: "NaN: crimson with white diagonals" },
  { value: Infinity, name: "infinite", meaning: "infinite: black and white bars" },
  { value: 0, name: "exactly 0", meaning: "exactly 0: darkest, with dashes" },
  { value: -1, name: "no gradient", meaning: "no gradient: a dotted line" },
];

const SHADE_PIXELS = Uint32Array.from({ length: SHADES }, (_, shade) =>
  toPixel(viridis(DARKEST + (1 - DARKEST) * (shade / (SHADES - 1)))));

export class Palette {
  #lowPower = 0; // log10 of the lowest norm
  #shadesPerDecade = 0;
  #period; // device pixels
  #rowHeight; // device pixels
  #dashSpacing; // device pixels
  #patternColours;

  // low and high: norms. ground and faint: CSS colours "#rrggbb". pixelRatio: device pixels
  // per CSS pixel. rowHeight: device pixels.
  constructor({ low, high }, { ground, faint }, pixelRatio, rowHeight) {
    this.#lowPower = Math.log10(low);
    this.#shadesPerDecade = (SHADES - 1) / (Math.log10(high) - this.#lowPower);
    this.#period = Math.max(4, Math.round(PERIOD * pixelRatio));
    this.#rowHeight = rowHeight;
    // Low rows get fewer dashes: hundreds of rows would otherwise look like a bright bar.
    this.#dashSpacing = 2 * this.#period * Math.max(1, (2 * this.#period) / rowHeight);
    this.#patternColours = {
      nan: toPixel(CRIMSON), stripe: toPixel(WHITE), bar: toPixel(BLACK), gap: toPixel(WHITE),
      zero: toPixel(VIRIDIS[0]), dash: toPixel(LILAC),
      ground: toPixel(ground.slice(1)), dot: toPixel(faint.slice(1)),
    };
  }

  // Returns the colour of a norm; null if it has a pattern.
  colour(norm) {
    if (!(norm > 0 && norm < Infinity)) return null;
    const shade = Math.round((Math.log10(norm) - this.#lowPower) * this.#shadesPerDecade);
    return SHADE_PIXELS[Math.min(SHADES - 1, Math.max(0, shade))];
  }

  // Returns the colour of one pixel of a pattern. x and y count through all cells, so that
  // the patterns of neighbours join.
  patternColour(norm, x, y) {
    const { nan, stripe, bar, gap, zero, dash, ground, dot } = this.#patternColours;
    const period = this.#period;
    if (Number.isNaN(norm)) return modulo(x + y, period) < period / 3 ? stripe : nan;
    if (norm === Infinity) return modulo(x, period) < period / 2 ? bar : gap;
    const row = Math.floor(y / this.#rowHeight);
    const middle = y - row * this.#rowHeight === (this.#rowHeight - 1) >> 1;
    const isDash = (spacing, width) =>
      middle && modulo(x + row * ROW_SHIFT * spacing, spacing) < width;
    if (norm === 0) return isDash(this.#dashSpacing, period) ? dash : zero;
    return isDash(this.#dashSpacing / 2, period / 3) ? dot : ground;
  }
}

// Returns the page's own colours in the present colour scheme.
export function pageColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    paper: colour("paper"), ground: colour("ground"), line: colour("line"),
    ink: colour("ink"), muted: colour("muted"), faint: colour("faint"),
    accent: colour("accent"), warning: colour("warning"),
  };
}

// Returns the colours from the lowest norm to the highest as a CSS gradient.
export function colourBarGradient() {
  const stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1];
  const colours = stops.map((stop) => `#${viridis(DARKEST + (1 - DARKEST) * stop)} ${100 * stop}%`);
  return `linear-gradient(to right, ${colours.join(", ")})`;
}

// Returns a colour of viridis, at 0 to 1, as "rrggbb".
function viridis(place) {
  const scaled = place * (VIRIDIS.length - 1);
  const below = Math.min(VIRIDIS.length - 2, Math.floor(scaled));
  const fraction = scaled - below;
  let colour = "";
  for (const channel of [0, 2, 4]) {
    const [from, to] = [below, below + 1].map((index) => byteAt(VIRIDIS[index], channel));
    colour += Math.round(from + (to - from) * fraction).toString(16).padStart(2, "0");
  }
  return colour;
}

function byteAt(hex, start) {
  return parseInt(hex.slice(start, start + 2), 16);
}

// Returns a remainder of 0 or more, also of negative numbers, unlike %.
function modulo(value, period) {
  return ((value % period) + period) % period;
}

// Converts "rrggbb" to a pixel of ImageData, whose bytes are red, green, blue, alpha.
function toPixel(hex) {
  const [red, green, blue] = [0, 2, 4].map((start) => byteAt(hex, start));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
