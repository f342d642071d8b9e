// The legend: the colour bar, and the meaning of patterns and alarm marks.

import { MARKS, markElement } from "./alarm_marks.js";
import { PATTERNS, Palette, colourBarGradient, pageColours } from "./colours.js";
import { Heatmap } from "./heatmap.js";

const SWATCH = { width: 36, height: 15 }; // CSS pixels; shows a pattern a few times
const MIN_TICK_SPACING = 0.2; // of the bar's width; closer numbers would touch
const ANY_RANGE = { low: 0.1, high: 10 }; // patterns are the same in every range

// Fills three lists: patterns by name, patterns by meaning, marks by meaning.
export function setUpLegend(patternNames, patternMeanings, markMeanings) {
  const drawSwatches = () => {
    const names = PATTERNS.map(({ value, name }) => createItem(createSwatch(value), name));
    const meanings = PATTERNS.map(({ value, meaning }) => createItem(createSwatch(value), meaning));
    patternNames.replaceChildren(...names);
    patternMeanings.replaceChildren(...meanings);
  };
  drawSwatches();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSwatches);
  const marks = Object.entries(MARKS).map(([type, { meaning }]) =>
    createItem(markElement(type), `${type}: ${meaning}`));
  markMeanings.replaceChildren(...marks);
}

export function drawColourBar(bar, ticks, { low, high, below, above }) {
  bar.style.background = colourBarGradient();
  const place = (norm) => Math.log10(norm / low) / Math.log10(high / low);
  const inner = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power < high; power++) {
    const last = inner.at(-1) ?? low;
    const norm = Number(`1e${power}`);
    const fits = place(norm) - place(last) >= MIN_TICK_SPACING
      && 1 - place(norm) >= MIN_TICK_SPACING;
    if (fits) inner.push(norm);
  }
  ticks.replaceChildren(...[low, ...inner, high].map((norm) => {
    const tick = document.createElement("span");
    const beyond = (norm === low && below && "≤ ") || (norm === high && above && "≥ ") || "";
    tick.textContent = beyond + formatTick(norm);
    tick.style.left = `${100 * place(norm)}%`;
    return tick;
  }));
}

function formatTick(norm) {
  return norm >= 1e5 || norm < 1e-3 ? norm.toExponential(0) : String(norm);
}

function createSwatch(norm) {
  const pixelRatio = window.devicePixelRatio || 1;
  const width = Math.round(SWATCH.width * pixelRatio);
  const rowHeight = Math.round(SWATCH.height * pixelRatio);
  const palette = new Palette(ANY_RANGE, pageColours(), pixelRatio, rowHeight);
  const size = { width, rowCount: 1, rowHeight, origin: 0, pixelsPerUnit: 1, pixelRatio };
  const heatmap = new Heatmap(size, palette);
  heatmap.paint([{ start: 0, end: width, norms: new Float32Array([norm]) }]);
  heatmap.canvas.className = "swatch";
  heatmap.canvas.setAttribute("aria-hidden", "true");
  return heatmap.canvas;
}

function createItem(sign, text) {
  const item = document.createElement("li");
  item.append(sign, text);
  return item;
}
