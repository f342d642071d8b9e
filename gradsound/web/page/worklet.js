// The AudioWorklet: plays the server's note events as gradsound.synth.mixer does, and stays
// in time with the server.

import { Fade, JUMP_SECONDS, TRACK_SECONDS } from "./fade.js";
import { CHANNELS, QUANTUM, Voice } from "./kernel.js";
import { limit } from "./limiter.js";
import { MARGIN, OBSERVATION, SLACK, SUSPENDED, jumpTarget } from "./playback_delay.js";
import { compileKernels } from "./wasm_kernel.js";

const { max, min, round } = Math;

const HEADER = 32; // bytes of a message before its events
const EVENT = 76; // bytes of an event
const MAX_EVENTS = 1 << 15; // pending, about 15 MB: minutes of a dense run
// In frames:
const FADE = round(JUMP_SECONDS * sampleRate);
const TRACK_FADE = round(TRACK_SECONDS * sampleRate);
const REPORT = round(0.1 * sampleRate); // between two reports

// Returns the events of a message, their earliest frame, the frame at which the message's
// steps begin, and the server's frame when it sent them.
function parseEvents(buffer) {
  const view = new DataView(buffer);
  const floats = (at, count) =>
    Array.from({ length: count }, (_, k) => view.getFloat32(at + 4 * k, true));
  const events = [];
  const end = min(buffer.byteLength, HEADER + MAX_EVENTS * EVENT);
  for (let at = HEADER; at + EVENT <= end; at += EVENT) {
    events.push({
      first: view.getFloat64(at, true),
      count: view.getUint32(at + 8, true),
      voice: view.getUint16(at + 12, true),
      track: view.getInt16(at + 14, true),
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

// Receives {events: ArrayBuffer}, {clear: true} and {silence: [track, off]}. Reports {frame,
// time, processed}: the server's frame at a time of the audio context, and the number of
// events and clears processed before it. The option `live` says whether the run still grows.
class Synthesizer extends AudioWorkletProcessor {
  #live;
  #voices;
  #trackFades = []; // by track, up to the last track that was ever silenced
  #masterFade = new Fade(0, FADE); // off until the next jump
  #position = null; // the server's frame to render next
  #pending = null; // messages that arrived before a jump, merged
  #newest = -Infinity; // the server's frame of the last message
  #begin = Infinity; // first frame of the last message; a finished run sends none before it
  #clearing = false;
  #processed = 0; // messages
  #skip = 0; // frames of the next jump ahead
  #lead = Infinity; // frames; least lead of the server's messages during the observation
  #observed = 0; // frames of the observation so far
  #unreported = REPORT; // frames since the last report

  constructor({ processorOptions: { live } }) {
    super();
    // Here, because voices.js is loaded after this module.
    const kernels = compileKernels(globalThis.gradsoundModule, QUANTUM);
    this.#voices = globalThis.gradsoundVoices.map((voice, k) => new Voice(voice, kernels[k]));
    this.#live = live;
    this.port.onmessage = ({ data }) => {
      if (data.silence) this.#silence(...data.silence);
      else this.#processed += 1;
      if (data.events) this.#receive(parseEvents(data.events));
      if (data.clear) this.#clear();
    };
  }

  #receive(message) {
    if (message.now < this.#newest - SUSPENDED) this.#clear(); // a new playback of the run
    this.#newest = message.now;
    if (!this.#live) this.#begin = message.earliest = message.begin;
    const lead = message.now - this.#position;
    const suspended = this.#live && lead > MARGIN + SUSPENDED;
    const mustJump = message.earliest < this.#position || suspended;
    if (this.#position !== null && !mustJump && !this.#masterFade.off) {
      if (this.#live) this.#lead = min(this.#lead, lead);
      this.#addEvents(message.events);
      return;
    }
    const before = this.#pending ?? { now: -Infinity, earliest: Infinity, events: [] };
    this.#pending = {
      now: max(before.now, message.now),
      earliest: min(before.earliest, message.earliest),
      events: [...before.events, ...message.events].slice(-MAX_EVENTS),
    };
    this.#startJump();
  }

  #silence(track, off) {
    while (this.#trackFades.length <= track) this.#trackFades.push(new Fade(1, TRACK_FADE));
    this.#trackFades[track].off = off;
  }

  #clear() {
    this.#pending = null;
    this.#clearing = true;
    this.#startJump();
  }

  // Fades out before a jump; jumps at once if the output is silent already.
  #startJump() {
    this.#masterFade.off = true;
    if (this.#masterFade.silent) this.#jump();
  }

  #jump() {
    const pending = this.#pending;
    if (this.#clearing) {
      for (const voice of this.#voices) voice.forget(Infinity);
      this.#position = null;
    } else if (this.#position !== null) {
      this.#position += this.#skip;
    }
    if (pending !== null) {
      this.#position = jumpTarget(this.#position, pending, this.#live);
      this.#forgetPast();
      this.#addEvents(pending.events);
    }
    this.#pending = null;
    this.#clearing = this.#masterFade.off = false;
    this.#skip = this.#observed = 0;
    this.#lead = Infinity;
    this.#unreported = REPORT;
  }

  // Removes events to which no jump leads back.
  #forgetPast() {
    const frame = min(this.#position, this.#begin) - SUSPENDED;
    for (const voice of this.#voices) voice.forget(frame);
  }

  #addEvents(events) {
    const room = MAX_EVENTS - this.#voices.reduce((sum, { size }) => sum + size, 0);
    const added = events.slice(0, max(0, room));
    this.#voices.forEach((voice, index) => {
      voice.add(added.filter((event) => event.voice === index));
    });
  }

  process(_, [channels]) {
    if (this.#position !== null) {
      this.#report();
      this.#render(channels);
      this.#position += QUANTUM;
      this.#observe();
    }
    for (const fade of this.#trackFades) fade.advance(QUANTUM);
    return true;
  }

  #render(channels) {
    for (const voice of this.#voices) voice.play(channels, this.#position, this.#trackFades);
    for (const samples of channels) {
      for (let k = 0; k < QUANTUM; k += 1) samples[k] = limit(samples[k]);
      this.#masterFade.apply(samples, QUANTUM, 0);
    }
  }

  // Reports the position every 0.1 s. Not while fading out: the messages before the jump are
  // processed, but the position is still the one from before it.
  #report() {
    this.#unreported += QUANTUM;
    if (this.#unreported < REPORT || this.#masterFade.off) return;
    this.#unreported = 0;
    this.#forgetPast();
    const report = { frame: this.#position, time: currentTime, processed: this.#processed };
    this.port.postMessage(report);
  }

  // Starts a jump ahead if every message of the last 10 s came earlier than the margin needs.
  // Makes a jump that is due.
  #observe() {
    this.#masterFade.advance(QUANTUM);
    this.#observed += QUANTUM;
    if (this.#pending !== null) this.#pending.now += QUANTUM;
    if (this.#observed >= OBSERVATION && !this.#masterFade.off) {
      if (this.#lead < Infinity && this.#lead > MARGIN + SLACK) {
        this.#skip = this.#lead - MARGIN;
        this.#masterFade.off = true;
      }
      this.#observed = 0;
      this.#lead = Infinity;
    }
    if (this.#masterFade.silent) this.#jump();
  }
}

registerProcessor("gradsound", Synthesizer);
