// The signals of a recording, as the messages that a server would send (docs/web.md).

import { addUp } from "./recording.js";

export class RecordedSignals {
  #names;
  #bands;
  #frames;
  #steps;
  #numbers; // of each signal of each band, at each message; NaN if unknown
  #next = 0; // the message to send next

  constructor({ names, bands }, { signal_frames, signal_steps, signal_numbers }) {
    this.#names = names;
    this.#bands = bands;
    this.#frames = addUp(new Int32Array(signal_frames));
    this.#steps = addUp(new Int32Array(signal_steps));
    this.#numbers = new Float32Array(signal_numbers);
  }

  // Returns the message with the last numbers of the run; null if the run has no signals.
  last() {
    return this.#frames.length ? { ...this.#message(this.#frames.length - 1), frame: 0 } : null;
  }

  // Goes to the first message at a frame or later.
  seek(frame) {
    const next = this.#frames.findIndex((one) => one >= frame);
    this.#next = next < 0 ? this.#frames.length : next;
  }

  // Returns the next messages before a frame.
  until(frame) {
    const messages = [];
    while (this.#frames[this.#next] < frame) messages.push(this.#message(this.#next++));
    return messages;
  }

  #message(index) {
    const start = index * this.#bands.length * this.#names.length;
    const rows = this.#bands.map((band, k) => {
      const at = start + k * this.#names.length;
      const known = (number) => (Number.isNaN(number) ? null : number);
      const own = this.#names.map((name, n) => [name, known(this.#numbers[at + n])]);
      return { name: band, ...Object.fromEntries(own) };
    });
    return { kind: "signals", step: this.#steps[index], frame: this.#frames[index], rows };
  }
}
