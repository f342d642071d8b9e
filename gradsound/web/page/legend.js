// What the colours, patterns and marks mean, beside the picture and in the help.

import { PATTERNS, Palette, gradient, pageColours } from "./colours.js";
import { MARKS, markElement } from "./alarm_marks.js";
import { Strip } from "./heatmap.js";

const SWATCH = { width: 36, height: 15 }; // CSS pixels: a pattern repeats a few times
const NEAR = 0.2; // of the scale's width; numbers that are nearer would touch
const ANY = { low: 0.1, high: 10 }; // patterns do not depend on the range

// lists: of the patterns by name, of their meanings, of the meanings of marks.
export function setUpLegend(names, meanings, marks) {
  const draw = () => {
    names.replaceChildren(...PATTERNS.map(({ value, name }) => item(swatch(value), name)));
    meanings.replaceChildren(...PATTERNS.map(({ value, meaning }) => item(swatch(value), meaning)));
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  const kinds = Object.entries(MARKS);
  marks.replaceChildren(...kinds.map(([type, { meaning }]) => item(markElement(type), `${type}: ${meaning}`)));
}

// The scale of colours: a bar, and its numbers below.
export function drawScale(bar, ticks, { low, high, below, above }) {
  bar.style.background = gradient();
  const place = (norm) => Math.log10(norm / low) / Math.log10(high / low);
  const inner = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power < high; power++) {
    const last = inner.at(-1) ?? low;
    const norm = Number(`1e${power}`);
    if (place(norm) - place(last) >= NEAR && 1 - place(norm) >= NEAR) inner.push(norm);
  }
  ticks.replaceChildren(...[low, ...inner, high].map((norm) => {
    const tick = document.createElement("span");
    const beyond = (norm === low && below && "≤ ") || (norm === high && above && "≥ ") || "";
    tick.textContent = beyond + round(norm);
    tick.style.left = `${100 * place(norm)}%`;
    return tick;
  }));
}

function round(norm) {
  return norm >= 1e5 || norm < 1e-3 ? norm.toExponential(0) : String(norm);
}

function swatch(norm) {
  const pixels = window.devicePixelRatio || 1;
  const width = Math.round(SWATCH.width * pixels);
  const rowHeight = Math.round(SWATCH.height * pixels);
  const palette = new Palette(ANY, pageColours(), pixels, rowHeight);
  const strip = new Strip({ width, layerCount: 1, rowHeight, origin: 0, pixels }, palette);
  strip.paint([{ start: 0, end: width, norms: new Float32Array([norm]) }], 1);
  strip.canvas.className = "swatch";
  strip.canvas.setAttribute("aria-hidden", "true");
  return strip.canvas;
}

function item(sign, text) {
  const element = document.createElement("li");
  element.append(sign, text);
  return element;
}
