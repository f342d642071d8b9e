// Where the parts of the picture lie on its canvas.

const WANTED_HEIGHT = 400; // CSS pixels of the norms, where rows can have the size for it
const NARROW_HEIGHT = 300; // the same on a phone
const NARROW = 600; // CSS pixels of width, below which it is a phone
const HIGHEST_ROW = 64; // CSS pixels; one layer alone needs no more
const LANE = 18; // CSS pixels above the norms, for the marks of alarms
const AXIS = 24; // CSS pixels below, for the numbers
const RIGHT = 10; // CSS pixels, so that the last number is whole
const NAMES = 0.3; // of the width at most
const LONGEST = 220; // CSS pixels of a name at most
const LEAST = 32; // CSS pixels of names: below them the axis has its own
const SPACE = 8; // CSS pixels between a name and its row

// CSS pixels between two names at least.
export const LINE = 15;
export const FONT = "12px system-ui, sans-serif";

// Lengths are CSS pixels, but rowHeight and plotPixels: device pixels, so that rows are crisp.
export function layOut(context, width, layers) {
  const pixels = window.devicePixelRatio || 1;
  const wanted = width < NARROW ? NARROW_HEIGHT : WANTED_HEIGHT;
  const rowHeight = Math.max(1, Math.floor(Math.min(HIGHEST_ROW, wanted / layers.length) * pixels));
  context.font = FONT;
  const every = Math.max(1, Math.ceil((LINE * pixels) / rowHeight));
  const room = Math.min(LONGEST, NAMES * width) - SPACE;
  const names = layers.map((layer) => elided(context, layer, room));
  const widths = names.map((name) => context.measureText(name).width);
  const left = Math.ceil(Math.max(LEAST, ...widths) + SPACE);
  const plotPixels = Math.max(1, Math.floor((width - left - RIGHT) * pixels));
  const plotHeight = (rowHeight * layers.length) / pixels;
  return {
    pixels, width, left, top: LANE, rowHeight, names, every, plotPixels, plotHeight,
    plotWidth: plotPixels / pixels, right: left + plotPixels / pixels,
    bottom: LANE + plotHeight, height: LANE + plotHeight + AXIS, nameRight: left - SPACE,
  };
}

// The upper edge of a layer's row, in CSS pixels.
export function rowTop(layout, layer) {
  return layout.top + ((layout.names.length - 1 - layer) * layout.rowHeight) / layout.pixels;
}

// The layer whose row is at y; null beside the rows.
export function layerAt(layout, y) {
  const row = Math.floor(((y - layout.top) * layout.pixels) / layout.rowHeight);
  return row >= 0 && row < layout.names.length ? layout.names.length - 1 - row : null;
}

// A name that fits. Of a path the end says most, and of the rest the first letters and the
// numbers: transformer.h.9.mlp.c_proj, t.h.9.m.c_proj, …9.m.c_proj.
function elided(context, name, room) {
  const fits = (text) => context.measureText(text).width <= room;
  const parts = name.split(".");
  for (let part = 0; part < parts.length - 1 && !fits(parts.join(".")); part++) {
    if (!/^\d/.test(parts[part])) parts[part] = parts[part].slice(0, 1);
  }
  const short = parts.join(".");
  if (fits(short)) return short;
  let rest = short.slice(1);
  while (rest && (rest.startsWith(".") || !fits(`…${rest}`))) rest = rest.slice(1);
  return `…${rest}`;
}

// Calls back when the page moves to a screen of other pixels, or is zoomed.
export function onPixelRatio(changed) {
  const query = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
  query.addEventListener("change", () => { changed(); onPixelRatio(changed); }, { once: true });
}
