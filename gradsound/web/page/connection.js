// The connection to the server: opens itself again when it is lost.

const FIRST_PAUSE = 0.5; // seconds; a server that blinked is there again
const LONGEST_PAUSE = 8; // seconds; longer, and one would wait after all is well
const TICK = 250; // ms between looks at how long is left
const SILENCE = 15_000; // ms; the server says something every 5 s, or it cannot be reached
const REFUSALS = [403, 404]; // what a server says of an address of an earlier run

export class Connection {
  #heard;
  #newest;
  #socket = null;
  #timer = null;
  #silence = null; // the timer of how long nothing came
  #pause = FIRST_PAUSE;
  #attempts = 0; // since the last message
  #ended = false;

  // heard has text(object), binary(buffer), opening(), lost(seconds left, attempts), refused()
  // and closed(). newest() is the last step that the page has, null for none.
  constructor(heard, newest) {
    this.#heard = heard;
    this.#newest = newest;
    window.addEventListener("online", () => this.again());
  }

  open() {
    clearInterval(this.#timer);
    this.#timer = null;
    const address = new URL("socket", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const since = this.#newest();
    if (since !== null) address.searchParams.set("since", since);
    this.#heard.opening();
    this.#attempts += 1;
    this.#socket = new WebSocket(address);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = () => this.#closed();
    this.#await();
  }

  // Tries at once, unless it is open or being opened.
  again() {
    if (this.#socket === null && !this.#ended) this.open();
  }

  // Whether it went.
  send(message) {
    const open = this.#socket?.readyState === WebSocket.OPEN;
    if (open) this.#socket.send(JSON.stringify(message));
    return open;
  }

  // Nothing more will come: that the server closes now is no loss.
  end() {
    this.#ended = true;
  }

  // Gives up a socket on which nothing came for long, as where a network is gone: a browser
  // would wait for it for minutes.
  #await() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#socket.onclose = this.#socket.onmessage = null;
      this.#socket.close();
      this.#closed();
    }, SILENCE);
  }

  #receive(data) {
    this.#await();
    this.#attempts = 0;
    this.#pause = FIRST_PAUSE;
    if (typeof data === "string") this.#heard.text(JSON.parse(data));
    else this.#heard.binary(data);
  }

  async #closed() {
    clearTimeout(this.#silence);
    this.#socket = null;
    if (this.#ended) {
      this.#heard.closed();
      return;
    }
    this.#countDown();
    // A socket does not say why it failed; the page's own address does.
    if (this.#attempts > 0 && (await refused()) && this.#socket === null) {
      clearInterval(this.#timer);
      this.#heard.refused();
    }
  }

  #countDown() {
    const until = performance.now() + 1000 * this.#pause;
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    const look = () => {
      const left = (until - performance.now()) / 1000;
      if (left <= 0) this.open();
      else this.#heard.lost(Math.ceil(left), this.#attempts);
    };
    this.#timer = setInterval(look, TICK);
    look();
  }
}

async function refused() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    return REFUSALS.includes(answer.status);
  } catch {
    return false; // nobody there: not the address, or not known
  }
}
