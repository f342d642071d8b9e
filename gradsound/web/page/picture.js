// The picture: norms in rows over the last minutes, or over a whole finished run.

import { Palette, pageColours } from "./colours.js";
import { Columns } from "./columns.js";
import { Cursor, describe, moveTarget } from "./cursor.js";
import { Heatmap } from "./heatmap.js";
import { layOut, onPixelRatioChange } from "./layout.js";
import { Marks } from "./marks.js";
import {
  drawCursor, drawDots, drawFrame, drawGround, drawHighlight, drawMarks, drawNames,
  drawPlayhead, drawStepAxis, drawTimeAxis,
} from "./overlay.js";
import { rowsWithin } from "./rows.js";
import { RunClock, Viewport } from "./viewport.js";

const POLL_MS = 125; // between checks whether the run's clock has moved by a pixel
const REDUCED_POLL_MS = 1000; // for users who prefer reduced motion
const SPARE_WIDTH = 0.25; // of the plot; room of a live heatmap before it is painted again

export class Picture {
  #canvas;
  #context;
  #hello;
  #handlers;
  #rows = []; // the lowest first; none before the server's message
  #columns;
  #awaits = false; // the columns of other rows, which the server sends
  #clock = new RunClock();
  #cursor;
  #marks;
  #layout = null; // null until the next drawing
  #heatmap = null; // null when it has to be painted again
  #viewport = null; // of the last drawing
  #colours = pageColours();
  #drawRequested = false;
  #playingStep = null;
  #highlighted = []; // spans of layers

  // handlers: onDescribe(text, byKeys, step) for the text at the cursor, onRange(range) for other
  // colours, onChoose(step) for a click, onLayout(rows, layout) for another layout.
  constructor(canvas, hello, handlers) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#hello = hello;
    this.#handlers = handlers;
    this.#columns = new Columns(hello.live);
    this.#marks = new Marks(hello.live);
    this.#cursor = new Cursor(canvas, {
      onChange: () => this.#requestDraw(),
      keyStart: () => this.#keyStart(),
      moveTarget: (...move) => moveTarget(this.#columns.all, this.#rows.length, ...move),
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

  get rows() { return this.#rows; }

  // Sets the rows, the lowest first. Other ones than before need all columns again.
  set rows(rows) {
    if (JSON.stringify(rows) === JSON.stringify(this.#rows)) return;
    this.#rows = rows;
    this.#awaits = this.#columns.newest !== null;
    this.#columns = new Columns(this.#hello.live);
    this.#marks.forgetRows();
    this.#cursor.moveTo(null);
    this.#layout = this.#fit(); // now, so that the next frame has less to do
    this.#requestDraw();
  }

  // Moves the cursor to a layer at a step, or at the newest step if the picture lacks it.
  // Returns whether the layer has a row and this row has norms.
  pointAt(step, layer) {
    const row = this.#rows.findIndex((one) => one.layer === layer);
    const column = this.#columns.columnOf(step) ?? this.#columns.newest;
    if (row < 0 || column === null) return false;
    this.#canvas.focus({ preventScroll: true });
    this.#canvas.scrollIntoView({ block: "nearest" });
    this.#cursor.moveTo(column, row);
    return true;
  }

  add(columns) {
    if (columns.length === 0) return;
    this.#awaits = false;
    this.#columns.add(columns);
    this.#clock.update(columns.at(-1).time);
    if (this.#columns.colourRange.update()) {
      this.#handlers.onRange(this.#columns.colourRange.range);
      this.#heatmap = null;
    }
    // A hidden page paints nothing; it paints the whole heatmap when the user returns.
    if (document.hidden || !this.#hello.live) this.#heatmap = null;
    this.#heatmap?.paint(columns);
    this.#requestDraw();
  }

  mark(mark) {
    this.#marks.add(mark);
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

  // Spans of layers whose rows the user points at.
  set highlighted(spans) {
    this.#highlighted = spans;
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
    window.addEventListener("resize", () => {
      if (this.#layout?.grouped) layOutAgain(); // its height is that of the screen
    });
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
    if (this.#rows.length === 0) return;
    this.#layout ??= this.#fit();
    const layout = this.#layout;
    const context = this.#context;
    const colours = this.#colours;
    const viewport = this.#currentViewport();
    if (!this.#heatmap?.covers(viewport)) this.#heatmap = this.#paint(viewport);
    this.#viewport = viewport;
    this.#marks.locate(this.#columns);
    const place = this.#cursor.locate(viewport, this.#columns);
    context.setTransform(layout.pixelRatio, 0, 0, layout.pixelRatio, 0, 0);
    context.clearRect(0, 0, layout.width, layout.height);
    drawFrame(context, layout, colours, this.#columns.newest || this.#awaits ? "" : "no step yet");
    drawGround(context, layout, colours, viewport, this.#columns.all[0]?.start ?? null);
    this.#heatmap.copyTo(context, viewport);
    drawMarks(context, layout, colours, viewport, this.#marks.all);
    drawDots(context, layout, colours, viewport, this.#marks.all);
    drawNames(context, layout, colours, place?.row ?? null);
    drawHighlight(context, layout, colours, rowsWithin(this.#rows, this.#highlighted));
    (this.#hello.live ? drawTimeAxis : drawStepAxis)(context, layout, colours, viewport);
    const step = this.#playingStep;
    if (step !== null) drawPlayhead(context, layout, colours, viewport.x(step + 0.5));
    if (place) drawCursor(context, layout, colours, place);
    const text = describe(place, this.#rows, this.#marks.all, viewport);
    this.#handlers.onDescribe(text, this.#cursor.byKeys, place?.columns.at(-1)?.last ?? null);
  }

  #fit() {
    const { clientWidth } = this.#canvas.parentElement;
    const layout = layOut(this.#context, clientWidth, this.#rows);
    const { pixelRatio } = layout;
    this.#canvas.width = Math.round(layout.width * pixelRatio);
    this.#canvas.height = Math.round(layout.height * pixelRatio);
    // The exact size of its pixels: half a pixel more would blur the whole canvas.
    this.#canvas.style.width = `${this.#canvas.width / pixelRatio}px`;
    this.#canvas.style.height = `${this.#canvas.height / pixelRatio}px`;
    this.#heatmap = null;
    this.#handlers.onLayout(this.#rows, layout);
    return layout;
  }

  #paint(viewport) {
    const { plotPixels, rowHeight, pixelRatio } = this.#layout;
    const width = Math.ceil(plotPixels * (this.#hello.live ? 1 + SPARE_WIDTH : 1));
    const { range } = this.#columns.colourRange;
    const palette = new Palette(range, this.#colours, pixelRatio, rowHeight);
    const { start: origin, pixelsPerUnit } = viewport;
    const rowCount = this.#rows.length;
    const size = { width, rowCount, rowHeight, origin, pixelsPerUnit, pixelRatio };
    const heatmap = new Heatmap(size, palette);
    heatmap.paint(this.#columns.all);
    return heatmap;
  }

  // Returns the target of the first arrow key: the step that sounds, or the newest;
  // null before the first column.
  #keyStart() {
    const playing = this.#playingStep === null ? null : this.#columns.columnOf(this.#playingStep);
    const column = playing ?? this.#columns.newest;
    return column && { column, row: 0 };
  }

  #choose() {
    const place = this.#viewport && this.#cursor.locate(this.#viewport, this.#columns);
    if (!place || this.#hello.live) return;
    const { all, newest } = this.#columns;
    const step = this.#cursor.byKeys ? place.columns[0].first : Math.floor(place.from);
    this.#handlers.onChoose(Math.min(newest.last, Math.max(all[0].first, step)));
  }
}
