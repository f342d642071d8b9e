// The marks of a run: steps with an alarm or a new epoch, and the rows that an alarm affects.

const MAX_MARKS = 1000; // older alarms are no longer in a live picture

export class Marks {
  #live;

  all = [];

  constructor(live) {
    this.#live = live;
  }

  // Adds a mark at a step; a known one only moves to other rows. Minutes and captions without
  // a step have none.
  add({ type, step, text, rows }) {
    if (type === "minute" || step === null) return;
    const isSame = (mark) => mark.type === type && mark.step === step && mark.text === text;
    const known = this.all.find(isSame);
    if (known) known.rows = rows;
    else this.all.push({ type, step, text, rows, position: null });
    if (this.all.length > MAX_MARKS) this.all.shift();
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
