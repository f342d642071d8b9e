// The overlay of the picture: names, axis, alarm marks, playhead and cursor on the canvas.

import { MARK_SIZE, drawMark, isWarning } from "./alarm_marks.js";
import { formatClock, formatNumber } from "./format.js";
import { FONT, LINE_HEIGHT, rowTop } from "./layout.js";

// CSS pixels, except EPOCH_OPACITY and TICK_SECONDS.
const TICK_SPACING = 84; // between two numbers of the axis, at least
const TICK_HEIGHT = 4;
const AXIS_BASELINE = 16; // of the axis text, below the rows
const NAME_BASELINE = 4; // of a name, below the middle of its row
const TICK_SECONDS = [5, 10, 15, 30, 60, 120, 300, 600]; // between two numbers of a time axis
const EPOCH_OPACITY = 0.45; // fainter than an alarm
const DOT_RADIUS = 4; // of an alarm in the row of its layer
const DOT_EDGE = 2.5; // separates the dot from any colour

export function drawNames(context, layout, colours, cursorRow) {
  if (layout.grouped) return; // they are in the tree
  context.font = FONT;
  context.textAlign = "right";
  const half = layout.rowHeight / layout.pixelRatio / 2;
  const drawName = (row, colour) => {
    context.fillStyle = colour;
    const baseline = rowTop(layout, row) + half + NAME_BASELINE;
    context.fillText(layout.names[row], layout.nameRight, baseline);
  };
  for (let row = 0; row < layout.names.length; row += layout.nameInterval) {
    // The name of the cursor's row replaces the names that it would overlap.
    const overlaps = cursorRow !== null
      && Math.abs(row - cursorRow) * 2 * half < LINE_HEIGHT;
    if (!overlaps) drawName(row, colours.muted);
  }
  if (cursorRow !== null) drawName(cursorRow, colours.ink);
}

// Draws the frame of the plot, and a text in it.
export function drawFrame(context, layout, colours, text) {
  context.lineWidth = 1;
  context.strokeStyle = colours.line;
  const { left, top, plotWidth, plotHeight } = layout;
  context.strokeRect(left - 0.5, top - 0.5, plotWidth + 1, plotHeight + 1);
  context.font = FONT;
  context.textAlign = "center";
  context.fillStyle = colours.muted;
  context.fillText(text, left + plotWidth / 2, top + plotHeight / 2 + NAME_BASELINE);
}

// Fills the ground from the start of the first column to now: a gap there is a stall.
export function drawGround(context, layout, colours, viewport, start) {
  const now = viewport.end / viewport.pixelsPerUnit;
  const left = Math.min(layout.right, Math.max(layout.left, viewport.x(start ?? now)));
  const width = Math.max(0, Math.min(layout.right, viewport.x(now)) - left);
  context.fillStyle = colours.ground;
  context.fillRect(left, layout.top, width, layout.plotHeight);
}

export function drawTimeAxis(context, layout, colours, viewport) {
  const least = (TICK_SPACING * layout.pixelRatio) / viewport.pixelsPerUnit;
  const tick = TICK_SECONDS.find((seconds) => seconds >= least) ?? TICK_SECONDS.at(-1);
  drawAxis(context, layout, colours, viewport, { tick, title: "time", format: formatClock });
}

export function drawStepAxis(context, layout, colours, viewport) {
  const least = Math.max(1, (TICK_SPACING * layout.pixelRatio) / viewport.pixelsPerUnit);
  const decade = 10 ** Math.floor(Math.log10(least));
  const tick = decade * [1, 2, 5, 10].find((times) => times * decade >= least);
  drawAxis(context, layout, colours, viewport, { tick, title: "step", format: formatNumber });
}

function drawAxis(context, layout, colours, viewport, { tick, title, format }) {
  context.font = FONT;
  context.fillStyle = colours.muted;
  context.textAlign = "right";
  context.fillText(title, layout.nameRight, layout.bottom + AXIS_BASELINE);
  context.textAlign = "center";
  const first = Math.max(0, Math.ceil(viewport.from / tick));
  for (let index = first; index * tick <= viewport.to; index++) {
    const x = viewport.x(index * tick);
    const text = format(index * tick);
    if (x < layout.left || x + context.measureText(text).width / 2 > layout.width) continue;
    context.fillRect(x, layout.bottom, 1, TICK_HEIGHT);
    context.fillText(text, x, layout.bottom + AXIS_BASELINE);
  }
}

// Draws alarms as marks above the rows, and epochs as lines through them. Of equal marks at a
// pixel it draws one: a long run has thousands.
export function drawMarks(context, layout, colours, viewport, marks) {
  const drawn = new Set();
  for (const { type, position } of marks) {
    if (position === null || position < viewport.from || position > viewport.to) continue;
    const x = viewport.x(position);
    if (isRepeated(drawn, type, x)) continue;
    if (type === "epoch") {
      context.globalAlpha = EPOCH_OPACITY;
      context.fillStyle = colours.ink;
      context.fillRect(Math.round(x), layout.top - 4, 1, layout.plotHeight + 4);
      context.globalAlpha = 1;
    } else {
      context.fillStyle = isWarning(type) ? colours.warning : colours.ink;
      context.strokeStyle = colours.paper; // separates marks that overlap
      drawMark(context, type, Math.min(x, layout.width - MARK_SIZE / 2), layout.top - 3);
    }
  }
}

// Draws alarms as dots in the rows of their layers, if the rows are those of a tree.
export function drawDots(context, layout, colours, viewport, marks) {
  if (!layout.grouped) return;
  const half = layout.rowHeight / layout.pixelRatio / 2;
  const radius = Math.min(DOT_RADIUS, half - 1);
  context.lineWidth = DOT_EDGE;
  context.strokeStyle = colours.paper;
  const drawn = new Set();
  for (const { type, position, rows } of marks) {
    if (position === null || position < viewport.from || position > viewport.to) continue;
    context.fillStyle = isWarning(type) ? colours.warning : colours.ink;
    const x = Math.min(layout.right - radius, viewport.x(position));
    for (const row of rows) {
      if (isRepeated(drawn, `${type} ${row}`, x)) continue;
      context.beginPath();
      context.arc(x, rowTop(layout, row) + half, radius, 0, 2 * Math.PI);
      context.stroke();
      context.fill();
    }
  }
}

// Returns whether a sign was drawn at a pixel before, and remembers it.
function isRepeated(drawn, sign, x) {
  const key = `${sign} ${Math.round(x)}`;
  const repeated = drawn.has(key);
  drawn.add(key);
  return repeated;
}

// Draws a bar to the left of some rows.
export function drawHighlight(context, layout, colours, rows) {
  context.fillStyle = colours.accent;
  const height = layout.rowHeight / layout.pixelRatio;
  for (const row of rows) context.fillRect(layout.left - 5, rowTop(layout, row), 3, height);
}

export function drawPlayhead(context, layout, colours, x) {
  context.fillStyle = colours.paper; // an edge, so that the playhead contrasts with any colour
  context.fillRect(x - 2, layout.top - 4, 4, layout.plotHeight + 8);
  context.fillStyle = colours.accent;
  context.fillRect(x - 1, layout.top - 4, 2, layout.plotHeight + 8);
  context.beginPath();
  context.moveTo(x - 5, layout.bottom + 6);
  context.lineTo(x, layout.bottom);
  context.lineTo(x + 5, layout.bottom + 6);
  context.fill();
}

// Draws the cursor: a frame around its columns, and one around its row.
export function drawCursor(context, layout, colours, { left, right, row }) {
  const width = Math.max(3, right - left);
  const x = (left + right - width) / 2;
  outline(context, colours, x, layout.top, width, layout.plotHeight);
  if (row === null) return;
  const height = Math.max(3, layout.rowHeight / layout.pixelRatio);
  outline(context, colours, layout.left, rowTop(layout, row), layout.plotWidth, height);
}

function outline(context, colours, x, y, width, height) {
  context.lineWidth = 1;
  context.strokeStyle = colours.paper;
  context.strokeRect(x - 1.5, y - 1.5, width + 3, height + 3);
  context.strokeStyle = colours.ink;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
}
