// Columns with a norm for each layer, as the columns of a page's rows (docs/web.md).

import { COLUMNS } from "./binary_messages.js";

const HEADER = 8; // bytes of a message before its columns
const COLUMN = 16; // bytes of a column before its norms

// Returns a message with a norm for each row: the largest of its layers. It leaves out columns
// up to a step; null if none is left.
export function ofRows(buffer, layerCount, rows, since) {
  const from = new DataView(buffer);
  const size = COLUMN + 4 * layerCount;
  const count = from.getUint32(4, true);
  const starts = Array.from({ length: count }, (_, k) => HEADER + k * size);
  const later = starts.filter((at) => from.getUint32(at + 12, true) > since);
  if (later.length === 0) return null;
  const rowSize = COLUMN + 4 * rows.length;
  const message = new ArrayBuffer(HEADER + later.length * rowSize);
  const to = new DataView(message);
  to.setUint32(0, COLUMNS, true);
  to.setUint32(4, later.length, true);
  later.forEach((at, k) => {
    const start = HEADER + k * rowSize;
    new Uint8Array(message, start, COLUMN).set(new Uint8Array(buffer, at, COLUMN));
    const norm = (layer) => from.getFloat32(at + COLUMN + 4 * layer, true);
    rows.forEach(({ span }, row) => {
      to.setFloat32(start + COLUMN + 4 * row, largest(norm, span), true);
    });
  });
  return message;
}

// Returns the largest norm of some layers: NaN wins, and no gradient is -1.
function largest(norm, [begin, end]) {
  let most = -1;
  for (let layer = begin; layer < end; layer += 1) most = Math.max(most, norm(layer));
  return most;
}
