// How the norms in the picture are spread, and the range that the colours cover.

const PER_DECADE = 20; // bins; the range is rounded more coarsely than that
const SMALLEST = -46; // power of ten below every float32
const LARGEST = 39; // power of ten above every float32
const LEFT_OUT = 0.002; // of all norms, at either end: one spike must not take all the colours

// A rung is a round norm: 1, 2, 5, 10 ... have the rungs 0, 1, 2, 3 ...
const RUNGS = [1, 2, 5];
const LEAST = RUNGS.length; // rungs, a decade: small differences must not look large
const SLACK = 3; // rungs that a range may be too wide before it is made narrower
const UNKNOWN = { low: -LEAST, high: LEAST }; // rungs, where no norm is above 0

export class Spread {
  #bins = new Uint32Array((LARGEST - SMALLEST) * PER_DECADE);
  #total = 0;
  #rungs = UNKNOWN;

  // The norms of the lowest and the highest colour, and whether there are some beyond.
  range = { low: normAt(UNKNOWN.low), high: normAt(UNKNOWN.high), below: false, above: false };

  add(norms, weight = 1) {
    for (const norm of norms) {
      if (!(norm > 0 && norm < Infinity)) continue;
      this.#bins[Math.floor((Math.log10(norm) - SMALLEST) * PER_DECADE)] += weight;
      this.#total += weight;
    }
  }

  remove(norms) {
    this.add(norms, -1);
  }

  // Takes the range anew; true if it is another one.
  settle() {
    const before = this.range;
    const last = this.#total - 1;
    const leave = Math.floor(LEFT_OUT * this.#total);
    const some = this.#total > 0;
    this.#rungs = some ? this.#wanted(this.#power(leave), this.#power(last - leave)) : UNKNOWN;
    const low = normAt(this.#rungs.low);
    const high = normAt(this.#rungs.high);
    this.range = {
      low,
      high,
      below: some && 10 ** (this.#power(0) + 1 / PER_DECADE) < low,
      above: some && 10 ** this.#power(last) >= high,
    };
    return Object.keys(before).some((key) => before[key] !== this.range[key]);
  }

  // The rungs around two powers of ten; those that there are, while they fit.
  #wanted(from, to) {
    let low = Math.floor(rungOf(from));
    let high = Math.ceil(rungOf(to + 1 / PER_DECADE));
    while (high - low < LEAST) {
      low -= 1;
      if (high - low < LEAST) high += 1;
    }
    const kept = this.#rungs;
    const fits = kept !== UNKNOWN && kept.low <= low && kept.high >= high;
    return fits && kept.high - kept.low <= high - low + SLACK ? kept : { low, high };
  }

  // The power of ten at the lower edge of the bin that has the norm of a rank.
  #power(rank) {
    let passed = 0;
    for (let bin = 0; bin < this.#bins.length; bin++) {
      passed += this.#bins[bin];
      if (passed > rank) return bin / PER_DECADE + SMALLEST;
    }
    return LARGEST;
  }
}

function normAt(rung) {
  const decade = Math.floor(rung / RUNGS.length);
  return Number(`${RUNGS[rung - decade * RUNGS.length]}e${decade}`);
}

// The rung of a power of ten, between two of them a fraction.
function rungOf(power) {
  const decade = Math.floor(power + 1e-9); // bins end at round powers, but for rounding
  const within = Math.max(0, power - decade);
  const edges = [...RUNGS.map(Math.log10), 1];
  const below = edges.findLastIndex((edge) => edge <= within + 1e-9);
  const part = (within - edges[below]) / (edges[below + 1] - edges[below]);
  return decade * RUNGS.length + below + (part < 1e-6 ? 0 : part);
}
