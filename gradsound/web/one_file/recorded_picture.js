// The picture of a recording, as the messages that a server would send (docs/web.md).

import { COLUMNS } from "./binary_messages.js";
import { addUp } from "./recording.js";

const HEADER = 8; // bytes of a message before its columns
const COLUMN = 16; // bytes of a column before its norms

export class RecordedPicture {
  #alarms;
  #times; // hundredths of a second since the start of the run
  #firsts;
  #lasts;
  #norms; // of the first layer at each column, then of the second ...

  constructor(alarms, { column_times, column_firsts, column_lasts, column_norms }) {
    this.#alarms = alarms;
    this.#times = addUp(new Int32Array(column_times));
    this.#firsts = new Uint32Array(addUp(new Int32Array(column_firsts)));
    this.#lasts = new Uint32Array(addUp(new Int32Array(column_lasts)));
    this.#norms = new Float32Array(column_norms);
  }

  // The first and the last step of each column.
  get steps() {
    return { firsts: this.#firsts, lasts: this.#lasts };
  }

  // Returns the message with all columns of the rows of a view.
  columns({ rows }) {
    const [count, size] = [this.#times.length, COLUMN + 4 * rows.length];
    const buffer = new ArrayBuffer(HEADER + count * size);
    const view = new DataView(buffer);
    view.setUint32(0, COLUMNS, true);
    view.setUint32(4, count, true);
    for (let column = 0; column < count; column += 1) {
      const at = HEADER + column * size;
      view.setFloat64(at, this.#times[column] / 100, true);
      view.setUint32(at + 8, this.#firsts[column], true);
      view.setUint32(at + 12, this.#lasts[column], true);
      rows.forEach(({ span }, row) => {
        view.setFloat32(at + COLUMN + 4 * row, this.#largest(column, span), true);
      });
    }
    return buffer;
  }

  // Returns the message with all alarms.
  marks(view) {
    const marks = this.#alarms.map(({ spans, ...mark }) => ({ ...mark, rows: view.rowsOf(spans) }));
    return { kind: "marks", marks };
  }

  // Returns the largest norm of some layers: NaN wins, and no gradient is -1.
  #largest(column, [begin, end]) {
    let largest = -1;
    for (let layer = begin; layer < end; layer += 1) {
      largest = Math.max(largest, this.#norms[layer * this.#times.length + column]);
    }
    return largest;
  }
}
