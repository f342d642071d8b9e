// The connection to the server; it opens itself again after a loss.

const FIRST_DELAY = 0.5; // seconds before the first retry; a short outage is over by then
const MAX_DELAY = 8; // seconds; a longer delay would outlast the outage
const COUNTDOWN_MS = 250; // between updates of the countdown
const SILENCE_MS = 15_000; // without a message; the server sends one every 5 s
const REFUSALS = [403, 404]; // statuses that the server answers to the address of another run

export class Connection {
  #handlers;
  #held;
  #socket = null;
  #countdown = null; // timer
  #silence = null; // timer
  #delay = FIRST_DELAY; // seconds
  #attempts = 0; // since the last message
  #ended = false;
  wasLost = false; // at any time, so that what has passed may be new to the page

  // handlers: onText(object), onBinary(buffer), onOpening(), onLost(seconds left, attempts),
  // onRefused() and onClosed(). held(): what the page has of the picture, as parameters of the
  // address.
  constructor(handlers, held) {
    this.#handlers = handlers;
    this.#held = held;
    window.addEventListener("online", () => this.retry());
  }

  open() {
    clearInterval(this.#countdown);
    this.#countdown = null;
    const address = new URL("socket", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    for (const entry of Object.entries(this.#held())) address.searchParams.set(...entry);
    this.#handlers.onOpening();
    this.#attempts += 1;
    this.#socket = new WebSocket(address);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = () => this.#handleClose();
    this.#restartSilenceTimer();
  }

  // Opens the connection at once, unless it is open or opening.
  retry() {
    if (this.#socket === null && !this.#ended) this.open();
  }

  // Sends a message if the connection is open. Returns whether it is.
  send(message) {
    const open = this.#socket?.readyState === WebSocket.OPEN;
    if (open) this.#socket.send(JSON.stringify(message));
    return open;
  }

  // Expects the server to close the connection, and does not open it again.
  end() {
    this.#ended = true;
  }

  // Gives up a socket that is silent for 15 s, as after a network loss. A browser would keep
  // it for minutes.
  #restartSilenceTimer() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#socket.onclose = this.#socket.onmessage = null;
      this.#socket.close();
      this.#handleClose();
    }, SILENCE_MS);
  }

  #receive(data) {
    this.#restartSilenceTimer();
    this.#attempts = 0;
    this.#delay = FIRST_DELAY;
    if (typeof data === "string") this.#handlers.onText(JSON.parse(data));
    else this.#handlers.onBinary(data);
  }

  async #handleClose() {
    clearTimeout(this.#silence);
    this.#socket = null;
    if (this.#ended) {
      this.#handlers.onClosed();
      return;
    }
    this.#startCountdown();
    // A WebSocket does not tell why it failed; a request of the page does.
    if (this.#attempts > 0 && (await isRefused()) && this.#socket === null) {
      clearInterval(this.#countdown);
      this.#handlers.onRefused();
    }
  }

  #startCountdown() {
    this.wasLost = true;
    const end = performance.now() + 1000 * this.#delay;
    this.#delay = Math.min(2 * this.#delay, MAX_DELAY);
    const update = () => {
      const left = (end - performance.now()) / 1000;
      if (left <= 0) this.open();
      else this.#handlers.onLost(Math.ceil(left), this.#attempts);
    };
    this.#countdown = setInterval(update, COUNTDOWN_MS);
    update();
  }
}

// Returns whether the server refuses this page's address; false if it does not answer.
async function isRefused() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    return REFUSALS.includes(answer.status);
  } catch {
    return false;
  }
}
