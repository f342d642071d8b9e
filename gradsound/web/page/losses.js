// The losses of a run: a curve for each under the picture, over the same steps.

import { pageColours } from "./colours.js";
import { formatNorm } from "./format.js";
import { FONT } from "./layout.js";
import { Viewport } from "./viewport.js";

// CSS pixels, except LOG_RATIO.
const HEIGHT = 96; // of the curves
const MARGIN = 8; // above and below them
const BASELINE = 4; // of a number, below its place
const DOT = 2.5; // radius of an evaluation, which a training makes now and then
const LOG_RATIO = 30; // times; losses over a wider range are on a logarithmic axis
const SWATCH = { width: 36, height: 12 };
// The line of each curve, which tells the curves apart without colours.
const COLOURS = ["ink", "accent", "warning", "muted"];
const DASHES = [[], [6, 3], [2, 2], [9, 3, 2, 3]];
const styleOf = (index) => ({
  colour: COLOURS[index % COLOURS.length],
  dashes: DASHES[(index + Math.floor(index / COLOURS.length)) % DASHES.length],
});

export class Losses {
  #container;
  #canvas;
  #list;
  #steps = { first: 0, end: 1 }; // of the picture
  #curves = [];
  #layout = null;
  #playhead = null;

  constructor(container) {
    this.#container = container;
    this.#canvas = container.querySelector("canvas");
    this.#list = container.querySelector("ul");
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  // Shows the curves of a message: each with name, steps and numbers, and whether they are of
  // evaluations. first and end: the steps of the picture.
  show({ first, end, curves }) {
    this.#steps = { first, end };
    this.#curves = curves;
    this.#container.hidden = curves.length === 0;
    this.#canvas.setAttribute("aria-label", curves.map(describe).join("; "));
    this.#list.replaceChildren(...curves.map(createItem));
    this.#draw();
  }

  // The layout of the picture, to whose steps the curves belong.
  set layout(layout) {
    this.#layout = layout;
    this.#draw();
  }

  // The step that sounds.
  set playhead(step) {
    this.#playhead = step;
    this.#draw();
  }

  // Returns the losses at a step as text that goes on; empty without a step.
  textAt(step) {
    if (step === null) return "";
    const texts = this.#curves.map((curve) => [curve.name, numberAt(curve, step)]);
    return texts.map(([name, number]) => (number ? ` · ${name} ${number}` : "")).join("");
  }

  #draw() {
    if (this.#layout === null || this.#curves.length === 0) return;
    const { pixelRatio, width, left, right, nameRight } = this.#layout;
    const height = HEIGHT + 2 * MARGIN;
    this.#canvas.width = Math.round(width * pixelRatio);
    this.#canvas.height = Math.round(height * pixelRatio);
    this.#canvas.style.width = `${this.#canvas.width / pixelRatio}px`;
    this.#canvas.style.height = `${height}px`;
    const context = this.#canvas.getContext("2d");
    const colours = pageColours();
    const viewport = Viewport.ofSteps(this.#layout, this.#steps.first, this.#steps.end);
    const axis = new Axis(this.#curves.flatMap(({ numbers }) => [...numbers]));
    context.scale(pixelRatio, pixelRatio);
    context.strokeStyle = colours.line;
    context.strokeRect(left - 0.5, 0.5, right - left + 1, height - 1);
    context.font = FONT;
    context.textAlign = "right";
    context.fillStyle = colours.muted;
    for (const number of axis.ends) {
      context.fillText(formatLoss(number), nameRight, axis.y(number) + BASELINE, nameRight);
    }
    this.#curves.forEach((curve, k) => drawCurve(context, colours, viewport, axis, curve, k));
    if (this.#playhead !== null) {
      context.fillStyle = colours.accent;
      context.fillRect(viewport.x(this.#playhead + 0.5) - 1, 0, 2, height);
    }
    [...this.#list.children].forEach((item, k) => {
      drawSwatch(item.querySelector("canvas"), colours, pixelRatio, this.#curves[k], k);
      const number = this.#playhead === null ? "" : numberAt(this.#curves[k], this.#playhead);
      item.querySelector("strong").textContent = number;
    });
  }
}

// The vertical axis, which covers all finite numbers.
class Axis {
  #low;
  #high;
  #scale;

  constructor(numbers) {
    const finite = numbers.filter(Number.isFinite);
    const [least, most] = finite.reduce(
      ([low, high], one) => [Math.min(low, one), Math.max(high, one)], [Infinity, -Infinity],
    );
    this.#scale = least > 0 && most / least > LOG_RATIO ? Math.log : (number) => number;
    this.#low = least;
    this.#high = most;
  }

  // The least and the greatest number; one of both if they are equal, none without numbers.
  get ends() {
    return [...new Set([this.#low, this.#high])].filter(Number.isFinite);
  }

  // Returns the place of a number; NaN and infinity are at the upper edge.
  y(number) {
    if (!Number.isFinite(number)) return 0;
    const [low, high] = [this.#scale(this.#low), this.#scale(this.#high)];
    const share = high > low ? (this.#scale(number) - low) / (high - low) : 0.5;
    return MARGIN + HEIGHT * (1 - share);
  }
}

function drawCurve(context, colours, viewport, axis, { steps, numbers, evaluation }, index) {
  const { colour, dashes } = styleOf(index);
  context.strokeStyle = context.fillStyle = colours[colour];
  context.lineWidth = 1.5;
  context.setLineDash(evaluation ? [] : dashes);
  context.beginPath();
  steps.forEach((step, k) => {
    const [x, y] = [viewport.x(step + 0.5), axis.y(numbers[k])];
    if (!Number.isFinite(numbers[k])) context.fillRect(x - 1, y, 2, MARGIN);
    else if (k === 0 || !Number.isFinite(numbers[k - 1])) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
  if (!evaluation) context.stroke();
  context.setLineDash([]);
  const isAlone = (k) => !Number.isFinite(numbers[k - 1]) && !Number.isFinite(numbers[k + 1]);
  steps.forEach((step, k) => {
    if (!Number.isFinite(numbers[k]) || !(evaluation || isAlone(k))) return;
    context.beginPath();
    context.arc(viewport.x(step + 0.5), axis.y(numbers[k]), DOT, 0, 2 * Math.PI);
    context.fill();
  });
}

// Returns the last number of a curve up to a step as text; empty if there is none yet.
function numberAt({ steps, numbers }, step) {
  const index = steps.findLastIndex((one) => one <= step);
  return index < 0 ? "" : formatLoss(numbers[index]);
}

function describe({ name, numbers }) {
  return `${name}: ${formatLoss(numbers[0])} at first, ${formatLoss(numbers.at(-1))} at last`;
}

// A loss may be 0 or negative, unlike a norm.
function formatLoss(number) {
  if (number === 0) return "0";
  return number < 0 ? `−${formatNorm(-number)}` : formatNorm(number);
}

function createItem({ name }) {
  const item = document.createElement("li");
  const swatch = document.createElement("canvas");
  swatch.setAttribute("aria-hidden", "true");
  item.append(swatch, `${name} `, document.createElement("strong"));
  return item;
}

function drawSwatch(canvas, colours, pixelRatio, { evaluation }, index) {
  canvas.width = SWATCH.width * pixelRatio;
  canvas.height = SWATCH.height * pixelRatio;
  const context = canvas.getContext("2d");
  const { colour, dashes } = styleOf(index);
  const middle = SWATCH.height / 2;
  context.scale(pixelRatio, pixelRatio);
  context.strokeStyle = context.fillStyle = colours[colour];
  context.lineWidth = 2;
  context.setLineDash(dashes);
  context.beginPath();
  if (evaluation) context.arc(SWATCH.width / 2, middle, DOT, 0, 2 * Math.PI);
  else [0, SWATCH.width].forEach((x) => context.lineTo(x, middle));
  if (evaluation) context.fill();
  else context.stroke();
}
