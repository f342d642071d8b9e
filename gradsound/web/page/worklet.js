// The browser's synthesizer: plays the server's events as gradsound.synth.mixer does, and
// keeps step with the server.

import { Level } from "./fade.js";
import { CHANNELS, QUANTUM, Voice } from "./kernel.js";

const { abs, fround, max, min, round } = Math;

const HEADER = 32; // bytes of a message before its records
const RECORD = 76; // bytes
const MOST = 1 << 15; // events that are kept at once, about 15 MB: minutes of a dense run
const MARGIN = round(0.02 * sampleRate); // frames behind the server, as networks are uneven
const SLACK = round(0.015 * sampleRate); // frames; to be so much further behind is no matter
const PATIENCE = 10 * sampleRate; // frames for which it is further before there is a step
// Frames. Who is further behind has slept, and does not wait; what began longer ago was not
// delayed, it sounds already; what ended longer ago will not be stepped back to.
const LONG = sampleRate;
const FADE = round(0.005 * sampleRate); // frames out, then in again, where there is a step
const RAMP = round(0.01 * sampleRate); // frames in which a line goes or comes
const REPORT = round(0.1 * sampleRate); // frames from one report to the next

const KNEE = fround(0.8); // linear; the limiter is the mixer's
const REST = fround(1 - 0.8);
const LARGE = fround(1e30);

// A sample, bent to within 1 if it is beyond the knee; silence if it is no number.
function limited(sample) {
  const size = abs(sample);
  if (size <= KNEE) return sample;
  if (Number.isNaN(sample)) return 0;
  const over = fround(fround(min(size, LARGE) - KNEE) / REST);
  const bent = fround(KNEE + fround(REST * fround(over / fround(1 + over))));
  return sample < 0 ? -bent : bent;
}

// The events of a message, the first frame of all, that at which its steps begin, and what
// the server's frame was then.
function parsed(buffer) {
  const view = new DataView(buffer);
  const floats = (at, count) =>
    Array.from({ length: count }, (_, k) => view.getFloat32(at + 4 * k, true));
  const events = [];
  const end = min(buffer.byteLength, HEADER + MOST * RECORD);
  for (let at = HEADER; at + RECORD <= end; at += RECORD) {
    events.push({
      first: view.getFloat64(at, true),
      count: view.getUint32(at + 8, true),
      voice: view.getUint16(at + 12, true),
      line: view.getInt16(at + 14, true),
      slot: view.getUint32(at + 16, true),
      phase: view.getUint32(at + 20, true),
      increment: view.getUint32(at + 24, true),
      glide: view.getInt32(at + 28, true),
      fade: view.getUint32(at + 32, true),
      gain: floats(at + 36, 2),
      pan: floats(at + 44, CHANNELS),
      controls: floats(at + 52, 6),
    });
  }
  const earliest = events.reduce((least, { first }) => min(least, first), Infinity);
  const [now, begin] = [8, 16].map((at) => round(view.getFloat64(at, true)));
  return { now, begin, earliest, events };
}

// The position that a message asks for: another than there is, if that is amiss. A finished
// run is heard whole, however late it comes.
function stepped(position, { now, earliest }, live) {
  if (live && (position === null || now - position > MARGIN + LONG)) return now - MARGIN;
  const wanted = live && earliest < now - LONG ? now : min(earliest, now);
  return min(position ?? Infinity, wanted - MARGIN);
}

// Takes {events: ArrayBuffer}, {silence: [line, off]} and {clear: true}. Says {frame, time,
// taken}: the server's frame at a time of the context's, and how many events and clears
// that is after. Its option is whether the run is live.
class Synthesizer extends AudioWorkletProcessor {
  #live;
  #voices = globalThis.gradsoundVoices.map((voice) => new Voice(voice));
  #lines = []; // levels by number, up to the last that was ever silenced
  #all = new Level(0, FADE); // of everything: off on the way to a step
  #position = null; // the server's frame that is rendered next
  #waiting = null; // what has come on the way to a step, as one message
  #newest = -Infinity; // the server's frame, of the last message
  #begin = Infinity; // where its steps begin; of a finished run none come that begin before
  #clearing = false;
  #taken = 0; // messages
  #skip = 0; // frames that the next step goes ahead
  #behind = Infinity; // the fewest frames it was behind the server, of those watched
  #watched = 0; // frames
  #unreported = REPORT; // frames

  constructor({ processorOptions: { live } }) {
    super();
    this.#live = live;
    this.port.onmessage = ({ data }) => {
      if (data.silence) this.#silence(...data.silence);
      else this.#taken += 1;
      if (data.events) this.#receive(parsed(data.events));
      if (data.clear) this.#clear();
    };
  }

  #receive(message) {
    if (message.now < this.#newest - LONG) this.#clear(); // another playing of the run
    this.#newest = message.now;
    if (!this.#live) {
      this.#begin = message.begin;
      message.earliest = min(message.earliest, message.begin);
    }
    const behind = message.now - this.#position;
    const amiss = message.earliest < this.#position || (this.#live && behind > MARGIN + LONG);
    if (this.#position !== null && !amiss && !this.#all.off) {
      if (this.#live) this.#behind = min(this.#behind, behind);
      this.#place(message.events);
      return;
    }
    const before = this.#waiting ?? { now: -Infinity, earliest: Infinity, events: [] };
    this.#waiting = {
      now: max(before.now, message.now),
      earliest: min(before.earliest, message.earliest),
      events: [...before.events, ...message.events].slice(-MOST),
    };
    this.#leave();
  }

  #silence(number, off) {
    while (this.#lines.length <= number) this.#lines.push(new Level(1, RAMP));
    this.#lines[number].off = off;
  }

  #clear() {
    this.#waiting = null;
    this.#clearing = true;
    this.#leave();
  }

  // Goes silent for a step; where nothing is heard yet, it is made at once.
  #leave() {
    this.#all.off = true;
    if (this.#all.silent) this.#step();
  }

  #step() {
    const waiting = this.#waiting;
    if (this.#clearing) {
      for (const voice of this.#voices) voice.forget(Infinity);
      this.#position = null;
    } else if (this.#position !== null) {
      this.#position += this.#skip;
    }
    if (waiting !== null) {
      this.#position = stepped(this.#position, waiting, this.#live);
      this.#forget();
      this.#place(waiting.events);
    }
    this.#waiting = null;
    this.#clearing = this.#all.off = false;
    this.#skip = this.#watched = 0;
    this.#behind = Infinity;
    this.#unreported = REPORT;
  }

  // Forgets what is over, and will not be stepped back to.
  #forget() {
    const frame = min(this.#position, this.#begin) - LONG;
    for (const voice of this.#voices) voice.forget(frame);
  }

  #place(events) {
    const room = MOST - this.#voices.reduce((sum, { size }) => sum + size, 0);
    const placed = events.slice(0, max(0, room));
    this.#voices.forEach((voice, number) => {
      voice.add(placed.filter((event) => event.voice === number));
    });
  }

  process(_, [channels]) {
    if (this.#position !== null) {
      this.#report();
      this.#render(channels);
      this.#position += QUANTUM;
      this.#watch();
    }
    for (const line of this.#lines) line.advance(QUANTUM);
    return true;
  }

  #render(channels) {
    for (const voice of this.#voices) voice.play(channels, this.#position, this.#lines);
    for (const samples of channels) {
      for (let k = 0; k < QUANTUM; k += 1) samples[k] = limited(samples[k]);
      this.#all.apply(samples, QUANTUM, 0);
    }
  }

  // Says where it is, and forgets what is gone, now and then; on the way to a step it is
  // not yet where what was taken leads.
  #report() {
    this.#unreported += QUANTUM;
    if (this.#unreported < REPORT || this.#all.off) return;
    this.#unreported = 0;
    this.#forget();
    this.port.postMessage({ frame: this.#position, time: currentTime, taken: this.#taken });
  }

  // Steps ahead if for long nothing came but what was well in time; steps if one is due.
  #watch() {
    this.#all.advance(QUANTUM);
    this.#watched += QUANTUM;
    if (this.#waiting !== null) this.#waiting.now += QUANTUM;
    if (this.#watched >= PATIENCE && !this.#all.off) {
      if (this.#behind < Infinity && this.#behind > MARGIN + SLACK) {
        this.#skip = this.#behind - MARGIN;
        this.#all.off = true;
      }
      this.#watched = 0;
      this.#behind = Infinity;
    }
    if (this.#all.silent) this.#step();
  }
}

registerProcessor("gradsound", Synthesizer);
