// The viewport: the part of the run that the picture shows, and the pixel of each position.
//
// A position is a time in seconds in a live run, and a step number in a finished one.

// Seconds that a live picture shows. It grows in stretches, so that it seldom rescales.
const MIN_SPAN = 60;
const MAX_SPAN = 600;
const SPAN_STRETCH = 30;

// pixelsPerUnit: device pixels of a unit of position. start and end: device pixels from
// position 0 to the left edge of the plot and to the end of the run so far. Both are whole
// numbers: fractions would blur the image.
export class Viewport {
  constructor(layout, pixelsPerUnit, start, end) {
    this.layout = layout;
    this.pixelsPerUnit = pixelsPerUnit;
    this.start = start;
    this.end = end;
  }

  // Shows the last 1 to 10 minutes of a live run. A shorter run fills it from the left.
  static ofTime(layout, oldest, now) {
    const stretches = Math.ceil((now - oldest) / SPAN_STRETCH);
    const span = Math.min(MAX_SPAN, Math.max(MIN_SPAN, SPAN_STRETCH * stretches));
    const pixelsPerUnit = layout.plotPixels / span;
    const [first, end] = [oldest, now].map((time) => Math.floor(time * pixelsPerUnit));
    return new Viewport(layout, pixelsPerUnit, Math.max(first, end - layout.plotPixels), end);
  }

  // Shows a whole finished run.
  static ofSteps(layout, from, to) {
    const pixelsPerUnit = layout.plotPixels / (to - from);
    const start = Math.floor(from * pixelsPerUnit);
    return new Viewport(layout, pixelsPerUnit, start, start + layout.plotPixels);
  }

  // The positions at the left and right edges.
  get from() {
    return this.start / this.pixelsPerUnit;
  }

  get to() {
    return (this.start + this.layout.plotPixels) / this.pixelsPerUnit;
  }

  // Converts a position to CSS pixels on the canvas.
  x(position) {
    return this.layout.left + (position * this.pixelsPerUnit - this.start) / this.layout.pixelRatio;
  }

  // Converts CSS pixels on the canvas to a position.
  position(x) {
    return ((x - this.layout.left) * this.layout.pixelRatio + this.start) / this.pixelsPerUnit;
  }
}

// The time of a live run: the time of its newest column, plus the time since on this page.
export class RunClock {
  #offset = null; // seconds from this page's clock to the run's; null before the first column
  #stoppedAt = 0; // seconds of the run
  #running = true;

  get now() {
    return this.#running ? this.#measure() : this.#stoppedAt;
  }

  // Takes the time of a column. The largest offset counts: a column that arrives late has a
  // smaller one.
  update(time) {
    this.#offset = Math.max(this.#offset ?? -Infinity, time - performance.now() / 1000);
    if (!this.#running) this.#stoppedAt = Math.max(this.#stoppedAt, time);
  }

  // Stops the clock when the connection is lost or the run is over, or restarts it.
  set running(running) {
    if (this.#running && !running) this.#stoppedAt = this.#measure();
    this.#running = running;
  }

  get running() {
    return this.#running;
  }

  #measure() {
    return this.#offset === null ? 0 : this.#offset + performance.now() / 1000;
  }
}
