// What is to be shown when the sound reaches a frame.

const MOST = 1000; // entries; a sound that does not move on must not fill the memory

export class Schedule {
  #entries = []; // by frame, the earliest first

  add(frame, show) {
    let place = this.#entries.length;
    while (place > 0 && this.#entries[place - 1].frame > frame) place -= 1;
    this.#entries.splice(place, 0, { frame, show });
    if (this.#entries.length > MOST) this.#entries.shift().show();
  }

  // Shows what is due at a frame; Infinity for all.
  reach(frame) {
    while (this.#entries.length && this.#entries[0].frame <= frame) this.#entries.shift().show();
  }

  clear() {
    this.#entries.length = 0;
  }
}
