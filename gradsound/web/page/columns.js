// The columns that the picture has: where each lies, and which one is where.

import { Spread } from "./colour_range.js";

const MOST = 3000; // columns of a live run: over 12 minutes at 4 a second
const REMEMBERED = 32; // intervals that tell what is usual
const STRETCH = 3; // times the usual interval; a longer one is a stall, and stays empty
const FIRST_INTERVAL = 0.25; // seconds; what the server keeps between columns at least

// A column lies between its start and its end: seconds of a live run, or the numbers of its
// steps. It begins where the last one ended, unless that is unusually long ago.
export class Columns {
  #live;
  #intervals = [];

  all = [];
  spread = new Spread();

  constructor(live) {
    this.#live = live;
  }

  get newest() {
    return this.all.at(-1) ?? null;
  }

  // Adds columns as they came; returns how many old ones were dropped for them.
  add(columns) {
    for (const column of columns) {
      this.#place(column);
      this.all.push(column);
      this.spread.add(column.norms);
    }
    const dropped = this.#live ? this.all.splice(0, Math.max(0, this.all.length - MOST)) : [];
    for (const column of dropped) this.spread.remove(column.norms);
    return dropped.length;
  }

  // The index of the first column that ends after a position; the number of columns if none.
  after(position) {
    return this.#search((column) => column.end > position);
  }

  // The column of a step, or the next one that there is; null if there is none yet.
  ofStep(step) {
    return this.all[this.#search((column) => column.last >= step)] ?? null;
  }

  #search(holds) {
    let [low, high] = [0, this.all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.all[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #place(column) {
    const own = this.#live ? 0 : column.last + 1 - column.first;
    column.end = this.#live ? column.time : column.last + 1;
    const before = this.newest?.end ?? null;
    const usual = this.#usual() ?? (this.#live ? FIRST_INTERVAL : own);
    const interval = before === null ? Infinity : column.end - before;
    const joined = interval <= STRETCH * Math.max(usual, own);
    column.start = joined ? before : column.end - Math.max(usual, own);
    if (interval < Infinity) this.#intervals.push(interval);
    if (this.#intervals.length > REMEMBERED) this.#intervals.shift();
  }

  #usual() {
    if (this.#intervals.length === 0) return null;
    return this.#intervals.toSorted((a, b) => a - b)[this.#intervals.length >> 1];
  }
}
