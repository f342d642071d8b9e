// The tones of events, by the float32 operations of gradsound.synth.kernels.numpy_kernel.

const { fround, imul, max, min } = Math;

export const QUANTUM = 128; // frames that a browser asks for at a time
export const CHANNELS = 2;
const PERIOD = fround(1 / sampleRate); // seconds
const EDGE = [1.57079101, -2.5835714, 1.270949515, -0.2773181].map(fround); // functions.py

// What fills each input with n of an event's, from its frame i on.
const FILLS = {
  phase({ phase, increment, glide }, i, n, out) {
    for (let k = 0; k < n; k += 1) {
      const mean = (increment - glide + imul(glide, i + k)) | 0;
      out[k] = turns(phase + imul(i + k, mean));
    }
  },
  dt({ increment, glide }, i, n, out) {
    for (let k = 0; k < n; k += 1) out[k] = turns(increment + imul(2 * glide, i + k));
  },
  time(_, i, n, out) {
    for (let k = 0; k < n; k += 1) out[k] = (i + k) * PERIOD;
  },
  noise({ first, slot }, i, n, out) {
    const salt = imul(slot, 0x9e3779b9);
    for (let k = 0; k < n; k += 1) out[k] = 2 * turns(hash((first + i + k) ^ salt));
  },
  norm: controlled(0),
  deviation: controlled(1),
  depth: controlled(2),
};

// Of the event that is rendered now. Made once: an audio thread should leave no garbage.
const inputs = Object.fromEntries(
  Object.keys(FILLS).map((name) => [name, new Float32Array(QUANTUM)]),
);
const tone = new Float32Array(QUANTUM);

function controlled(control) {
  return ({ count, controls }, i, n, out) => {
    const start = controls[2 * control];
    const rise = slope(start, controls[2 * control + 1], count);
    for (let k = 0; k < n; k += 1) out[k] = start + fround(rise * (i + k));
  };
}

// What each of so many frames adds to what goes from one value to another.
function slope(start, end, count) {
  return fround(fround(end - start) * fround(1 / count));
}

// 2**-32 turns as turns, within half of one.
function turns(whole) {
  return (whole | 0) * 2 ** -32;
}

// 32 bits that have nothing to do with the seed's (C. Wellons' lowbias32, 2018).
function hash(seed) {
  const once = imul(seed ^ (seed >>> 16), 0x7feb352d);
  const twice = imul(once ^ (once >>> 15), 0x846ca68b);
  return twice ^ (twice >>> 16);
}

// Raised cosine, from 0 at 0 to 1 at 1.
function edge(share) {
  const angle = fround(share - 0.5);
  const square = fround(angle * angle);
  let result = EDGE[3];
  for (let k = 2; k >= 0; k -= 1) result = fround(fround(result * square) + EDGE[k]);
  return fround(0.5 + fround(angle * result));
}

// The events of one voice, and what renders them.
export class Voice {
  #names;
  #evaluate;
  #events = []; // by first frame, then slot: they are added up in this order

  // What gradsound.synth.kernels.javascript made of a program.
  constructor({ inputs: names, evaluate }) {
    this.#names = names;
    this.#evaluate = evaluate;
  }

  get size() {
    return this.#events.length;
  }

  add(events) {
    for (const event of events) this.#events.push(event);
    this.#events.sort((a, b) => a.first - b.first || a.slot - b.slot);
  }

  // Forgets what ended before a frame.
  forget(frame) {
    let kept = 0;
    for (const event of this.#events) {
      if (event.first + event.count > frame) this.#events[kept++] = event;
    }
    this.#events.length = kept;
  }

  // Adds what sounds in the quantum that begins at a frame to its channels.
  play(channels, start, lines) {
    const end = start + QUANTUM;
    for (const event of this.#events) {
      if (event.first >= end) break;
      const from = max(start, event.first);
      const n = min(end, event.first + event.count) - from;
      const line = event.line < 0 ? undefined : lines[event.line];
      if (n <= 0 || line?.silent) continue;
      this.#render(event, from - event.first, n);
      line?.apply(tone, n, from - start);
      for (let channel = 0; channel < CHANNELS; channel += 1) {
        const out = channels[channel];
        const pan = event.pan[channel];
        for (let k = 0; k < n; k += 1) out[from - start + k] += fround(tone[k] * pan);
      }
    }
  }

  // Makes the tone of an event, n frames from its frame i on.
  #render(event, i, n) {
    for (const name of this.#names) FILLS[name](event, i, n, inputs[name]);
    this.#evaluate(n, inputs, tone);
    const { count, gain } = event;
    const rise = slope(gain[0], gain[1], count);
    const steep = fround(1 / event.fade);
    const end = fround(count - 0.5);
    for (let k = 0; k < n; k += 1) {
      const at = i + k;
      const risen = fround(fround(at + 0.5) * steep);
      const left = fround(fround(end - at) * steep);
      const nearer = min(risen, left);
      const level = fround(gain[0] + fround(rise * at));
      tone[k] *= nearer < 1 ? fround(level * edge(nearer)) : level;
    }
  }
}
