// The display schedule: calls that show something when the sound reaches a frame.

const MAX_ENTRIES = 1000; // a sound that stands still must not fill the memory

export class DisplaySchedule {
  #entries = []; // sorted by frame

  add(frame, show) {
    let index = this.#entries.length;
    while (index > 0 && this.#entries[index - 1].frame > frame) index -= 1;
    this.#entries.splice(index, 0, { frame, show });
    if (this.#entries.length > MAX_ENTRIES) this.#entries.shift().show();
  }

  // Calls all entries up to a frame; Infinity calls all.
  showUntil(frame) {
    while (this.#entries.length && this.#entries[0].frame <= frame) this.#entries.shift().show();
  }

  clear() {
    this.#entries.length = 0;
  }
}
