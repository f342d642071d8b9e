// The picture: norms of all layers over the last minutes, or over a whole finished run.

import { Palette, pageColours } from "./colours.js";
import { Columns } from "./columns.js";
import { Cursor, describe, moveTarget } from "./cursor.js";
import { Heatmap } from "./heatmap.js";
import { layOut, onPixelRatioChange } from "./layout.js";
import {
  drawCursor, drawFrame, drawHighlight, drawMarks, drawNames, drawPlayhead, drawStepAxis,
  drawTimeAxis,
} from "./overlay.js";
import { RunClock, Viewport } from "./viewport.js";

const POLL_MS = 125; // between checks whether the run's clock has moved by a pixel
const REDUCED_POLL_MS = 1000; // for users who prefer reduced motion
const SPARE_WIDTH = 0.25; // of the plot; room of a live heatmap before it is painted again
const MAX_MARKS = 1000; // older alarms are no longer in a live picture

export class Picture {
  #canvas;
  #context;
  #hello;
  #handlers;
  #columns;
  #clock = new RunClock();
  #cursor;
  #marks = [];
  #layout = null; // null until the next drawing
  #heatmap = null; // null when it has to be painted again
  #viewport = null; // of the last drawing
  #colours = pageColours();
  #drawRequested = false;
  #playingStep = null;
  #highlighted = []; // layers

  // handlers: onDescribe(text, byKeys) for the text at the cursor, onRange(range) for another
  // range of the colours, onChoose(step) for a click.
  constructor(canvas, hello, handlers) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#hello = hello;
    this.#handlers = handlers;
    this.#columns = new Columns(hello.live);
    this.#cursor = new Cursor(canvas, {
      onChange: () => this.#requestDraw(),
      keyStart: () => this.#keyStart(),
      moveTarget: (...move) => moveTarget(this.#columns.all, hello.layers.length, ...move),
      onChoose: () => this.#choose(),
    });
    this.#listenForChanges();
    this.#handlers.onRange(this.#columns.colourRange.range);
  }

  // The last step in the picture; null for none.
  get newest() {
    return this.#columns.newest?.last ?? null;
  }

  // The first step in the picture; null for none.
  get oldest() {
    return this.#columns.all[0]?.first ?? null;
  }

  // Returns the seconds from the start of the run to a step; null if unknown. A live step
  // sounds before its column arrives: for it the time is now.
  timeOf(step) {
    return this.#columns.columnOf(step)?.time ?? (this.#hello.live ? this.#clock.now : null);
  }

  add(columns) {
    if (columns.length === 0) return;
    this.#columns.add(columns);
    this.#clock.update(columns.at(-1).time);
    if (this.#columns.colourRange.update()) {
      this.#handlers.onRange(this.#columns.colourRange.range);
      this.#heatmap = null;
    }
    // A hidden page paints nothing; it paints the whole heatmap when the user returns.
    if (document.hidden || !this.#hello.live) this.#heatmap = null;
    this.#heatmap?.paint(columns, this.#viewport.pixelsPerUnit);
    this.#requestDraw();
  }

  // Adds a mark at a step, once. Minutes and captions without a step have none.
  mark({ type, step, text }) {
    const isSame = (mark) => mark.type === type && mark.step === step && mark.text === text;
    if (type === "minute" || step === null || this.#marks.some(isSame)) return;
    this.#marks.push({ type, step, text, position: null });
    if (this.#marks.length > MAX_MARKS) this.#marks.shift();
    this.#requestDraw();
  }

  // Whether the run's clock runs; false if the connection is lost or the run is over.
  set running(running) {
    this.#clock.running = running;
    this.#requestDraw();
  }

  // The step of a finished run that sounds; null for none.
  set playhead(step) {
    this.#playingStep = step;
    this.#requestDraw();
  }

  set highlighted(layers) {
    this.#highlighted = layers;
    this.#requestDraw();
  }

  #listenForChanges() {
    const layOutAgain = () => {
      this.#layout = null;
      this.#requestDraw();
    };
    // Observes the parent: the canvas changes its own size in #fit, which would never end.
    new ResizeObserver(() => {
      if (this.#layout?.width !== this.#canvas.parentElement.clientWidth) layOutAgain();
    }).observe(this.#canvas.parentElement);
    onPixelRatioChange(layOutAgain);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#colours = pageColours();
      layOutAgain();
    });
    document.addEventListener("visibilitychange", () => this.#requestDraw());
    if (!this.#hello.live) return;
    const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
    setInterval(() => this.#drawIfMoved(), reduced ? REDUCED_POLL_MS : POLL_MS);
  }

  #drawIfMoved() {
    if (document.hidden || !this.#clock.running || this.#viewport === null) return;
    if (this.#currentViewport().end !== this.#viewport.end) this.#requestDraw();
  }

  #requestDraw() {
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => {
      this.#drawRequested = false;
      if (!document.hidden) this.#draw(); // "visibilitychange" requests it again
    });
  }

  #currentViewport() {
    const { all, newest } = this.#columns;
    const start = all[0]?.start ?? 0;
    if (this.#hello.live) return Viewport.ofTime(this.#layout, start, this.#clock.now);
    return Viewport.ofSteps(this.#layout, start, newest?.end ?? 1);
  }

  #draw() {
    this.#layout ??= this.#fit();
    const layout = this.#layout;
    const context = this.#context;
    const colours = this.#colours;
    const viewport = this.#currentViewport();
    if (!this.#covers(viewport)) this.#heatmap = this.#paint(viewport);
    this.#viewport = viewport;
    for (const mark of this.#marks) mark.position ??= this.#positionOf(mark.step);
    const place = this.#cursor.locate(viewport, this.#columns);
    context.setTransform(layout.pixelRatio, 0, 0, layout.pixelRatio, 0, 0);
    context.clearRect(0, 0, layout.width, layout.height);
    drawFrame(context, layout, colours, this.#columns.newest ? "" : "no step yet");
    this.#drawGround(viewport);
    this.#copyHeatmap(viewport);
    drawMarks(context, layout, colours, viewport, this.#marks);
    drawNames(context, layout, colours, place?.layer ?? null);
    drawHighlight(context, layout, colours, this.#highlighted);
    (this.#hello.live ? drawTimeAxis : drawStepAxis)(context, layout, colours, viewport);
    const step = this.#playingStep;
    if (step !== null) drawPlayhead(context, layout, colours, viewport.x(step + 0.5));
    if (place) drawCursor(context, layout, colours, place);
    const text = describe(place, this.#hello.layers, this.#marks, viewport);
    this.#handlers.onDescribe(text, this.#cursor.byKeys);
  }

  // Fills the ground from the first column to now: a gap there is a stall.
  #drawGround(viewport) {
    const layout = this.#layout;
    const now = viewport.end / viewport.pixelsPerUnit;
    const oldest = viewport.x(this.#columns.all[0]?.start ?? now);
    const left = Math.min(layout.right, Math.max(layout.left, oldest));
    const width = Math.max(0, Math.min(layout.right, viewport.x(now)) - left);
    this.#context.fillStyle = this.#colours.ground;
    this.#context.fillRect(left, layout.top, width, layout.plotHeight);
  }

  #fit() {
    const { clientWidth } = this.#canvas.parentElement;
    const layout = layOut(this.#context, clientWidth, this.#hello.layers);
    const { pixelRatio } = layout;
    this.#canvas.width = Math.round(layout.width * pixelRatio);
    this.#canvas.height = Math.round(layout.height * pixelRatio);
    // The exact size of its pixels: half a pixel more would blur the whole canvas.
    this.#canvas.style.width = `${this.#canvas.width / pixelRatio}px`;
    this.#canvas.style.height = `${this.#canvas.height / pixelRatio}px`;
    this.#heatmap = null;
    return layout;
  }

  // Returns whether the heatmap covers a viewport, at its number of pixels per unit.
  #covers(viewport) {
    if (this.#heatmap === null) return false;
    if (this.#viewport.pixelsPerUnit !== viewport.pixelsPerUnit) return false;
    const end = viewport.start + this.#layout.plotPixels;
    return this.#heatmap.origin <= viewport.start && end <= this.#heatmap.end;
  }

  #paint(viewport) {
    const { plotPixels, rowHeight, pixelRatio } = this.#layout;
    const width = Math.ceil(plotPixels * (this.#hello.live ? 1 + SPARE_WIDTH : 1));
    const layerCount = this.#hello.layers.length;
    const { range } = this.#columns.colourRange;
    const palette = new Palette(range, this.#colours, pixelRatio, rowHeight);
    const size = { width, layerCount, rowHeight, origin: viewport.start, pixelRatio };
    const heatmap = new Heatmap(size, palette);
    heatmap.paint(this.#columns.all, viewport.pixelsPerUnit);
    return heatmap;
  }

  #copyHeatmap(viewport) {
    const { left, top, pixelRatio, plotPixels } = this.#layout;
    const { canvas, origin } = this.#heatmap;
    const source = [viewport.start - origin, 0, plotPixels, canvas.height];
    const corner = [Math.round(left * pixelRatio), Math.round(top * pixelRatio)];
    this.#context.setTransform(1, 0, 0, 1, 0, 0);
    this.#context.drawImage(canvas, ...source, ...corner, plotPixels, canvas.height);
    this.#context.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
  }

  #positionOf(step) {
    const column = this.#columns.columnOf(step);
    if (column === null) return null;
    return this.#hello.live ? (column.start + column.end) / 2 : step + 0.5;
  }

  // Returns the target of the first arrow key: the step that sounds, or the newest.
  #keyStart() {
    const playing = this.#playingStep === null ? null : this.#columns.columnOf(this.#playingStep);
    return { column: playing ?? this.#columns.newest, layer: 0 };
  }

  #choose() {
    const place = this.#viewport && this.#cursor.locate(this.#viewport, this.#columns);
    if (!place || this.#hello.live) return;
    const { all, newest } = this.#columns;
    const step = this.#cursor.byKeys ? place.columns[0].first : Math.floor(place.from);
    this.#handlers.onChoose(Math.min(newest.last, Math.max(all[0].first, step)));
  }
}
