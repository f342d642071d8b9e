// The picture: the norm of every layer, over the last minutes or over the whole run.

import { Palette, pageColours } from "./colours.js";
import { Columns } from "./columns.js";
import { Cursor, moved, reading } from "./cursor.js";
import { layOut, onPixelRatio } from "./layout.js";
import {
  drawBand, drawCursor, drawFrame, drawMarks, drawNames, drawPlayhead, drawSteps, drawTimes,
} from "./overlay.js";
import { Strip } from "./heatmap.js";
import { RunClock, View } from "./viewport.js";

const TICK = 125; // ms between looks whether time has moved by a pixel
const CALM_TICK = 1000; // ms, for who wants less motion
const AHEAD = 0.25; // of the width that the image of a live run has in store
const MOST_MARKS = 1000; // of alarms; older ones have long left a live picture

export class Picture {
  #canvas;
  #context;
  #hello;
  #told;
  #columns;
  #clock = new RunClock();
  #cursor;
  #marks = [];
  #layout = null;
  #strip = null; // null when it has to be made anew
  #view = null;
  #colours = pageColours();
  #asked = false;
  #step = null;
  #band = [];

  // told has reading(text, byKeys), range(range) and chosen(step).
  constructor(canvas, hello, told) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#hello = hello;
    this.#told = told;
    this.#columns = new Columns(hello.live);
    this.#cursor = new Cursor(canvas, {
      changed: () => this.#ask(),
      start: () => this.#start(),
      moved: (...move) => moved(this.#columns.all, hello.layers.length, ...move),
      chosen: () => this.#choose(),
    });
    this.#watch();
    this.#told.range(this.#columns.spread.range);
  }

  // The last step that it has; null for none.
  get newest() {
    return this.#columns.newest?.last ?? null;
  }

  // The first step that it has; null for none.
  get oldest() {
    return this.#columns.all[0]?.first ?? null;
  }

  // Seconds since the start of the run at a step. A step that sounds may not be in the
  // picture yet; of a live run, it is of now. null where it is not known.
  timeOf(step) {
    return this.#columns.ofStep(step)?.time ?? (this.#hello.live ? this.#clock.now : null);
  }

  add(columns) {
    if (columns.length === 0) return;
    this.#columns.add(columns);
    this.#clock.reach(columns.at(-1).time);
    if (this.#columns.spread.settle()) {
      this.#told.range(this.#columns.spread.range);
      this.#strip = null;
    }
    // What is not seen is not painted: the image is made anew when it is seen again.
    if (document.hidden || !this.#hello.live) this.#strip = null;
    this.#strip?.paint(columns, this.#view.scale);
    this.#ask();
  }

  // Marks a step, once; minutes have no mark, and what is about no step.
  mark({ type, step, text }) {
    const same = (mark) => mark.type === type && mark.step === step && mark.text === text;
    if (type === "minute" || step === null || this.#marks.some(same)) return;
    this.#marks.push({ type, step, text, position: null });
    if (this.#marks.length > MOST_MARKS) this.#marks.shift();
    this.#ask();
  }

  // Whether time goes on: not where the connection is lost or the run is over.
  set running(running) {
    this.#clock.running = running;
    this.#ask();
  }

  // The step that sounds of a finished run; null for none.
  set playhead(step) {
    this.#step = step;
    this.#ask();
  }

  // The layers of a band, to be shown as such; none if empty.
  set band(layers) {
    this.#band = layers;
    this.#ask();
  }

  #watch() {
    const anew = () => {
      this.#layout = null;
      this.#ask();
    };
    // The parent's width: the canvas has its height from here, and must not call itself.
    new ResizeObserver(() => {
      if (this.#layout?.width !== this.#canvas.parentElement.clientWidth) anew();
    }).observe(this.#canvas.parentElement);
    onPixelRatio(anew);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#colours = pageColours();
      anew();
    });
    document.addEventListener("visibilitychange", () => this.#ask());
    if (!this.#hello.live) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    setInterval(() => this.#tick(), calm ? CALM_TICK : TICK);
  }

  #tick() {
    if (document.hidden || !this.#clock.running || this.#view === null) return;
    if (this.#see().end !== this.#view.end) this.#ask();
  }

  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      if (!document.hidden) this.#draw(); // it is asked again when it is seen
    });
  }

  #see() {
    const { all, newest } = this.#columns;
    if (this.#hello.live) return View.ofTime(this.#layout, all[0]?.start ?? 0, this.#clock.now);
    return View.ofSteps(this.#layout, all[0]?.start ?? 0, newest?.end ?? 1);
  }

  #draw() {
    this.#layout ??= this.#fit();
    const layout = this.#layout;
    const context = this.#context;
    const colours = this.#colours;
    const view = this.#see();
    if (!this.#fits(view)) this.#strip = this.#paint(view);
    this.#view = view;
    for (const mark of this.#marks) mark.position ??= this.#positionOf(mark.step);
    const found = this.#cursor.find(view, this.#columns);
    context.setTransform(layout.pixels, 0, 0, layout.pixels, 0, 0);
    context.clearRect(0, 0, layout.width, layout.height);
    drawFrame(context, layout, colours, this.#columns.newest ? "" : "no step yet");
    context.fillStyle = colours.ground;
    // Only where something is known: before it and after now there is no stall, but nothing.
    const oldest = view.x(this.#columns.all[0]?.start ?? view.end / view.scale);
    const known = Math.min(layout.right, Math.max(layout.left, oldest));
    const reached = Math.min(layout.right, view.x(view.end / view.scale)) - known;
    context.fillRect(known, layout.top, Math.max(0, reached), layout.plotHeight);
    this.#blit(view);
    drawMarks(context, layout, colours, view, this.#marks);
    drawNames(context, layout, colours, found?.layer ?? null);
    drawBand(context, layout, colours, this.#band);
    (this.#hello.live ? drawTimes : drawSteps)(context, layout, colours, view);
    if (this.#step !== null) drawPlayhead(context, layout, colours, view.x(this.#step + 0.5));
    if (found) drawCursor(context, layout, colours, found);
    this.#told.reading(reading(found, this.#hello.layers, this.#marks, view), this.#cursor.byKeys);
  }

  #fit() {
    const { clientWidth } = this.#canvas.parentElement;
    const layout = layOut(this.#context, clientWidth, this.#hello.layers);
    this.#canvas.width = Math.round(layout.width * layout.pixels);
    this.#canvas.height = Math.round(layout.height * layout.pixels);
    // Exactly as large as its pixels: half a pixel more, and all is blurred.
    this.#canvas.style.width = `${this.#canvas.width / layout.pixels}px`;
    this.#canvas.style.height = `${this.#canvas.height / layout.pixels}px`;
    this.#strip = null;
    return layout;
  }

  // Whether the image holds what is to be seen, at its scale.
  #fits(view) {
    if (this.#strip === null || this.#view.scale !== view.scale) return false;
    const end = view.edge + this.#layout.plotPixels;
    return this.#strip.origin <= view.edge && end <= this.#strip.end;
  }

  #paint(view) {
    const { plotPixels, rowHeight, pixels } = this.#layout;
    const width = Math.ceil(plotPixels * (this.#hello.live ? 1 + AHEAD : 1));
    const layerCount = this.#hello.layers.length;
    const palette = new Palette(this.#columns.spread.range, this.#colours, pixels, rowHeight);
    const strip = new Strip({ width, layerCount, rowHeight, origin: view.edge, pixels }, palette);
    strip.paint(this.#columns.all, view.scale);
    return strip;
  }

  #blit(view) {
    const { left, top, pixels, plotPixels } = this.#layout;
    const { canvas, origin } = this.#strip;
    this.#context.setTransform(1, 0, 0, 1, 0, 0);
    const place = [Math.round(left * pixels), Math.round(top * pixels), plotPixels, canvas.height];
    this.#context.drawImage(canvas, view.edge - origin, 0, plotPixels, canvas.height, ...place);
    this.#context.setTransform(pixels, 0, 0, pixels, 0, 0);
  }

  #positionOf(step) {
    const column = this.#columns.ofStep(step);
    if (column === null) return null;
    return this.#hello.live ? (column.start + column.end) / 2 : step + 0.5;
  }

  // Where the keys begin: at the step that sounds, or the newest.
  #start() {
    const sounding = this.#step === null ? null : this.#columns.ofStep(this.#step);
    return { column: sounding ?? this.#columns.newest, layer: 0 };
  }

  #choose() {
    const found = this.#view && this.#cursor.find(this.#view, this.#columns);
    if (!found || this.#hello.live) return;
    const { all, newest } = this.#columns;
    const step = this.#cursor.byKeys ? found.columns[0].first : Math.floor(found.from);
    this.#told.chosen(Math.min(newest.last, Math.max(all[0].first, step)));
  }
}
