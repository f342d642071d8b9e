// The range of norms that the colours cover, from a histogram of the norms in the picture.

const BINS_PER_DECADE = 20; // finer than the rungs to which the range is rounded
const MIN_POWER = -46; // of ten; below every float32
const MAX_POWER = 39; // of ten; above every float32
const OUTLIERS = 0.002; // share of norms beyond each end; one spike must not take all colours

// A rung is a round norm: the norms 1, 2, 5, 10 ... are the rungs 0, 1, 2, 3 ...
const RUNGS = [1, 2, 5];
const MIN_RUNGS = RUNGS.length; // of a range, one decade: small differences must not look large
const SPARE_RUNGS = 3; // that a range may be too wide before it shrinks
const DEFAULT = { low: -MIN_RUNGS, high: MIN_RUNGS }; // rungs while no norm is above 0

export class ColourRange {
  #bins = new Uint32Array((MAX_POWER - MIN_POWER) * BINS_PER_DECADE);
  #total = 0;
  #rungs = DEFAULT;

  // The norms of the lowest and highest colour, and whether some norms are below or above.
  range = { low: normAt(DEFAULT.low), high: normAt(DEFAULT.high), below: false, above: false };

  add(norms, weight = 1) {
    for (const norm of norms) {
      if (!(norm > 0 && norm < Infinity)) continue;
      this.#bins[Math.floor((Math.log10(norm) - MIN_POWER) * BINS_PER_DECADE)] += weight;
      this.#total += weight;
    }
  }

  remove(norms) {
    this.add(norms, -1);
  }

  // Fits the range to the norms. Returns whether it changed.
  update() {
    const before = this.range;
    const last = this.#total - 1;
    const outliers = Math.floor(OUTLIERS * this.#total);
    const hasNorms = this.#total > 0;
    this.#rungs = hasNorms
      ? this.#fitRungs(this.#powerOfRank(outliers), this.#powerOfRank(last - outliers))
      : DEFAULT;
    const low = normAt(this.#rungs.low);
    const high = normAt(this.#rungs.high);
    this.range = {
      low,
      high,
      below: hasNorms && 10 ** (this.#powerOfRank(0) + 1 / BINS_PER_DECADE) < low,
      above: hasNorms && 10 ** this.#powerOfRank(last) >= high,
    };
    return Object.keys(before).some((key) => before[key] !== this.range[key]);
  }

  // Returns the rungs around two powers of ten; the present rungs while they fit.
  #fitRungs(from, to) {
    let low = Math.floor(rungOf(from));
    let high = Math.ceil(rungOf(to + 1 / BINS_PER_DECADE));
    while (high - low < MIN_RUNGS) {
      low -= 1;
      if (high - low < MIN_RUNGS) high += 1;
    }
    const present = this.#rungs;
    const covers = present !== DEFAULT && present.low <= low && present.high >= high;
    const narrow = present.high - present.low <= high - low + SPARE_RUNGS;
    return covers && narrow ? present : { low, high };
  }

  // Returns the power of ten at the lower edge of the bin of the norm with a rank.
  #powerOfRank(rank) {
    let passed = 0;
    for (let bin = 0; bin < this.#bins.length; bin++) {
      passed += this.#bins[bin];
      if (passed > rank) return bin / BINS_PER_DECADE + MIN_POWER;
    }
    return MAX_POWER;
  }
}

function normAt(rung) {
  const decade = Math.floor(rung / RUNGS.length);
  return Number(`${RUNGS[rung - decade * RUNGS.length]}e${decade}`);
}

// Returns the rung of a power of ten; a fraction between two rungs.
function rungOf(power) {
  const decade = Math.floor(power + 1e-9); // rounding may put a round power just below itself
  const within = Math.max(0, power - decade);
  const edges = [...RUNGS.map(Math.log10), 1];
  const below = edges.findLastIndex((edge) => edge <= within + 1e-9);
  const part = (within - edges[below]) / (edges[below + 1] - edges[below]);
  return decade * RUNGS.length + below + (part < 1e-6 ? 0 : part);
}
