// Which part of the run the picture shows, and which position is at which pixel.

// Seconds that a live picture shows: as many as there are, in steps, so that it seldom shrinks.
const SHORTEST = 60;
const LONGEST = 600;
const STEP = 30;

// scale: device pixels to a unit of position. edge: the place of the plot's first device
// pixel, in pixels from position 0, and end: that of where the run is. Whole pixels, so that
// the image is never blurred.
export class View {
  constructor(layout, scale, edge, end) {
    this.layout = layout;
    this.scale = scale;
    this.edge = edge;
    this.end = end;
  }

  // The last minutes before now, in seconds since the start of the run. While there are
  // fewer than have room, they fill it from the left.
  static ofTime(layout, oldest, now) {
    const span = Math.min(LONGEST, Math.max(SHORTEST, STEP * Math.ceil((now - oldest) / STEP)));
    const scale = layout.plotPixels / span;
    const [from, end] = [oldest, now].map((time) => Math.floor(time * scale));
    return new View(layout, scale, Math.max(from, end - layout.plotPixels), end);
  }

  // The whole run.
  static ofSteps(layout, from, to) {
    const scale = layout.plotPixels / (to - from);
    const edge = Math.floor(from * scale);
    return new View(layout, scale, edge, edge + layout.plotPixels);
  }

  get from() {
    return this.edge / this.scale;
  }

  get to() {
    return (this.edge + this.layout.plotPixels) / this.scale;
  }

  // CSS pixels on the canvas, of a position.
  x(position) {
    return this.layout.left + (position * this.scale - this.edge) / this.layout.pixels;
  }

  position(x) {
    return ((x - this.layout.left) * this.layout.pixels + this.edge) / this.scale;
  }
}

// The time of a live run: what its columns say, and going on between them.
export class RunClock {
  #ahead = null; // seconds from this page's clock to that of the run
  #held = 0;
  #running = true;

  get now() {
    return this.#running ? this.#measured() : this.#held;
  }

  // It is this late at least; what comes late itself says less than it is.
  reach(time) {
    this.#ahead = Math.max(this.#ahead ?? -Infinity, time - performance.now() / 1000);
    if (!this.#running) this.#held = Math.max(this.#held, time);
  }

  // Lets it stand still, where nothing is known of the run, or go on.
  set running(running) {
    if (this.#running && !running) this.#held = this.#measured();
    this.#running = running;
  }

  get running() {
    return this.#running;
  }

  #measured() {
    return this.#ahead === null ? 0 : this.#ahead + performance.now() / 1000;
  }
}
