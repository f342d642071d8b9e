// Levels of notes from their distances to a prediction, as
// gradsound.rendering.predicted_levels computes it.

const STEEPEST = 2 ** 26; // of a prediction, from one level to the next; more is a jump

// Replaces each distance by the bits of the level. voices, increments and distances: typed
// arrays with a number for each note.
export function restoreLevels(voices, increments, distances) {
  const order = Uint32Array.from(distances.keys()).sort(
    (a, b) => voices[a] - voices[b] || increments[a] - increments[b] || a - b,
  );
  let [interval, rise, pitch, level] = [0, 0, 0, 0];
  order.forEach((note, k) => {
    const before = interval;
    interval = increments[note] - pitch;
    pitch = increments[note];
    const slope = before > 0 ? interval / before : 0;
    const step = Math.floor(rise * slope);
    const smooth = k > 1 && slope > 0 && Math.abs(step) < STEEPEST;
    const distance = (distances[note] >>> 1) ^ -(distances[note] & 1);
    const restored = (level + (smooth ? step : 0) + distance) >>> 0;
    rise = restored - level;
    level = distances[note] = restored;
  });
}
