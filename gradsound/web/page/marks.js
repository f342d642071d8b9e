// The marks of a run: steps with an alarm or a new epoch, and the rows that an alarm affects.

const MAX_MARKS = 1000; // older alarms are no longer in a live picture

export class Marks {
  #live;
  #known = new Map(); // marks by step, type and text

  all = [];

  constructor(live) {
    this.#live = live;
  }

  // Adds a mark at a step; a known one only moves to other rows. Minutes and captions without
  // a step have none.
  add({ type, step, text, rows }) {
    if (type === "minute" || step === null) return;
    const key = keyOf({ type, step, text });
    const known = this.#known.get(key);
    if (known) {
      known.rows = rows;
      return;
    }
    const mark = { type, step, text, rows, position: null };
    this.#known.set(key, mark);
    this.all.push(mark);
    const surplus = this.#live && this.all.length > MAX_MARKS;
    if (surplus) this.#known.delete(keyOf(this.all.shift()));
  }

  // Forgets the rows of all marks, because the picture shows other ones.
  forgetRows() {
    for (const mark of this.all) mark.rows = [];
  }

  // Finds the positions of marks whose columns have come.
  locate(columns) {
    for (const mark of this.all) mark.position ??= this.#positionOf(mark.step, columns);
  }

  #positionOf(step, columns) {
    const column = columns.columnOf(step);
    if (column === null) return null;
    return this.#live ? (column.start + column.end) / 2 : step + 0.5;
  }
}

function keyOf({ type, step, text }) {
  return `${step} ${type} ${text}`;
}
