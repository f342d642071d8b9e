// How far behind the server the page plays, and where it jumps after a late message or a
// stall of the network.

const { min, round } = Math;

// In frames.
export const MARGIN = round(0.02 * sampleRate); // behind the server; absorbs network jitter
export const SLACK = round(0.015 * sampleRate); // more than the margin; not worth a jump
export const OBSERVATION = 10 * sampleRate; // before a jump towards the server
// A worklet further than this behind was suspended: it jumps ahead. An event that began
// longer ago sounds already, so it is not late. An event that ended longer ago can go: no
// jump leads back to it.
export const SUSPENDED = sampleRate;

// Returns the position from which a message plays completely. Of a finished run nothing is
// skipped, however late a message arrives.
export function jumpTarget(position, { now, earliest }, live) {
  const suspended = live && (position === null || now - position > MARGIN + SUSPENDED);
  if (suspended) return now - MARGIN;
  const first = live && earliest < now - SUSPENDED ? now : min(earliest, now);
  return min(position ?? Infinity, first - MARGIN);
}
