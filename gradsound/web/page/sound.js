// The sound of a run: opens the browser's audio output and passes note events to the worklet.

import { LOAD_FAILURE, insecureReason } from "./sound_errors.js";
import { moduleAddresses } from "./synthesizer.js";

const GAIN_SECONDS = 0.01; // time constant of volume and mute; a jump would click
const SILENT_MS = 60; // until a muted output is silent: six time constants
const RESUME_MS = 3000; // in which a browser that permits sound resumes it

export class Sound {
  #rate;
  #live;
  #opening = null; // promise of #open
  #output = null; // {context, node, gain}
  #started = false; // whether start() was called, and stop() was not
  #volume = 1;
  #muted = false;
  #silencedTracks = new Set();
  #report = null; // the worklet's last valid report
  #sent = 0; // events and clears sent to the worklet
  #validFrom = 0; // a report is valid if the worklet has processed that many of them
  #hasEvents = false; // whether events were sent since the last clear

  constructor(hello) {
    this.#rate = hello.sample_rate;
    this.#live = hello.live;
  }

  // Opens or resumes the audio output. Browsers permit it only in the handler of a click or
  // a key. Throws an Error that tells the user the reason.
  async start() {
    this.#started = true;
    try {
      this.#opening ??= this.#open();
      this.#output = await this.#opening;
      if (this.#started) await resume(this.#output.context);
    } catch (error) {
      this.#started = false;
      if (this.#output === null) this.#opening = null; // the next start() opens it again
      throw error;
    }
    if (this.#started) this.#applyGain();
    else await this.#output.context.suspend();
  }

  // Fades out, suspends the output and discards all events.
  async stop() {
    this.#started = false;
    if (this.#output === null) return;
    this.#applyGain();
    this.clear();
    await new Promise((resolve) => setTimeout(resolve, SILENT_MS));
    if (!this.#started) await this.#output.context.suspend();
  }

  // Passes on a message of note events; its steps begin at the frame `begin`. If that frame
  // is past, the worklet jumps back to it.
  events(buffer, begin) {
    if (!this.#started || this.#output === null) return;
    const jumpsBack = begin < this.frame;
    this.#post({ events: buffer });
    this.#hasEvents = true;
    if (jumpsBack) this.#invalidateReport();
  }

  // Discards all events; the next ones may begin at any frame.
  clear() {
    if (this.#output === null) return;
    this.#post({ clear: true });
    this.#hasEvents = false;
    this.#invalidateReport();
  }

  // volume: linear gain, 0 to 1.
  set volume(volume) {
    this.#volume = volume;
    this.#applyGain();
  }

  set muted(muted) {
    this.#muted = muted;
    this.#applyGain();
  }

  // Silences a track, or restores it.
  silence(track, off) {
    if (off) this.#silencedTracks.add(track);
    else this.#silencedTracks.delete(track);
    this.#output?.node.port.postMessage({ silence: [track, off] });
  }

  get running() {
    return this.#started && this.#output?.context.state === "running";
  }

  // The server's frame that the user hears now; null before the first event, -Infinity until
  // the worklet reports its position.
  get frame() {
    if (this.#report === null) return this.#hasEvents ? -Infinity : null;
    const { currentTime, outputLatency = 0 } = this.#output.context; // undefined in Safari
    const { frame, time } = this.#report;
    return frame + (currentTime - outputLatency - time) * this.#rate;
  }

  async #open() {
    const context = openContext(this.#rate);
    context.resume().catch(() => {}); // now: after an await the click counts no more
    try {
      for (const address of moduleAddresses()) await context.audioWorklet.addModule(address);
    } catch (error) {
      context.close();
      throw new Error(LOAD_FAILURE, { cause: error });
    }
    const node = new AudioWorkletNode(context, "gradsound", {
      numberOfInputs: 0,
      outputChannelCount: [2],
      processorOptions: { live: this.#live },
    });
    const gain = new GainNode(context, { gain: 0 });
    node.connect(gain).connect(context.destination);
    node.port.onmessage = ({ data }) => {
      if (data.processed >= this.#validFrom) this.#report = data;
    };
    for (const track of this.#silencedTracks) node.port.postMessage({ silence: [track, true] });
    // A phone call or sleep interrupts the output, and the browser does not resume it.
    const resumeIfInterrupted = () => {
      if (this.#started && context.state !== "running") context.resume().catch(() => {});
    };
    context.addEventListener("statechange", resumeIfInterrupted);
    document.addEventListener("visibilitychange", resumeIfInterrupted);
    return { context, node, gain };
  }

  #post(message) {
    this.#sent += 1;
    this.#output.node.port.postMessage(message);
  }

  // The last report is wrong until the worklet has processed all messages sent so far.
  #invalidateReport() {
    this.#report = null;
    this.#validFrom = this.#sent;
  }

  #applyGain() {
    if (this.#output === null) return;
    const { context, gain } = this.#output;
    // Squared: loudness is not linear, and the middle of the slider sounds half as loud.
    const level = this.#started && !this.#muted ? this.#volume : 0;
    gain.gain.setTargetAtTime(level, context.currentTime, GAIN_SECONDS);
  }
}

function openContext(rate) {
  if (!window.isSecureContext) throw new Error(insecureReason());
  if (!window.AudioContext || !window.AudioWorkletNode) {
    throw new Error("This browser has no AudioWorklet. Use a newer browser to hear the run.");
  }
  try {
    return new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
  } catch (error) {
    throw new Error(`The browser cannot play ${rate} Hz: ${error.message}`, {
      cause: error,
    });
  }
}

// Resumes a context; throws after 3 s, because resume() never ends where a page may not sound.
async function resume(context) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error("The browser does not start the sound. Check its output and try again."));
    }, RESUME_MS);
  });
  try {
    await Promise.race([context.resume(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
