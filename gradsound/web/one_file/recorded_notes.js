// The note events of a recording, as the messages that a server would send (docs/web.md).

import { EVENTS } from "./binary_messages.js";
import { restoreLevels } from "./predicted_levels.js";
import { addUp } from "./recording.js";

const HEADER = 32; // bytes of a message before its events
const EVENT = 76; // bytes of an event in a message
// Words of 32 bits of an event in the recording: the onset in its moment, then those of a
// message after the first frame.
const WORDS = 18;
const [ONSET, COUNT, VOICE, INCREMENT, LEVEL] = [0, 1, 2, 5, 8];
// Pairs of words that begin and end a linear change; the recording has their difference.
const PAIRS = [[LEVEL, 9], [12, 13], [14, 15], [16, 17]];

// A moment is a step, or several merged steps; the last one is the end of the run, without
// steps. The frames are those of a rendering.
export class RecordedNotes {
  #words;
  #starts; // of the notes of each moment; then the number of all notes
  #firsts;
  #lasts;
  #begins;
  #longest = 0; // frames from the begin of a moment to the end of one of its notes
  count; // of moments

  constructor({ notes, begins, firsts, lasts, counts }) {
    this.#words = new Uint32Array(notes);
    this.#begins = addUp(new Int32Array(begins));
    this.#firsts = new Uint32Array(addUp(new Int32Array(firsts)));
    this.#lasts = new Uint32Array(addUp(new Int32Array(lasts)));
    this.#starts = [0, ...addUp(new Uint32Array(counts))];
    this.count = this.#begins.length;
    this.#restoreLevels();
    for (let at = 0; at < this.#words.length; at += WORDS) {
      for (const [first, second] of PAIRS) this.#words[at + second] ^= this.#words[at + first];
      const end = this.#words[at + ONSET] + this.#words[at + COUNT];
      this.#longest = Math.max(this.#longest, end);
    }
  }

  // Returns the frame at which a moment begins.
  begin(moment) {
    return this.#begins[moment];
  }

  // Returns the first moment that has a step or a later one.
  momentOf(step) {
    const moment = this.#lasts.findIndex((last, k) => last >= step || k === this.count - 1);
    return Math.max(0, moment);
  }

  // Returns the message of a moment. With `sounding`, it also has the notes of earlier moments
  // that still sound.
  message(moment, sounding) {
    const begin = this.#begins[moment];
    const notes = [];
    for (let k = sounding ? this.#earliest(begin) : moment; k <= moment; k += 1) {
      for (let note = this.#starts[k]; note < this.#starts[k + 1]; note += 1) {
        const first = this.#begins[k] + this.#words[note * WORDS + ONSET];
        const end = first + this.#words[note * WORDS + COUNT];
        if (k === moment || end > begin) notes.push({ first, note });
      }
    }
    const buffer = new ArrayBuffer(HEADER + EVENT * notes.length);
    const view = new DataView(buffer);
    const words = new Uint32Array(buffer);
    view.setUint32(0, EVENTS, true);
    view.setUint32(4, notes.length, true);
    view.setFloat64(8, begin, true);
    view.setFloat64(16, begin, true);
    view.setUint32(24, this.#firsts[moment], true);
    view.setUint32(28, this.#lasts[moment], true);
    notes.forEach(({ first, note }, k) => {
      const at = HEADER + k * EVENT;
      view.setFloat64(at, first, true);
      words.set(this.#words.subarray(note * WORDS + COUNT, (note + 1) * WORDS), at / 4 + 2);
    });
    return buffer;
  }

  #restoreLevels() {
    const words = this.#words;
    const column = (place, mask) => {
      const count = words.length / WORDS;
      return Uint32Array.from({ length: count }, (_, k) => words[k * WORDS + place] & mask);
    };
    const levels = column(LEVEL, -1);
    restoreLevels(column(VOICE, 0xffff), column(INCREMENT, -1), levels);
    levels.forEach((level, k) => (words[k * WORDS + LEVEL] = level));
  }

  // Returns the first moment whose notes may still sound at a frame.
  #earliest(frame) {
    return this.#begins.findIndex((begin) => begin + this.#longest > frame);
  }
}
