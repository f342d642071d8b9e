// The layout of the picture: where rows, names, marks and axis lie on its canvas.

import { formatNumber } from "./format.js";
import { areGroups } from "./rows.js";

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

// The same of a deep model, whose rows are a tree of groups. They are lower while many groups
// are open, so that the picture never exceeds a screen.
const GROUP_HEIGHT = 24; // of a row; a finger needs as much
const GROUP_MIN_HEIGHT = 10;
const GROUP_NAME_SHARE = 0.42; // of a phone's width
const GROUP_NAME_WIDTH = 270;
const INDENT = 12; // of each level
const MAX_INDENT_SHARE = 0.05; // of the room for names
const ARROW_WIDTH = 16; // before the name of a group
const SCREEN_MARGIN = 40; // above and below the picture together
const FONT_SHARE = 0.8; // of a low row, for its name
const MAX_FONT = 12;

export const LINE_HEIGHT = 15; // CSS pixels between two names, at least
export const FONT = "12px system-ui, sans-serif";

// Lengths are CSS pixels, but rowHeight and plotPixels are whole device pixels, so that rows
// are sharp. pixelRatio: device pixels per CSS pixel. nameInterval: rows from name to name.
export function layOut(context, width, rows) {
  const pixelRatio = window.devicePixelRatio || 1;
  const wantedHeight = width < NARROW_WIDTH ? NARROW_PLOT_HEIGHT : PLOT_HEIGHT;
  const grouped = areGroups(rows);
  const fitting = Math.min(MAX_ROW_HEIGHT, wantedHeight / rows.length);
  const cssRowHeight = grouped ? groupHeight(fitting, rows.length) : fitting;
  const rowHeight = Math.max(1, Math.floor(cssRowHeight * pixelRatio));
  const nameSize = Math.min(MAX_FONT, FONT_SHARE * cssRowHeight);
  const font = grouped ? FONT.replace("12px", `${nameSize}px`) : FONT;
  context.font = font;
  const nameInterval = Math.max(1, Math.ceil((LINE_HEIGHT * pixelRatio) / rowHeight));
  const room = grouped
    ? Math.min(GROUP_NAME_WIDTH, GROUP_NAME_SHARE * width) - NAME_GAP
    : Math.min(MAX_NAME_WIDTH, MAX_NAME_SHARE * width) - NAME_GAP;
  const step = Math.min(INDENT, MAX_INDENT_SHARE * room);
  const indents = rows.map(({ path }) => (grouped ? (path.length - 1) * step : 0));
  const hasSizes = grouped && width >= NARROW_WIDTH; // a phone has no room for them
  const sizes = rows.map(({ size }) => (hasSizes && size > 1 ? `max of ${formatNumber(size)}` : ""));
  const names = rows.map(({ label, open }, row) => {
    context.font = font;
    const beside = sizes[row] && context.measureText(sizes[row]).width + NAME_GAP;
    if (open) context.font = `600 ${font}`; // as in page.css
    const rest = grouped ? room - indents[row] - ARROW_WIDTH - beside : room;
    return shorten(context, label, Math.max(MIN_NAME_WIDTH, rest));
  });
  const widths = grouped ? [room] : names.map((name) => context.measureText(name).width);
  const left = Math.ceil(Math.max(MIN_NAME_WIDTH, ...widths) + NAME_GAP);
  const plotPixels = Math.max(1, Math.floor((width - left - RIGHT_MARGIN) * pixelRatio));
  const plotHeight = (rowHeight * rows.length) / pixelRatio;
  const bottom = MARK_LANE + plotHeight;
  return {
    pixelRatio, width, left, top: MARK_LANE, rowHeight, grouped, names, sizes, nameSize, indents, nameInterval, plotPixels,
    plotHeight, plotWidth: plotPixels / pixelRatio, right: left + plotPixels / pixelRatio,
    bottom, height: bottom + AXIS_HEIGHT, nameRight: left - NAME_GAP,
  };
}

// Returns the height of a row of a tree.
function groupHeight(fitting, count) {
  const screen = document.documentElement.clientHeight;
  const room = (screen - SCREEN_MARGIN - MARK_LANE - AXIS_HEIGHT) / count;
  return Math.max(GROUP_MIN_HEIGHT, Math.min(Math.max(GROUP_HEIGHT, fitting), room));
}

// Returns the upper edge of a row, in CSS pixels.
export function rowTop(layout, row) {
  return layout.top + ((layout.names.length - 1 - row) * layout.rowHeight) / layout.pixelRatio;
}

// Returns the row at y; null above and below the rows.
export function rowAt(layout, y) {
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
