// The losses of a recording, as a message of the page's own.

import { addUp } from "./recording.js";

// Returns the message with the curves. columns: the first and the last step of each column.
// A number of a curve belongs to the last step of its column.
export function recordedLosses(curves, { firsts, lasts }, arrays) {
  const [indices, numbers] = [addUp(new Int32Array(arrays.loss_columns)), arrays.loss_numbers];
  let start = 0;
  const shown = curves.map(({ name, evaluation, count }) => {
    const end = start + count;
    const steps = Array.from(indices.subarray(start, end), (index) => lasts[index]);
    const own = Array.from(new Float32Array(numbers).subarray(start, end));
    start = end;
    return { name, evaluation, steps, numbers: own };
  });
  return { kind: "losses", first: firsts[0], end: lasts.at(-1) + 1, curves: shown };
}
