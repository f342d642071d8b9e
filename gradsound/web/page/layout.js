// The layout of the picture: where rows, names, marks and axis lie on its canvas.

// CSS pixels, except MAX_NAME_SHARE.
const PLOT_HEIGHT = 400; // of all rows together
const NARROW_PLOT_HEIGHT = 300; // the same on a phone
const NARROW_WIDTH = 600; // of a phone, at most
const MAX_ROW_HEIGHT = 64; // a run of one layer needs no more
const MARK_LANE = 18; // above the rows, for the marks of alarms
const AXIS_HEIGHT = 24; // below the rows
const RIGHT_MARGIN = 10; // for half of the last number on the axis
const MAX_NAME_SHARE = 0.3; // of the width
const MAX_NAME_WIDTH = 220;
const MIN_NAME_WIDTH = 32; // the title of the axis needs as much
const NAME_GAP = 8; // between a name and its row

export const LINE_HEIGHT = 15; // CSS pixels between two names, at least
export const FONT = "12px system-ui, sans-serif";

// Lengths are CSS pixels, but rowHeight and plotPixels are whole device pixels, so that rows
// are sharp. pixelRatio: device pixels per CSS pixel. nameInterval: rows from name to name.
export function layOut(context, width, layers) {
  const pixelRatio = window.devicePixelRatio || 1;
  const wantedHeight = width < NARROW_WIDTH ? NARROW_PLOT_HEIGHT : PLOT_HEIGHT;
  const cssRowHeight = Math.min(MAX_ROW_HEIGHT, wantedHeight / layers.length);
  const rowHeight = Math.max(1, Math.floor(cssRowHeight * pixelRatio));
  context.font = FONT;
  const nameInterval = Math.max(1, Math.ceil((LINE_HEIGHT * pixelRatio) / rowHeight));
  const room = Math.min(MAX_NAME_WIDTH, MAX_NAME_SHARE * width) - NAME_GAP;
  const names = layers.map((layer) => shorten(context, layer, room));
  const widths = names.map((name) => context.measureText(name).width);
  const left = Math.ceil(Math.max(MIN_NAME_WIDTH, ...widths) + NAME_GAP);
  const plotPixels = Math.max(1, Math.floor((width - left - RIGHT_MARGIN) * pixelRatio));
  const plotHeight = (rowHeight * layers.length) / pixelRatio;
  const bottom = MARK_LANE + plotHeight;
  return {
    pixelRatio, width, left, top: MARK_LANE, rowHeight, names, nameInterval, plotPixels,
    plotHeight, plotWidth: plotPixels / pixelRatio, right: left + plotPixels / pixelRatio,
    bottom, height: bottom + AXIS_HEIGHT, nameRight: left - NAME_GAP,
  };
}

// Returns the upper edge of a layer's row, in CSS pixels.
export function rowTop(layout, layer) {
  return layout.top + ((layout.names.length - 1 - layer) * layout.rowHeight) / layout.pixelRatio;
}

// Returns the layer whose row is at y; null above and below the rows.
export function layerAt(layout, y) {
  const row = Math.floor(((y - layout.top) * layout.pixelRatio) / layout.rowHeight);
  return row >= 0 && row < layout.names.length ? layout.names.length - 1 - row : null;
}

// Shortens a name to fit. The end of a path tells most, so the parts before it keep their
// first letter and their numbers: transformer.h.9.mlp.c_proj, t.h.9.m.c_proj, …9.m.c_proj.
function shorten(context, name, room) {
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

// Calls back when the pixel ratio changes: another screen, or another zoom.
export function onPixelRatioChange(callback) {
  const query = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
  const change = () => {
    callback();
    onPixelRatioChange(callback);
  };
  query.addEventListener("change", change, { once: true });
}
