// The synthesis kernel: renders note events in the browser.
//
// It rounds each operation to float32, as gradsound.synth.kernels.numpy_kernel does, so that
// both give the same samples.

const { fround, imul, max, min } = Math;

export const QUANTUM = 128; // frames of a block; Web Audio fixes it
export const CHANNELS = 2;
const PERIOD = fround(1 / sampleRate); // seconds
// Odd polynomial of the raised cosine, as in gradsound/synth/voices/functions.py.
const EDGE = [1.57079101, -2.5835714, 1.270949515, -0.2773181].map(fround);

// Fill an input of a voice with n values of an event, from its frame i on.
const FILLERS = {
  phase({ phase, increment, glide }, i, n, out) {
    for (let k = 0; k < n; k += 1) {
      const mean = (increment - glide + imul(glide, i + k)) | 0;
      out[k] = toTurns(phase + imul(i + k, mean));
    }
  },
  dt({ increment, glide }, i, n, out) {
    for (let k = 0; k < n; k += 1) out[k] = toTurns(increment + imul(2 * glide, i + k));
  },
  time(_, i, n, out) {
    for (let k = 0; k < n; k += 1) out[k] = (i + k) * PERIOD;
  },
  noise({ first, slot }, i, n, out) {
    const salt = imul(slot, 0x9e3779b9);
    for (let k = 0; k < n; k += 1) out[k] = 2 * toTurns(hash((first + i + k) ^ salt));
  },
  norm: fillControl(0),
  deviation: fillControl(1),
  depth: fillControl(2),
};

// Buffers of the event being rendered. Allocated once: garbage collection would interrupt
// the audio thread.
const inputs = Object.fromEntries(
  Object.keys(FILLERS).map((name) => [name, new Float32Array(QUANTUM)]),
);
const tone = new Float32Array(QUANTUM);

function fillControl(control) {
  return ({ count, controls }, i, n, out) => {
    const start = controls[2 * control];
    const rise = slope(start, controls[2 * control + 1], count);
    for (let k = 0; k < n; k += 1) out[k] = start + fround(rise * (i + k));
  };
}

// Change per frame of a value that moves linearly over `count` frames.
function slope(start, end, count) {
  return fround(fround(end - start) * fround(1 / count));
}

// Converts a phase in units of 2**-32 turns to turns, -0.5 to 0.5.
function toTurns(phase) {
  return (phase | 0) * 2 ** -32;
}

// 32-bit hash: lowbias32 (C. Wellons, 2018).
function hash(seed) {
  const once = imul(seed ^ (seed >>> 16), 0x7feb352d);
  const twice = imul(once ^ (once >>> 15), 0x846ca68b);
  return twice ^ (twice >>> 16);
}

// Raised cosine from 0 to 1.
function edge(share) {
  const angle = fround(share - 0.5);
  const square = fround(angle * angle);
  let result = EDGE[3];
  for (let k = 2; k >= 0; k -= 1) result = fround(fround(result * square) + EDGE[k]);
  return fround(0.5 + fround(angle * result));
}

// A voice with its pending events.
export class Voice {
  #names;
  #evaluate;
  #playAll;
  #events = []; // sorted by first frame, then slot; the order of additions fixes the rounding
  #audible = []; // in the block being rendered

  // Takes an entry of voices.js, which gradsound.synth.kernels.page_voices writes, and its
  // function of wasm_kernel.js, if there is one.
  constructor({ inputs: names, evaluate }, playAll) {
    this.#names = names;
    this.#evaluate = evaluate;
    this.#playAll = playAll;
  }

  get size() {
    return this.#events.length;
  }

  add(events) {
    for (const event of events) this.#events.push(event);
    this.#events.sort((a, b) => a.first - b.first || a.slot - b.slot);
  }

  // Removes events that end before a frame.
  forget(frame) {
    let kept = 0;
    for (const event of this.#events) {
      if (event.first + event.count > frame) this.#events[kept++] = event;
    }
    this.#events.length = kept;
  }

  // Adds the block that begins at a frame to the channels. trackFades: a Fade per track.
  play(channels, start, trackFades) {
    let fading = !Number.isSafeInteger(start); // or no whole frame, of a malformed message
    let count = 0;
    for (const event of this.#events) {
      if (event.first >= start + QUANTUM) break;
      const fade = trackFades[event.track];
      if (event.first + event.count <= start || fade?.silent) continue;
      fading ||= fade !== undefined && !fade.full;
      this.#audible[count++] = event;
    }
    this.#audible.length = count;
    if (this.#playAll !== undefined && !fading) this.#playAll(channels, start, this.#audible);
    else for (const event of this.#audible) this.#add(event, channels, start, trackFades);
  }

  // Adds one event to the channels.
  #add(event, channels, start, trackFades) {
    const from = max(start, event.first);
    const n = min(start + QUANTUM, event.first + event.count) - from;
    this.#render(event, from - event.first, n);
    trackFades[event.track]?.apply(tone, n, from - start);
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const out = channels[channel];
      const pan = event.pan[channel];
      for (let k = 0; k < n; k += 1) out[from - start + k] += fround(tone[k] * pan);
    }
  }

  // Renders n frames of an event into `tone`, from the event's frame i on.
  #render(event, i, n) {
    for (const name of this.#names) FILLERS[name](event, i, n, inputs[name]);
    this.#evaluate(n, inputs, tone);
    const { count, gain } = event;
    const rise = slope(gain[0], gain[1], count);
    const slopeOfFade = fround(1 / event.fade);
    const end = fround(count - 0.5);
    for (let k = 0; k < n; k += 1) {
      const at = i + k;
      const fadeIn = fround(fround(at + 0.5) * slopeOfFade);
      const fadeOut = fround(fround(end - at) * slopeOfFade);
      const nearer = min(fadeIn, fadeOut);
      const level = fround(gain[0] + fround(rise * at));
      tone[k] *= nearer < 1 ? fround(level * edge(nearer)) : level;
    }
  }
}
