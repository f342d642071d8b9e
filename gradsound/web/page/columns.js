// The columns of the picture, with the stretch of positions that each one covers.

import { ColourRange } from "./colour_range.js";

const MAX_COLUMNS = 3000; // of a live run: over 12 minutes at 4 a second
const INTERVALS = 32; // whose median is the usual interval
const STALL_FACTOR = 3; // times the usual interval; after a longer one the picture has a gap
const FIRST_INTERVAL = 0.25; // seconds; the server sends no more than four columns a second

// A column covers the positions from its start to its end: seconds in a live run, step
// numbers in a finished one. It starts at the end of the column before, unless a stall lies
// between them.
export class Columns {
  #live;
  #intervals = [];

  all = [];
  colourRange = new ColourRange();

  constructor(live) {
    this.#live = live;
  }

  get newest() {
    return this.all.at(-1) ?? null;
  }

  // Adds columns; a live run drops its oldest for them.
  add(columns) {
    for (const column of columns) {
      this.#setPositions(column);
      this.all.push(column);
      this.colourRange.add(column.norms);
    }
    const excess = this.#live ? Math.max(0, this.all.length - MAX_COLUMNS) : 0;
    for (const column of this.all.splice(0, excess)) this.colourRange.remove(column.norms);
  }

  // Returns the index of the first column that ends after a position; all.length if none.
  indexAfter(position) {
    return this.#findIndex((column) => column.end > position);
  }

  // Returns the column of a step, or else the next column; null if there is none yet.
  columnOf(step) {
    return this.all[this.#findIndex((column) => column.last >= step)] ?? null;
  }

  // Binary search for the first column that fulfils a condition, as all later ones do.
  #findIndex(condition) {
    let [low, high] = [0, this.all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (condition(this.all[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #setPositions(column) {
    const stepCount = this.#live ? 0 : column.last + 1 - column.first;
    column.end = this.#live ? column.time : column.last + 1;
    const before = this.newest?.end ?? null;
    const usual = this.#usualInterval() ?? (this.#live ? FIRST_INTERVAL : stepCount);
    const interval = before === null ? Infinity : column.end - before;
    const joined = interval <= STALL_FACTOR * Math.max(usual, stepCount);
    column.start = joined ? before : column.end - Math.max(usual, stepCount);
    if (interval < Infinity) this.#intervals.push(interval);
    if (this.#intervals.length > INTERVALS) this.#intervals.shift();
  }

  #usualInterval() {
    if (this.#intervals.length === 0) return null;
    return this.#intervals.toSorted((a, b) => a - b)[this.#intervals.length >> 1];
  }
}
