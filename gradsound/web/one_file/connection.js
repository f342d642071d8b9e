// What the page of one file has in place of a connection: it plays the recording in this file
// by the messages that a server would send.

import { readRecording } from "./recording.js";
import { recordedLosses } from "./recorded_losses.js";
import { RecordedNotes } from "./recorded_notes.js";
import { RecordedPicture } from "./recorded_picture.js";
import { RecordedSignals } from "./recorded_signals.js";
import { RowView } from "./row_view.js";
import { showSoundError } from "./readout.js";

const AHEAD_SECONDS = 5; // a browser calls the timers of a hidden page once a second
const POLL_MS = 200;

export class Connection {
  #handlers;
  #position;
  #facts = null; // null until the recording is read
  #notes;
  #picture;
  #signals;
  #view;
  #timer = null;
  #next = 0; // the moment to send next
  #nextCaption = 0;
  #begin = 0; // frame at which the playback began
  wasLost = false;

  // handlers: as of a connection to a server. position(): the frame that sounds; null or
  // -Infinity if none does.
  constructor(handlers, _, position) {
    this.#handlers = handlers;
    this.#position = position;
  }

  async open() {
    this.#handlers.onOpening();
    let losses;
    try {
      const { facts, arrays } = await readRecording();
      this.#facts = facts;
      this.#notes = new RecordedNotes(arrays);
      this.#picture = new RecordedPicture(facts.alarms, arrays);
      this.#signals = new RecordedSignals(facts.signals, arrays);
      this.#view = new RowView(facts.tree);
      losses = recordedLosses(facts.losses, this.#picture.steps, arrays);
    } catch (error) {
      showSoundError(error.message);
      throw error;
    }
    this.#handlers.onText(this.#facts.hello);
    this.#show();
    this.#handlers.onText(losses);
    const last = this.#signals.last();
    if (last) this.#handlers.onText(last);
  }

  retry() {}

  // Answers a message of the page after the present task, as a server would.
  send(message) {
    setTimeout(() => this.#answer(message));
    return true;
  }

  #answer(message) {
    if (message.kind === "open") {
      this.#view = this.#view.opened(message);
      this.#show();
      return;
    }
    clearInterval(this.#timer);
    if (message.kind === "play") this.#play(message.from);
  }

  // Sends the rows of the picture, the columns in these rows, and the marks.
  #show() {
    this.#handlers.onText({ kind: "rows", rows: this.#view.rows });
    this.#handlers.onBinary(this.#picture.columns(this.#view));
    this.#handlers.onText(this.#picture.marks(this.#view));
  }

  #play(step) {
    const first = this.#notes.momentOf(step);
    this.#next = first;
    this.#begin = this.#notes.begin(first);
    const isDue = ({ frame }) => frame >= this.#begin;
    this.#nextCaption = this.#facts.captions.findIndex(isDue);
    this.#signals.seek(this.#begin);
    this.#handlers.onText({ kind: "playing" });
    this.#handlers.onBinary(this.#notes.message(first, true));
    this.#next += 1;
    this.#sendDue();
    this.#timer = setInterval(() => this.#sendDue(), POLL_MS);
  }

  // Sends what sounds in the next seconds.
  #sendDue() {
    const now = Math.max(this.#begin, this.#position() ?? 0);
    const { hello, captions, frames } = this.#facts;
    const until = now + AHEAD_SECONDS * hello.sample_rate;
    while (this.#next < this.#notes.count && this.#notes.begin(this.#next) < until) {
      this.#handlers.onBinary(this.#notes.message(this.#next, false));
      this.#next += 1;
    }
    while (captions[this.#nextCaption]?.frame < until) {
      this.#handlers.onText(captions[this.#nextCaption]);
      this.#nextCaption += 1;
    }
    for (const message of this.#signals.until(until)) this.#handlers.onText(message);
    if (now >= frames) {
      clearInterval(this.#timer);
      this.#handlers.onText({ kind: "over", how: "" });
    }
  }
}
