// What is drawn around and over the norms: names, axis, marks, cursor.

import { clock, number } from "./format.js";
import { FONT, LINE, rowTop } from "./layout.js";
import { MARK_SIZE, drawMark, warns } from "./alarm_marks.js";

const APART = 84; // CSS pixels between numbers of the axis at least
const TICK = 4; // CSS pixels
const WORDS_DOWN = 16; // CSS pixels from the norms to the foot of the words below
const SECONDS = [5, 10, 15, 30, 60, 120, 300, 600]; // between two numbers of a time axis
const EPOCH_OPACITY = 0.45; // an epoch is no alarm
const NAME_DOWN = 4; // CSS pixels from the middle of a row to the foot of its name

export function drawNames(context, layout, colours, named) {
  context.font = FONT;
  context.textAlign = "right";
  const half = layout.rowHeight / layout.pixels / 2;
  const write = (layer, colour) => {
    context.fillStyle = colour;
    const foot = rowTop(layout, layer) + half + NAME_DOWN;
    context.fillText(layout.names[layer], layout.nameRight, foot);
  };
  for (let layer = 0; layer < layout.names.length; layer += layout.every) {
    // Those too near the name under the cursor make room for it.
    if (named === null || Math.abs(layer - named) * 2 * half >= LINE) write(layer, colours.muted);
  }
  if (named !== null) write(named, colours.ink);
}

// Where norms will be, and a word where there are none.
export function drawFrame(context, layout, colours, word) {
  context.lineWidth = 1;
  context.strokeStyle = colours.line;
  const { left, top, plotWidth, plotHeight } = layout;
  context.strokeRect(left - 0.5, top - 0.5, plotWidth + 1, plotHeight + 1);
  context.font = FONT;
  context.textAlign = "center";
  context.fillStyle = colours.muted;
  context.fillText(word, left + plotWidth / 2, top + plotHeight / 2 + NAME_DOWN);
}

export function drawTimes(context, layout, colours, view) {
  const least = (APART * layout.pixels) / view.scale;
  const step = SECONDS.find((seconds) => seconds >= least) ?? SECONDS.at(-1);
  drawAxis(context, layout, colours, view, { step, title: "time", text: clock });
}

export function drawSteps(context, layout, colours, view) {
  const least = Math.max(1, (APART * layout.pixels) / view.scale);
  const decade = 10 ** Math.floor(Math.log10(least));
  const step = decade * [1, 2, 5, 10].find((times) => times * decade >= least);
  drawAxis(context, layout, colours, view, { step, title: "step", text: number });
}

function drawAxis(context, layout, colours, view, { step, title, text }) {
  context.font = FONT;
  context.fillStyle = colours.muted;
  context.textAlign = "right";
  context.fillText(title, layout.nameRight, layout.bottom + WORDS_DOWN);
  context.textAlign = "center";
  const from = Math.max(0, Math.ceil(view.from / step));
  for (let place = from; place * step <= view.to; place++) {
    const x = view.x(place * step);
    const words = text(place * step);
    if (x < layout.left || x + context.measureText(words).width / 2 > layout.width) continue;
    context.fillRect(x, layout.bottom, 1, TICK);
    context.fillText(words, x, layout.bottom + WORDS_DOWN);
  }
}

// Marks of alarms above the norms, and epochs as lines through them.
export function drawMarks(context, layout, colours, view, marks) {
  for (const { type, position } of marks) {
    if (position === null || position < view.from || position > view.to) continue;
    const x = view.x(position);
    if (type === "epoch") {
      context.globalAlpha = EPOCH_OPACITY;
      context.fillStyle = colours.ink;
      context.fillRect(Math.round(x), layout.top - 4, 1, layout.plotHeight + 4);
      context.globalAlpha = 1;
    } else {
      context.fillStyle = warns(type) ? colours.warning : colours.ink;
      context.strokeStyle = colours.paper; // parts those that overlap
      drawMark(context, type, Math.min(x, layout.width - MARK_SIZE / 2), layout.top - 3);
    }
  }
}

// The rows of a band: a bar at their left.
export function drawBand(context, layout, colours, layers) {
  context.fillStyle = colours.accent;
  for (const layer of layers) {
    context.fillRect(layout.left - 5, rowTop(layout, layer), 3, layout.rowHeight / layout.pixels);
  }
}

export function drawPlayhead(context, layout, colours, x) {
  context.fillStyle = colours.paper; // an edge, so that it is seen on every colour
  context.fillRect(x - 2, layout.top - 4, 4, layout.plotHeight + 8);
  context.fillStyle = colours.accent;
  context.fillRect(x - 1, layout.top - 4, 2, layout.plotHeight + 8);
  context.beginPath();
  context.moveTo(x - 5, layout.bottom + 6);
  context.lineTo(x, layout.bottom);
  context.lineTo(x + 5, layout.bottom + 6);
  context.fill();
}

// The cursor: a line through all layers, and a frame around the one that is read.
export function drawCursor(context, layout, colours, { left, right, layer }) {
  const width = Math.max(3, right - left);
  const x = (left + right - width) / 2;
  outline(context, colours, x, layout.top, width, layout.plotHeight);
  if (layer === null) return;
  const height = Math.max(3, layout.rowHeight / layout.pixels);
  outline(context, colours, layout.left, rowTop(layout, layer), layout.plotWidth, height);
}

function outline(context, colours, x, y, width, height) {
  context.lineWidth = 1;
  context.strokeStyle = colours.paper;
  context.strokeRect(x - 1.5, y - 1.5, width + 3, height + 3);
  context.strokeStyle = colours.ink;
  context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
}
