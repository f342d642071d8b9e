// A gain that moves between 1 and 0 without a click.

const { max, min } = Math;

export const JUMP_SECONDS = 0.005; // out before a jump, and in after it
export const TRACK_SECONDS = 0.01; // of a track that is silenced or restored

export class Fade {
  #level; // 0 to 1
  #frames;
  off = false; // whether the level moves to 0; otherwise it moves to 1

  // frames: duration of a whole fade.
  constructor(level, frames) {
    this.#level = level;
    this.#frames = frames;
  }

  // Whether the level is 0 and stays there.
  get silent() {
    return this.off && this.#level === 0;
  }

  // Whether the level is 1 and stays there.
  get full() {
    return !this.off && this.#level === 1;
  }

  // Multiplies n samples by the level; the first is `offset` frames after the last advance.
  apply(samples, n, offset) {
    if (this.full) return;
    for (let k = 0; k < n; k += 1) {
      const level = this.#levelAfter(offset + k + 1);
      samples[k] *= level * level * (3 - 2 * level); // smoothstep: a corner would click
    }
  }

  advance(frames) {
    this.#level = this.#levelAfter(frames);
  }

  #levelAfter(frames) {
    const change = frames / this.#frames;
    return this.off ? max(0, this.#level - change) : min(1, this.#level + change);
  }
}
