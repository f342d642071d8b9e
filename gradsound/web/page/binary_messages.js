// Parsers of the server's binary messages (docs/web.md).

// Types of messages.
export const EVENTS = 1;
export const COLUMNS = 2;

export function messageType(buffer) {
  return new DataView(buffer).getUint32(0, true);
}

// Returns the steps of a message of note events and their first frame; null if it has none.
export function parseSteps(buffer) {
  const view = new DataView(buffer);
  const first = view.getUint32(24, true);
  const last = view.getUint32(28, true);
  return first > last ? null : { begin: view.getFloat64(16, true), first, last };
}

// Returns columns of the picture: time in seconds since the start of the run, first and last
// step, and a norm for each row.
export function parseColumns(buffer, rowCount) {
  const view = new DataView(buffer);
  const columns = [];
  let offset = 8;
  for (let left = view.getUint32(4, true); left > 0; left--) {
    columns.push({
      time: view.getFloat64(offset, true),
      first: view.getUint32(offset + 8, true),
      last: view.getUint32(offset + 12, true),
      // A copy: a view would keep the whole message in memory.
      norms: new Float32Array(buffer.slice(offset + 16, offset + 16 + 4 * rowCount)),
    });
    offset += 16 + 4 * rowCount;
  }
  return columns;
}
