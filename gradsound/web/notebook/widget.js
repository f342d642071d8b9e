// The widget of a notebook: shows the page in a frame, and gives it the kernel's messages.
//
// The kernel may be busy for hours and hear nothing. So all that a page asks for is kept here:
// a page that opens, a second one in another cell, and a page whose user opens other rows get
// the past from here.

const COLUMNS = 2; // type of a binary message
const COLUMNS_MAX = 2400; // messages: ten minutes
const COLUMN_BYTES_MAX = 1 << 25; // of all of them
const CAPTIONS_MAX = 100;
const MIN_HEIGHT = 480; // pixels of the frame; in between, it has the height of the page
const MAX_HEIGHT = 900;

// The messages of a run, and the pages that show it.
class Feed {
  #model;
  #ports = new Map(); // of pages, by their frames
  #columns = []; // messages
  #columnBytes = 0;
  #captions = [];
  #signals = null; // the last message
  #over = null; // the message
  #number = null; // of the last batch
  #missing = 0; // batches that did not arrive, since the last past
  #isWhole = false; // whether the past is here, so that columns continue it
  #identifier = crypto.randomUUID?.() ?? String(Math.random()); // of this tab

  constructor(model) {
    this.#model = model;
    model.on("msg:custom", this.#receive);
    this.#ask();
  }

  end() {
    this.#model.off("msg:custom", this.#receive);
    for (const port of this.#ports.values()) port.close();
  }

  // Connects a page by a port; a page that was in the frame before is gone.
  add(frame, port) {
    this.remove(frame);
    this.#ports.set(frame, port);
    port.onmessage = ({ data: { wants, height } }) => {
      if (wants === "past") this.#sendPast(port);
      else if (wants === "history") this.#ask();
      else frame.style.height = `${Math.max(MIN_HEIGHT, Math.min(height, MAX_HEIGHT))}px`;
    };
    port.postMessage({ run: this.#model.get("run") });
    this.#sendPast(port);
  }

  remove(frame) {
    this.#ports.get(frame)?.close();
    this.#ports.delete(frame);
  }

  // A kernel that is busy answers when its cell is over; the past comes by itself before.
  #ask() {
    this.#model.send({ history: this.#identifier });
  }

  #receive = ({ number, history, messages = [] }, buffers) => {
    let next = 0;
    // A copy: the view is of the message with all buffers.
    const bytes = ({ buffer, byteOffset, byteLength }) =>
      buffer.slice(byteOffset, byteOffset + byteLength);
    const all = messages.map((text) => text ?? bytes(buffers[next++]));
    if (history) this.#receivePast(history, all);
    else if (number) this.#receiveBatch(number, all);
  };

  #receivePast(identifiers, messages) {
    if (this.#isWhole && !identifiers.includes(this.#identifier)) return;
    this.#columns = [];
    this.#columnBytes = 0;
    this.#captions = [];
    for (const message of messages) this.#keep(message);
    this.#isWhole = true;
    this.#missing = 0;
    for (const port of this.#ports.values()) this.#sendPast(port);
  }

  #receiveBatch(number, messages) {
    const missed = this.#number === null ? 0 : number - this.#number - 1;
    this.#number = number;
    if (missed > 0) {
      this.#isWhole = false;
      this.#missing += missed;
      this.#ask();
    }
    // A picture with a hole would look like a stall: its columns wait for the past.
    const kept = messages.filter((one) => this.#isWhole || !isColumns(one));
    for (const message of kept) this.#keep(message);
    this.#post({ messages: kept, ...(missed > 0 && { missing: this.#missing }) });
  }

  #keep(message) {
    if (isColumns(message)) {
      this.#columns.push(message);
      this.#columnBytes += message.byteLength;
      while (this.#columns.length > COLUMNS_MAX || this.#columnBytes > COLUMN_BYTES_MAX) {
        this.#columnBytes -= this.#columns.shift().byteLength;
      }
    } else if (typeof message === "string") this.#keepText(message);
  }

  #keepText(text) {
    const { kind } = JSON.parse(text);
    if (kind === "caption") this.#captions = [...this.#captions, text].slice(-CAPTIONS_MAX);
    else if (kind === "signals") this.#signals = text;
    else if (kind === "over") this.#over = text;
  }

  #sendPast(port) {
    const ends = [this.#signals, this.#over].filter((one) => one !== null);
    const past = [...this.#columns, ...this.#captions, ...ends];
    port.postMessage({ past, ...(this.#isWhole && { missing: 0 }) });
  }

  #post(data) {
    for (const port of this.#ports.values()) port.postMessage(data);
  }
}

function isColumns(message) {
  return message instanceof ArrayBuffer && new DataView(message).getUint32(0, true) === COLUMNS;
}

// Returns "light" or "dark", as the notebook is around an element.
function scheme(element) {
  for (let one = element; one; one = one.parentElement) {
    const parts = getComputedStyle(one).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    const [red, green, blue, alpha = 1] = parts;
    if (parts.length >= 3 && alpha > 0.5) {
      return 0.3 * red + 0.6 * green + 0.1 * blue < 128 ? "dark" : "light";
    }
  }
  return "light";
}

// Shows the page in an element. Returns a function that removes it.
function show(model, element, feed) {
  const frame = document.createElement("iframe");
  Object.assign(frame, { title: "gradsound", allow: "autoplay" });
  frame.style.cssText = `width: 100%; height: ${MIN_HEIGHT}px; border: 0; display: block`;
  const fill = () => {
    frame.style.colorScheme = scheme(element);
    frame.srcdoc = model.get("page");
  };
  const connect = ({ source, data, ports }) => {
    if (source === frame.contentWindow && data === "gradsound") feed.add(frame, ports[0]);
  };
  window.addEventListener("message", connect);
  element.append(frame);
  if (model.get("page")) fill();
  model.on("change:page", fill);
  return () => {
    window.removeEventListener("message", connect);
    model.off("change:page", fill);
    feed.remove(frame);
    frame.remove();
  };
}

export default () => {
  let feed = null;
  return {
    initialize({ model }) {
      feed = new Feed(model);
      return () => feed.end();
    },
    render({ model, el }) {
      return show(model, el, feed);
    },
  };
};
