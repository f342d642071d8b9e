// What the page in a notebook has in place of a connection to a server: a channel to the
// widget around it, which has the kernel's messages.

import { ofRows } from "./layer_columns.js";
import { COLUMNS, messageType } from "./binary_messages.js";
import { showCountdown } from "./readout.js";
import { RowView } from "./row_view.js";

const SILENCE_MS = 15_000; // without a message; the kernel sends one every 5 s

export class Connection {
  #handlers;
  #held;
  #widget = null; // the channel
  #silence = null; // timer
  #hello = null;
  #tree = null;
  #view = null;
  #isLost = false;
  #ended = false;
  wasLost = false;

  // As of a connection to a server.
  constructor(handlers, held) {
    this.#handlers = handlers;
    this.#held = held;
  }

  open() {
    this.#handlers.onOpening();
    const { port1, port2 } = new MessageChannel();
    this.#widget = port1;
    port1.onmessage = ({ data }) => this.#receive(data);
    window.parent.postMessage("gradsound", "*", [port2]); // to whatever shows the notebook
    new ResizeObserver(() => port1.postMessage({ height: document.body.scrollHeight })).observe(
      document.body,
    );
    this.#restartSilenceTimer();
  }

  // Asks the kernel for what has passed.
  retry() {
    this.#widget.postMessage({ wants: "history" });
  }

  // Answers a message of the page, without the kernel, which may be busy. Returns true.
  send(message) {
    setTimeout(() => {
      this.#view = this.#view.opened(message);
      this.#handlers.onText({ kind: "rows", rows: this.#view.rows });
      this.#widget.postMessage({ wants: "past" });
    });
    return true;
  }

  // Expects no further message.
  end() {
    this.#ended = true;
    clearTimeout(this.#silence);
  }

  // missing: how many messages did not arrive; the past that will contain them is awaited.
  #receive({ run, past, messages, missing }) {
    this.#restartSilenceTimer();
    if (run) this.#start(run);
    if (this.#isLost) this.#resume();
    if (missing !== undefined) this.#tellMissing(missing);
    for (const message of past ?? []) this.#pass(message, true);
    for (const message of messages ?? []) this.#pass(message, false);
  }

  // run: the texts that describe the run and its layers.
  #start(run) {
    const [hello, { tree }] = run.map((text) => JSON.parse(text));
    this.#hello = hello;
    this.#tree = tree;
    this.#view = new RowView(tree);
    this.#handlers.onText(hello);
    this.#handlers.onText({ kind: "rows", rows: this.#view.rows });
  }

  #pass(message, past) {
    if (typeof message === "string") this.#passText(JSON.parse(message), past);
    else if (messageType(message) === COLUMNS) this.#passColumns(message, past);
    else this.#handlers.onBinary(message);
  }

  // Of a caption, the kernel gives the places of its layers.
  #passText(message, past) {
    if (message.kind === "caption") {
      const rows = this.#view.rowsOf(message.rows.map((place) => [place, place + 1]));
      this.#handlers.onText({ ...message, rows, past: past || message.past });
    } else this.#handlers.onText(past && "frame" in message ? { ...message, frame: 0 } : message);
  }

  #passColumns(message, past) {
    const since = past ? this.#held().since ?? -1 : -1;
    const columns = ofRows(message, this.#tree.order.length, this.#view.rows, since);
    if (columns !== null) this.#handlers.onBinary(columns);
  }

  #tellMissing(count) {
    showCountdown(count ? `Messages lost: ${count}. The kernel sends the picture again.` : "");
  }

  #restartSilenceTimer() {
    clearTimeout(this.#silence);
    if (this.#ended) return;
    this.#silence = setTimeout(() => {
      this.#isLost = this.wasLost = true;
      this.#handlers.onLost(null, 0);
    }, SILENCE_MS);
  }

  #resume() {
    this.#isLost = false;
    if (this.#hello !== null) this.#handlers.onText(this.#hello);
  }
}
