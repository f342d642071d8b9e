// A gain that goes from 1 to 0, or back, so slowly that it does not click.

const { max, min } = Math;

export class Level {
  #level; // 0 to 1
  #frames;
  off = false; // where it goes: to 0, or to 1

  // frames is how many it takes from 0 to 1.
  constructor(level, frames) {
    this.#level = level;
    this.#frames = frames;
  }

  // Whether it is 0, and stays so.
  get silent() {
    return this.off && this.#level === 0;
  }

  // Takes n samples to it, which begin so many frames after those of the last advance.
  apply(samples, n, after) {
    if (this.#level === 1 && !this.off) return;
    for (let k = 0; k < n; k += 1) {
      const share = this.#moved(after + k + 1);
      samples[k] *= share * share * (3 - 2 * share); // without corners
    }
  }

  advance(frames) {
    this.#level = this.#moved(frames);
  }

  #moved(frames) {
    const way = frames / this.#frames;
    return this.off ? max(0, this.#level - way) : min(1, this.#level + way);
  }
}
