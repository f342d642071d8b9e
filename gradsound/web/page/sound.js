// The sound of a run: opens the browser's audio, and passes on to it what the server sends.

const RAMP = 0.01; // seconds; time constant of volume and mute, which would click without
const RAMPED = 0.06; // seconds until what is muted is silent
const WAIT = 3000; // ms in which a browser that lets a page sound does so

export class Sound {
  #rate;
  #live;
  #opening = null; // a promise of what #open opens
  #opened = null; // {context, node, gain}
  #wanted = false;
  #volume = 1;
  #muted = false;
  #silenced = new Set(); // lines
  #heard = null; // the worklet's last report; null before it knows where it will be
  #sent = 0; // events and clears; a report that is after fewer than #since does not count
  #since = 0;
  #sounds = false; // whether events were sent since the last clear

  constructor(hello) {
    this.#rate = hello.sample_rate;
    this.#live = hello.live;
  }

  // Opens the sound, or goes on with it; from a click or a key, or browsers refuse. Throws
  // an Error whose message says what is wrong.
  async start() {
    this.#wanted = true;
    try {
      this.#opening ??= this.#open();
      this.#opened = await this.#opening;
      if (this.#wanted) await resumed(this.#opened.context);
    } catch (error) {
      this.#wanted = false;
      if (this.#opened === null) this.#opening = null; // it may be tried again
      throw error;
    }
    if (this.#wanted) this.#level();
    else await this.#opened.context.suspend();
  }

  // Suspends it, and forgets what was to sound.
  async stop() {
    this.#wanted = false;
    if (this.#opened === null) return;
    this.#level();
    this.clear();
    await new Promise((resolve) => setTimeout(resolve, 1000 * RAMPED));
    if (!this.#wanted) await this.#opened.context.suspend();
  }

  // Passes on a message of type 1, whose steps begin at a frame; it may be back there that
  // the sound goes on.
  events(buffer, begin) {
    if (!this.#wanted || this.#opened === null) return;
    const back = begin < this.frame;
    this.#post({ events: buffer });
    this.#sounds = true;
    if (back) this.#forget();
  }

  // Forgets what was to sound: what comes next may be of any frame.
  clear() {
    if (this.#opened === null) return;
    this.#post({ clear: true });
    this.#sounds = false;
    this.#forget();
  }

  // 0 to 1.
  set volume(volume) {
    this.#volume = volume;
    this.#level();
  }

  set muted(muted) {
    this.#muted = muted;
    this.#level();
  }

  // Switches a line off, or on again.
  silence(line, off) {
    if (off) this.#silenced.add(line);
    else this.#silenced.delete(line);
    this.#opened?.node.port.postMessage({ silence: [line, off] });
  }

  get running() {
    return this.#wanted && this.#opened?.context.state === "running";
  }

  // The server's frame that is heard now; -Infinity until that is known, null while nothing
  // has come.
  get frame() {
    if (this.#heard === null) return this.#sounds ? -Infinity : null;
    const { currentTime, outputLatency = 0 } = this.#opened.context; // Safari does not say
    const { frame, time } = this.#heard;
    return frame + (currentTime - outputLatency - time) * this.#rate;
  }

  async #open() {
    const context = opened(this.#rate);
    context.resume().catch(() => {}); // now: what is no part of the click may be refused
    try {
      await context.audioWorklet.addModule("worklet.js");
      await context.audioWorklet.addModule("voices.js");
    } catch (error) {
      context.close();
      throw new Error("The sound's code did not come: is the run's server still there?", {
        cause: error,
      });
    }
    const node = new AudioWorkletNode(context, "gradsound", {
      numberOfInputs: 0,
      outputChannelCount: [2],
      processorOptions: { live: this.#live },
    });
    const gain = new GainNode(context, { gain: 0 });
    node.connect(gain).connect(context.destination);
    node.port.onmessage = ({ data }) => {
      if (data.taken >= this.#since) this.#heard = data;
    };
    for (const line of this.#silenced) node.port.postMessage({ silence: [line, true] });
    // A call, or sleep, takes the sound away; nobody gives it back but who asks for it.
    const again = () => {
      if (this.#wanted && context.state !== "running") context.resume().catch(() => {});
    };
    context.addEventListener("statechange", again);
    document.addEventListener("visibilitychange", again);
    return { context, node, gain };
  }

  #post(message) {
    this.#sent += 1;
    this.#opened.node.port.postMessage(message);
  }

  // What was reported is over, until there is a report after all that was sent.
  #forget() {
    this.#heard = null;
    this.#since = this.#sent;
  }

  #level() {
    if (this.#opened === null) return;
    const { context, gain } = this.#opened;
    // Squared, as loudness is heard: the middle of a slider is half as loud.
    const level = this.#wanted && !this.#muted ? this.#volume ** 2 : 0;
    gain.gain.setTargetAtTime(level, context.currentTime, RAMP);
  }
}

function opened(rate) {
  if (!window.isSecureContext) {
    const port = location.port || "80";
    throw new Error(
      "Browsers let a page sound like this only if its address is of their own machine: " +
        `there, type "ssh -L ${port}:127.0.0.1:${port} ${location.hostname}" and open ` +
        `http://127.0.0.1:${port}${location.pathname}`,
    );
  }
  if (!window.AudioContext || !window.AudioWorkletNode) {
    throw new Error("This browser has no AudioWorklet: take a newer one to hear the run.");
  }
  try {
    return new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
  } catch (error) {
    throw new Error(`The browser opens no sound of ${rate} Hz: ${error.message}`, {
      cause: error,
    });
  }
}

// Where a page may not sound, resume() waits for ever.
async function resumed(context) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error("The browser holds the sound back: is there an output? Try again."));
    }, WAIT);
  });
  try {
    await Promise.race([context.resume(), late]);
  } finally {
    clearTimeout(timer);
  }
}
