// The binary messages of the server, read into plain objects.

export const EVENTS = 1; // what sounds
export const COLUMNS = 2; // what the picture shows

export function typeOf(buffer) {
  return new DataView(buffer).getUint32(0, true);
}

// Which steps sound from which frame on; null where the message has no step.
export function soundingSteps(buffer) {
  const view = new DataView(buffer);
  const first = view.getUint32(24, true);
  const last = view.getUint32(28, true);
  return first > last ? null : { begin: view.getFloat64(16, true), first, last };
}

// Columns: time in seconds since the start of the run, first..last step, a norm for each layer.
export function columnsOf(buffer, layerCount) {
  const view = new DataView(buffer);
  const columns = [];
  let offset = 8;
  for (let left = view.getUint32(4, true); left > 0; left--) {
    columns.push({
      time: view.getFloat64(offset, true),
      first: view.getUint32(offset + 8, true),
      last: view.getUint32(offset + 12, true),
      // A copy, so that an old column does not keep the message it came with.
      norms: new Float32Array(buffer.slice(offset + 16, offset + 16 + 4 * layerCount)),
    });
    offset += 16 + 4 * layerCount;
  }
  return columns;
}
